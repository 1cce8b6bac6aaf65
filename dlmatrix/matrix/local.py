"""What of a lock lies in this machine's find-links folders; where that is all of it, no index is needed."""

from __future__ import annotations

import re
from functools import cached_property
from pathlib import Path

from packaging.markers import Marker
from packaging.tags import Tag, compatible_tags, cpython_tags
from packaging.utils import InvalidWheelFilename, parse_wheel_filename

from dlmatrix.matrix.locks import read_lock
from dlmatrix.matrix.model import Lock, LockEntry, Site, normal_name
from dlmatrix.matrix.sources import build_lock_of
from dlmatrix.system.files import sha256

_SOURCE = re.compile(r"(?P<name>.+)-(?P<version>[^-]+)\.(?:tar\.gz|zip)")
_LINUX = "linux_x86_64"


class Local:
    """The local files of a lock, and of what its sources are built with, for a Python ``major.minor``."""

    def __init__(self, site: Site, lock: Lock, python: str) -> None:
        self.python = python
        build = build_lock_of(lock)
        self._builds = build is not None
        entries = (*lock.entries, *(read_lock(build, "nox -s lock").entries if build else ()))
        self._entries = tuple(entry for entry in entries if _installed(entry.marker, python))
        wanted = {(entry.name, entry.version) for entry in self._entries}
        listed = (file for folder in site.find_links for file in sorted(folder.iterdir()))
        #: those whose name and version are locked; the installer looks at their hashes, and refuses a wrong one
        self.files = tuple(file for file in listed if _distribution(file.name) in wanted)

    @property
    def links(self) -> list[str]:
        """The options that name the folders of the files to uv."""
        return [
            word for folder in dict.fromkeys(f.parent for f in self.files) for word in ("--find-links", str(folder))
        ]

    @property
    def whole(self) -> bool:
        """Whether each distribution is there, as a file that this Python can use and whose hash is locked."""
        return not self.lacking and not self.altered

    @property
    def lacking(self) -> tuple[str, ...]:
        """The distributions (``name==version``) of which there is no file for this Python."""
        return tuple(f"{entry.name}=={entry.version}" for entry in self._entries if not self._of(entry))

    @cached_property
    def altered(self) -> tuple[Path, ...]:
        """The files of those distributions that are there, and only with bytes that are not locked."""
        return tuple(
            file
            for entry in self._entries
            if not any(sha256(file) in entry.hashes for file in self._of(entry))
            for file in self._of(entry)
        )

    def _of(self, entry: LockEntry) -> tuple[Path, ...]:
        return tuple(file for file in self.usable if _distribution(file.name) == (entry.name, entry.version))

    @cached_property
    def usable(self) -> tuple[Path, ...]:
        """The wheels for this Python, and sources where it is locked what to build them with."""
        fits = _fitting(self.python)
        return tuple(f for f in self.files if (_tags(f.name) & fits if f.suffix == ".whl" else self._builds))


def _installed(marker: str, python: str) -> bool:
    """Whether an entry with this marker is for the first or the last release of a Python, on Linux."""
    linux = {"sys_platform": "linux", "platform_system": "Linux", "os_name": "posix", "platform_machine": "x86_64"}
    both = ({**linux, "python_version": python, "python_full_version": f"{python}.{last}"} for last in (0, 99))
    return not marker or any(Marker(marker).evaluate(dict(one)) for one in both)


def _distribution(file: str) -> tuple[str, str] | None:
    """The normal name and the version in a file's name, None where it is neither a wheel nor a source."""
    if file.endswith(".whl"):
        name, _, rest = file.partition("-")
        return normal_name(name), rest.partition("-")[0]
    source = _SOURCE.fullmatch(file)
    return (normal_name(source["name"]), source["version"]) if source else None


def _fitting(python: str) -> frozenset[Tag]:
    """The tags that a CPython of this platform can use, whatever the glibc."""
    major, minor = map(int, python.split("."))
    version, name = (major, minor), f"cp{major}{minor}"
    abi = f"{name}m" if version < (3, 8) else name
    both = (cpython_tags(version, [abi], [_LINUX]), compatible_tags(version, name, [_LINUX]))
    return frozenset(tag for tags in both for tag in tags)


def _tags(wheel: str) -> frozenset[Tag]:
    """A wheel's tags, whatever glibc it wants: every base's, and every machine's of our locks, is new enough."""
    try:
        tags = parse_wheel_filename(wheel)[3]
    except InvalidWheelFilename:
        return frozenset()
    return frozenset(Tag(t.interpreter, t.abi, re.sub(r"^manylinux\w*_x86_64$", _LINUX, t.platform)) for t in tags)
