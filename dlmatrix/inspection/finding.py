"""What is wrong with an installation's libraries, in words."""

from __future__ import annotations

import posixpath
from dataclasses import dataclass

from dlmatrix.inspection.libraries import Libraries
from dlmatrix.inspection.loader import Search
from dlmatrix.matrix.model import Lock


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that is wrong; ``wheel`` is what would bring the library, where that is known."""

    #: the soname, or the distribution that does not belong here
    what: str
    #: the object that needs it; empty for a distribution
    needed_by: str
    wheel: str
    message: str


class Suggest:
    """Words a missing library, with the wheel that would bring it."""

    def __init__(self, libraries: Libraries, cuda_major: str, lock: Lock | None) -> None:
        self._libraries, self._cuda_major, self._lock = libraries, cuda_major, lock

    def missing(self, search: Search, soname: str, by: str) -> Finding:
        """A library that the loader does not find."""
        wheel = self._libraries.wheel_of(soname, self._cuda_major)
        locked = self._lock.version_of(wheel) if self._lock and wheel else None
        message = f"{soname}, which {by} needs, is not where the loader looks"
        stem = soname.partition(".so")[0]
        if lying := search.lying_about(soname):
            message += f"; it lies in {posixpath.dirname(lying[0])}"
        elif others := sorted({posixpath.basename(p) for p in search.lying_about(f"{stem}.so*")}):
            message += f"; another version is there: {', '.join(others)}"
        if wheel:
            major = soname.rpartition(".so.")[2].partition(".")[0]
            # Of all these libraries only cuDNN counts its sonames as it counts its versions.
            pin = f"=={locked}" if locked else f"=={major}.*" if stem.startswith("libcudnn") and major else ""
            wheel += pin
            message += f"; {wheel} brings it"
        return Finding(what=soname, needed_by=by, wheel=wheel, message=message)
