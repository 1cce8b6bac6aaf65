"""How many builds at once, and whether the disk holds them."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator

from dlmatrix.errors import DiskFullError
from dlmatrix.system.process import Say

#: What BuildKit says when a build's own steps have ended and its layers are being compressed.
_EXPORTS = "exporting to image"


class Builds:
    """The builds of one engine: while one is compressed, the next downloads and installs.

    Two that install would share the network and compete for the processors, so there is no more to
    gain, and they would need the memory and the disk of two.
    """

    def __init__(self) -> None:
        self._installs = threading.Lock()
        self._ended = threading.Condition()
        #: bytes of disk that the builds under way need
        self._needed: dict[str, int] = {}

    @contextlib.contextmanager
    def turn(self, name: str, needed: int, free: Callable[[], int | None], say: Say) -> Iterator[Say]:
        """Wait until this build may begin; it is to hand its lines to what this yields.

        ``needed`` and ``free`` are bytes of the engine's disk, None where it cannot be asked. Where there is
        no room for two builds, this one waits for the other; raises DiskFullError where there is none for it alone.
        """
        with contextlib.ExitStack() as stack:
            stack.enter_context(self._installs)
            with self._ended:
                while self._needed and _less(free(), needed + sum(self._needed.values())):
                    self._ended.wait()
                if _less(left := free(), needed):
                    raise DiskFullError(
                        f"{name}: needs about {needed / 1e9:.1f} GB on the engine's disk, "
                        f"which has {(left or 0) / 1e9:.1f} GB left",
                        "make room (`docker system df`, `docker builder prune`), then run it again",
                    )
                self._needed[name] = needed
            installs = stack.pop_all()
            stack.callback(self._end, name)
            stack.callback(installs.close)

            def watch(line: str) -> None:
                if _EXPORTS in line:
                    installs.close()
                say(line)

            yield watch

    def _end(self, name: str) -> None:
        with self._ended:
            del self._needed[name]
            self._ended.notify_all()


def _less(left: int | None, needed: int) -> bool:
    return left is not None and left < needed
