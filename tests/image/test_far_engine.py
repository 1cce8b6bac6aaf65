"""An engine that shares no folder with this machine: everything goes through the connection."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.image.support import Dlmatrix, containers, outcomes


@pytest.fixture
def relay(client: Any) -> Iterator[str]:
    """The engine behind a TCP address of this machine."""
    host = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
    if not host.startswith("unix://"):
        pytest.skip(f"the engine at {host} has no socket here to relay")
    server = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=_serve, args=(server, host.removeprefix("unix://")), daemon=True).start()
    yield f"tcp://127.0.0.1:{server.getsockname()[1]}"
    server.close()


def _serve(server: socket.socket, path: str) -> None:
    while True:
        try:
            near, _ = server.accept()
        except OSError:
            return
        far = socket.socket(socket.AF_UNIX)
        far.connect(path)
        for source, target in ((near, far), (far, near)):
            threading.Thread(target=_pump, args=(source, target), daemon=True).start()


def _pump(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(1 << 16):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        target.close()


def test_a_run_on_an_engine_elsewhere(relay: str, dlmatrix: Dlmatrix, client: Any, tmp_path: Path) -> None:
    ran = dlmatrix(
        "run", "cpu-torch-2.13", "--engine", "docker", "--report", str(tmp_path / "report"), DOCKER_HOST=relay
    )
    assert ran.code == 0, ran.out + ran.err
    assert outcomes(tmp_path / "report") == [("cpu-torch-2.13", "passed")]
    assert containers(client) == []
