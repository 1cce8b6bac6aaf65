"""A container that stays while commands are run in it, one after the other: what strangers' guides are replayed in.

It has no mount, no capability and no credential; what it is to read is copied in, the network is there for the
commands that are given it and for no other, and it is always removed.
"""

from __future__ import annotations

import contextlib
import io
import tarfile
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dlmatrix.engines.docker.answers import engine_errors
from dlmatrix.engines.docker.container import USER, confined
from dlmatrix.errors import EngineError
from dlmatrix.matrix.plan import Limits
from dlmatrix.system.process import ended_by_interrupts, signals_held
from dlmatrix.system.working import labels

#: The first process only waits, and buries those that lost their parents. Nothing in the container can end it.
_WAITS = ("/bin/bash", "-c", "while :; do sleep 3600; done")
#: Ends what a command left running, and keeps its exit code.
_ALONE = '/usr/bin/timeout -k 5 "$0" "$@"; code=$?; kill -9 -1 2>/dev/null; exit $code'
_END_ALL = ("/bin/bash", "-c", "kill -9 -1")
#: The network that every engine has. A container that was started without any can be given none later.
_NETWORK = "bridge"
#: Seconds that the engine has to tell of an end that came inside.
_OVERTIME = 60


@dataclass(frozen=True, kw_only=True)
class File:
    """What is copied in: a folder where ``data`` is None. ``path`` is absolute."""

    path: str
    data: bytes | None = None
    mode: int = 0o644


class Room:
    """The container. Raises EngineError where the engine goes away."""

    def __init__(self, client: Any, image: str, limits: Limits) -> None:
        self._client, self._made = client, contextlib.ExitStack()
        options = confined(image, _WAITS, limits) | {"read_only": False, "network_mode": _NETWORK, "entrypoint": ""}
        del options["tmpfs"]  # /tmp is the container's own, which what is built there may need to run in
        with engine_errors():
            with signals_held():  # the engine may have made it before its answer is here
                self._container = client.containers.create(**options, labels=labels())
                self._made.callback(self._remove)
            self._made.enter_context(ended_by_interrupts(lambda number: self._kill()))
            self._container.start()
        self._network = True

    def close(self) -> None:
        """Remove it."""
        self._made.close()

    def put(self, files: Iterable[File], owner: str = USER) -> None:
        """Copy files in; they are of the container's user, or of ``owner``."""
        stream, (uid, _, gid) = io.BytesIO(), owner.partition(":")
        with tarfile.open(fileobj=stream, mode="w") as archive:
            for file in files:
                entry = tarfile.TarInfo(file.path.lstrip("/"))
                entry.uid, entry.gid, entry.mode, entry.mtime = int(uid), int(gid), file.mode, int(time.time())
                if file.data is None:
                    entry.type, entry.mode = tarfile.DIRTYPE, 0o755
                    archive.addfile(entry)
                else:
                    entry.size = len(file.data)
                    archive.addfile(entry, io.BytesIO(file.data))
        with engine_errors():
            self._container.put_archive("/", stream.getvalue())

    def run(
        self,
        command: Sequence[str],
        *,
        cwd: str,
        environ: Mapping[str, str],
        seconds: float,
        most: int,
        network: bool = False,
    ) -> tuple[int, bytes, bytes, str]:
        """A command's exit code, both outputs, and which limit ended it: ``seconds``, or ``most`` bytes of output."""
        words = ["/bin/bash", "-c", _ALONE, f"{seconds:.0f}", *command]
        started, why = time.monotonic(), ""
        said: list[list[bytes]] = [[], []]
        with engine_errors():
            self._let(network)
            api = self._client.api
            ident = api.exec_create(self._container.id, words, workdir=cwd, environment=dict(environ))["Id"]
            timer = threading.Timer(seconds + _OVERTIME, self._kill)
            timer.daemon = True
            timer.start()
            try:
                size = 0
                for pieces in api.exec_start(ident, stream=True, demux=True):
                    for kept, piece in zip(said, pieces, strict=True):
                        size += len(piece or b"")
                        if size <= most:
                            kept.append(piece or b"")
                    if size > most and not why:
                        why = f"it printed more than {most >> 20} MB"
                        # Beside it: an engine whose output nobody takes may have no ear for anything else.
                        threading.Thread(target=self._end_all, daemon=True).start()
            finally:
                timer.cancel()
            code = api.exec_inspect(ident)["ExitCode"]
        if code is None:
            raise EngineError("the container in which the guide was replayed is gone", "run it again")
        if not why and code in (124, 137) and time.monotonic() - started >= seconds:
            why = f"it did not end in {seconds:.0f} s"
        return int(code), b"".join(said[0]), b"".join(said[1]), why

    def _end_all(self) -> None:
        with contextlib.suppress(Exception):  # the timer ends what this does not
            self._container.exec_run(_END_ALL)

    def _let(self, network: bool) -> None:
        """Let the container reach the network, or nothing."""
        if network != self._network:
            bridge = self._client.networks.get(_NETWORK)
            (bridge.connect if network else bridge.disconnect)(self._container)
            self._network = network

    def _kill(self) -> None:
        with contextlib.suppress(Exception):  # it has ended, or the engine is gone
            self._container.kill()

    def _remove(self) -> None:
        with signals_held(), contextlib.suppress(Exception):  # where the engine is gone, an error has said so
            self._container.remove(force=True, v=True)
