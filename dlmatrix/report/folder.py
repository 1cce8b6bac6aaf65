"""The folder of a run's report: made before the run, with a result.json that is true from then on.

So a folder that cannot be written is refused before it costs a minute, and a run that is stopped, however it is
stopped, leaves what had come out of it.
"""

from __future__ import annotations

import contextlib
import datetime
import errno
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType

from dlmatrix.document.result import FILE
from dlmatrix.errors import DiskFullError, DlmatrixError, UsageError
from dlmatrix.run.result import EnvResult, nothing_came
from dlmatrix.system.files import replace
from dlmatrix.system.state import reports_folder

_ELSEWHERE = "name a new folder elsewhere with --report"


def report_folder(root: Path, asked: Path | None, started: datetime.datetime) -> Path:
    """Where the report goes; what cannot be a new folder is refused before anything runs."""
    folder = asked or reports_folder(root) / f"{started:%Y%m%d-%H%M%S}-{os.getpid()}"
    try:
        if os.path.lexists(folder) and (not folder.is_dir() or any(folder.iterdir())):
            raise UsageError(f"{folder} exists and is not empty", "name a new folder with --report, or remove it")
        above = next(one for one in (folder.absolute(), *folder.absolute().parents) if one.exists())
    except OSError as error:
        raise _refused(folder, error) from None
    if not above.is_dir() or not os.access(above, os.W_OK):
        raise UsageError(f"{above} is no folder that can be written", _ELSEWHERE)
    return folder


class KeptReport:
    """What there is of a run, kept in its report's folder while the run goes on.

    Leaving by an exception takes the folder away again where nothing came out of the run, and lets an interrupt say
    where it is otherwise.
    """

    def __init__(self, folder: Path, text: Callable[[Sequence[EnvResult]], str]) -> None:
        self._folder, self._text = folder, text
        self._made: list[Path] = []
        self._ours = self._came = False

    def make(self, results: Sequence[EnvResult]) -> None:
        """Make the folder and the first result.json. Raises UsageError or DiskFullError."""
        try:
            self._made = _absent(self._folder)
            self._folder.mkdir(parents=True, exist_ok=True)
            with (self._folder / FILE).open("x", encoding="utf-8") as file:  # no other run's
                self._ours = True
                file.write(self._text(results))
        except OSError as error:
            raise _refused(self._folder, error) from None

    def keep(self, results: Sequence[EnvResult]) -> None:
        """Write how all envs stand. What has no room now may have it in the end, which is when it is said."""
        self._came = self._came or not nothing_came(results)
        with contextlib.suppress(OSError):
            replace(self._folder / FILE, self._text(results))

    def __enter__(self) -> KeptReport:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error and not self._came:
            self._drop()
        elif isinstance(error, KeyboardInterrupt):
            raise KeyboardInterrupt(f"what came out of the run until then is in {self._folder}") from None

    def _drop(self) -> None:
        if self._ours:
            (self._folder / FILE).unlink(missing_ok=True)
        _remove_empty(self._made)


@contextlib.contextmanager
def made(folder: Path) -> Iterator[None]:
    """Make a report's folder for a block that fills it; where it stays empty it is taken away again.

    Raises UsageError or DiskFullError before the block.
    """
    new = _absent(folder)
    try:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise _refused(folder, error) from None
        yield
    finally:
        _remove_empty(new)


def _absent(folder: Path) -> list[Path]:
    return [one for one in (folder, *folder.parents) if not one.exists()]


def _remove_empty(folders: Sequence[Path]) -> None:
    for one in folders:
        with contextlib.suppress(OSError):  # it may have been filled, by another run too
            one.rmdir()


def _refused(folder: Path, error: OSError) -> DlmatrixError:
    what = f"{folder}: the report cannot be written there: {error.strerror}"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DiskFullError(what, "make room, or name another --report DIR")
    return UsageError(what, _ELSEWHERE)
