"""While one build is compressed the next installs, where the disk holds both."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from dlmatrix.engines.docker.builds import Builds
from dlmatrix.errors import DiskFullError

#: Seconds after which a test that waits for an event has failed.
GUARD = 30


def nothing(line: str) -> None:
    """A line that nobody reads."""


class Two:
    """A build in this thread, and a second one in another; what happened, in order."""

    def __init__(self, free: Callable[[], int | None]) -> None:
        self.builds = Builds()
        self.happened: list[str] = []
        self.second_asked, self.second_begun = threading.Event(), threading.Event()
        self._free = free
        self.thread = threading.Thread(target=self._second)

    def _second(self) -> None:
        def free() -> int | None:
            self.second_asked.set()
            return self._free()

        with self.builds.turn("second", 8, free, nothing):
            self.happened.append("second begins")
            self.second_begun.set()

    def first(self, until: threading.Event) -> None:
        with self.builds.turn("first", 8, self._free, nothing) as say:
            self.thread.start()
            self.happened.append("first is compressed")
            say("#9 exporting to image")
            assert until.wait(GUARD)
            self.happened.append("first ends")
        self.thread.join(GUARD)


@pytest.mark.parametrize("free", [16, None])
def test_the_next_installs_while_one_is_compressed(free: int | None) -> None:
    two = Two(lambda: free)
    two.first(two.second_begun)
    assert two.happened == ["first is compressed", "second begins", "first ends"]


def test_without_room_for_both_the_next_waits_for_the_end() -> None:
    two = Two(lambda: 15)
    two.first(two.second_asked)
    assert two.happened == ["first is compressed", "first ends", "second begins"]


def test_without_room_for_one_it_is_refused_and_the_next_is_not_kept_waiting() -> None:
    builds = Builds()
    refusal = r"cpu-a: needs about 8\.0 GB on the engine's disk, which has 7\.0 GB left"
    with (
        pytest.raises(DiskFullError, match=refusal),
        builds.turn("cpu-a", 8_000_000_000, lambda: 7_000_000_000, nothing),
    ):
        pytest.fail("began")
    said: list[str] = []
    with builds.turn("cpu-b", 1, lambda: 7, said.append) as say:
        say("#1 a line")
    assert said == ["#1 a line"]
