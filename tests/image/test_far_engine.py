"""Engines elsewhere, or at no usual place: each way of the docker command."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dlmatrix.engines.docker.engine import connect
from tests.image.far import Far, machine
from tests.image.support import Dlmatrix, containers, environment, outcomes, plan_of
from tests.image.tiny import add_tiny, site

#: The small one has a version that no other module's has.
CELL, NAME = "cpu-torch-2.13", "cpu-torch-1.2"


@pytest.fixture(scope="module")
def near() -> str:
    """The engine's socket here, as DOCKER_HOST."""
    host = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
    if not host.startswith("unix://"):
        pytest.skip(f"the engine at {host} has no socket here to relay")
    return host


@pytest.fixture(scope="module")
def far(client: Any, near: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Far]:
    """The engine behind the ssh of another machine."""
    with machine(tmp_path_factory.mktemp("far"), near) as one:
        yield one


@pytest.fixture
def relay(client: Any, near: str) -> Iterator[str]:
    """The engine behind a TCP address of this machine."""
    server = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=_serve, args=(server, near.removeprefix("unix://")), daemon=True).start()
    yield f"tcp://127.0.0.1:{server.getsockname()[1]}"
    server.close()


@pytest.fixture
def locked(client: Any, near: str, tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """The engine behind TLS that wants the user's certificate too; the folder is as DOCKER_CERT_PATH."""
    folder = tmp_path / "certificates"
    folder.mkdir()
    _certificates(folder)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(folder / "ca.pem"))
    context.load_cert_chain(folder / "server-cert.pem", folder / "server-key.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    server = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=_serve, args=(server, near.removeprefix("unix://"), context), daemon=True).start()
    yield f"tcp://127.0.0.1:{server.getsockname()[1]}", folder
    server.close()


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    """A folder of the docker command's settings with nothing in it but buildx."""
    folder = tmp_path / "docker-config"
    folder.mkdir()
    plugins = Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker") / "cli-plugins"
    if plugins.is_dir():
        shutil.copytree(plugins, folder / "cli-plugins", symlinks=True)
    return folder


def test_a_run_on_an_engine_elsewhere(relay: str, dlmatrix: Dlmatrix, client: Any, tmp_path: Path) -> None:
    ran = dlmatrix("run", CELL, "--engine", "docker", "--report", str(tmp_path / "report"), DOCKER_HOST=relay)
    assert ran.code == 0, ran.out + ran.err
    assert outcomes(tmp_path / "report") == [(CELL, "passed")]
    assert containers(client) == []


def test_a_run_by_ssh(far: Far, dlmatrix: Dlmatrix, client: Any, tmp_path: Path) -> None:
    ran = dlmatrix("run", CELL, "--report", str(tmp_path / "report"), **far.environ())
    assert ran.code == 0, ran.out + ran.err
    assert f"engine: docker (an engine answers on ssh://root@{far.address})" in ran.out
    assert outcomes(tmp_path / "report") == [(CELL, "passed")]
    assert containers(client) == []


@pytest.mark.parametrize("way", ["ssh", "context", "DOCKER_CONTEXT", "ssh context", "TLS", "TLS context"])
def test_a_build_by_each_way(
    *,
    way: str,
    far: Far,
    near: str,
    locked: tuple[str, Path],
    settings: Path,
    client: Any,
    checkout: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An env is built and looked into, with an engine at the usual place that would be another."""
    tls, certificates = locked
    add_tiny(checkout, tmp_path / "wheels", "1.2.0")
    monkeypatch.setenv("PATH", far.environ()["PATH"])
    monkeypatch.setenv("DOCKER_CONFIG", str(settings))
    keys = "".join(f",{name}={certificates / name}.pem" for name in ("ca", "cert", "key"))
    endpoint = {"ssh": far.environ()["DOCKER_HOST"], "TLS": tls}.get(way.partition(" ")[0], near)
    if way in ("ssh", "TLS"):
        monkeypatch.setenv("DOCKER_HOST", endpoint)
        monkeypatch.setenv("DOCKER_TLS_VERIFY", "1" if way == "TLS" else "")
        monkeypatch.setenv("DOCKER_CERT_PATH", str(certificates))
    else:
        monkeypatch.delenv("DOCKER_HOST")
        keys = keys if way == "TLS context" else ""
        subprocess.run(["docker", "context", "create", "other", "--docker", f"host={endpoint}{keys}"], check=True)
        if way == "DOCKER_CONTEXT":
            monkeypatch.setenv("DOCKER_CONTEXT", "other")
        else:
            subprocess.run(["docker", "context", "use", "other"], check=True)
    engine = connect(site(tmp_path / "wheels"), "auto")
    try:
        prepared = engine.prepare(plan_of(checkout, NAME), print)
        assert prepared.built
        assert client.images.get(plan_of(checkout, NAME).env.tag).id == prepared.what
        assert engine.images.made_with().buildkit
    finally:
        engine.images.remove(plan_of(checkout, NAME).env.tag)


@pytest.mark.parametrize(
    ("key", "known", "says", "advises"),
    [
        ("good", "nobody", "ssh does not know the host key of {far}", "accept it once: ssh root@{far} true"),
        ("good", "changed", "the host key of {far} is not the one", "ssh-keygen -R {far}"),
        ("stranger", "known", "{far} lets nobody in with the keys that ssh has", "ssh-copy-id root@{far}"),
        ("locked", "known", "{far} lets nobody in with the keys that ssh has", "where it has a passphrase: ssh-add"),
        ("dockerless", "known", "there is no docker command on {far}", "install Docker there"),
        ("engineless", "known", "the docker command on {far} finds no engine: dial unix", "start one there"),
    ],
)
def test_what_stands_in_the_way_by_ssh(
    *, key: str, known: str, says: str, advises: str, far: Far, dlmatrix: Dlmatrix
) -> None:
    ran = dlmatrix("run", CELL, "--engine", "docker", **far.environ(key=key, known=known))
    assert ran.code == 4
    assert says.format(far=far.address) in ran.err
    assert advises.format(far=far.address) in ran.err


def test_no_ssh_there_and_no_ssh_here(far: Far, dlmatrix: Dlmatrix, tmp_path: Path) -> None:
    refused = dlmatrix("run", CELL, "--engine", "docker", **far.environ() | {"DOCKER_HOST": f"ssh://{far.address}:9"})
    assert refused.code == 4
    assert f"ssh does not reach {far.address}: connect to host {far.address} port 9: Connection refused" in refused.err
    assert f"`ssh -p 9 {far.address} true` must work" in refused.err
    (tmp_path / "docker").symlink_to(str(shutil.which("docker")))
    without = dlmatrix("run", CELL, "--engine", "docker", **far.environ() | {"PATH": str(tmp_path)})
    assert (without.code, "there is no ssh command on the PATH" in without.err) == (4, True)


def test_a_question_is_no_wait(far: Far) -> None:
    """On a terminal ssh asks for the passphrase of a key."""
    if not shutil.which("script"):
        pytest.skip("script (bsdutils) is what gives a terminal")
    asked = f"{sys.executable} -m dlmatrix run {CELL} --engine docker"
    done = subprocess.run(
        ["script", "--quiet", "--return", "--command", asked, "/dev/null"],
        env=environment(**far.environ(key="locked")),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 4
    assert b"lets nobody in with the keys that ssh has" in done.stdout
    assert b"passphrase for key" not in done.stdout


def test_a_certificate_that_is_not_the_engines(locked: tuple[str, Path], dlmatrix: Dlmatrix, tmp_path: Path) -> None:
    host, _ = locked
    other = tmp_path / "other"
    other.mkdir()
    _certificates(other)
    ran = dlmatrix(
        "run", CELL, "--engine", "docker", DOCKER_HOST=host, DOCKER_TLS_VERIFY="1", DOCKER_CERT_PATH=str(other)
    )
    assert ran.code == 4
    assert f"no TLS with the Docker engine on {host}: " in ran.err
    assert "DOCKER_CERT_PATH" in ran.err


def test_a_context_that_is_not_there(dlmatrix: Dlmatrix, settings: Path) -> None:
    ran = dlmatrix(
        "run", CELL, "--engine", "docker", DOCKER_HOST="", DOCKER_CONTEXT="nope", DOCKER_CONFIG=str(settings)
    )
    assert ran.code == 4
    assert "there is no Docker context nope, which DOCKER_CONTEXT names" in ran.err


def _serve(server: socket.socket, path: str, tls: ssl.SSLContext | None = None) -> None:
    while True:
        try:
            near, _ = server.accept()
        except OSError:
            return
        threading.Thread(target=_relay, args=(near, path, tls), daemon=True).start()


def _relay(plain: socket.socket, path: str, tls: ssl.SSLContext | None) -> None:
    with contextlib.ExitStack() as stack, contextlib.suppress(OSError):
        near = stack.enter_context(tls.wrap_socket(plain, server_side=True) if tls else plain)
        far = stack.enter_context(socket.socket(socket.AF_UNIX))
        far.connect(path)
        back = threading.Thread(target=_pump, args=(far, near), daemon=True)
        back.start()
        _pump(near, far)
        back.join()


def _pump(source: socket.socket, target: socket.socket) -> None:
    """Hand on what comes, and that nothing more comes; TLS has no such half of an end."""
    try:
        while data := source.recv(1 << 16):
            target.sendall(data)
        target.shutdown(socket.SHUT_RDWR if isinstance(target, ssl.SSLSocket) else socket.SHUT_WR)
    except OSError:
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_RDWR)


def _certificates(folder: Path) -> None:
    """A certificate authority, and of it a server's certificate and a user's, as `docker` names their files."""
    new = ["openssl", "req", "-x509", "-newkey", "ed25519", "-nodes", "-days", "2"]
    own = [*new, "-keyout", str(folder / "ca-key.pem"), "-out", str(folder / "ca.pem"), "-subj", "/CN=authority"]
    subprocess.run(own, check=True, capture_output=True)
    authority = ["-CA", str(folder / "ca.pem"), "-CAkey", str(folder / "ca-key.pem")]
    for prefix in ("server-", ""):
        files = ["-keyout", str(folder / f"{prefix}key.pem"), "-out", str(folder / f"{prefix}cert.pem")]
        names = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
        plain = ["-addext", "basicConstraints=critical,CA:FALSE"]
        subprocess.run([*new, *authority, *files, *names, *plain], check=True, capture_output=True)
