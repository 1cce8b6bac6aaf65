"""Which wheel brings which library, and what frameworks open by name: dlmatrix/inspection/libraries.toml, typed."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from packaging.version import Version

from dlmatrix.matrix.tables import mapping, rows, version_range
from dlmatrix.system.toml import Table, read_toml


@dataclass(frozen=True, kw_only=True)
class FrameworkOpens:
    """What a range of a framework's versions opens by name, from the first of ``by`` that is there."""

    framework: str
    first: Version
    last: Version
    by: tuple[str, ...]
    names: tuple[str, ...]

    def covers(self, framework: str, version: str) -> bool:
        """Whether this row speaks of a version."""
        return self.framework == framework and self.first <= Version(version) <= self.last

    def opener(self, paths: Iterable[str]) -> str | None:
        """The file that opens them, in an installation with these; None where the framework is not among them."""
        files = {posixpath.basename(path): path for path in sorted(paths, reverse=True)}
        return next((files[name] for name in self.by if name in files), None)


@dataclass(frozen=True, kw_only=True)
class Excuse:
    """A CUDA build that stands in a cpu env for a reason."""

    framework: str
    first: Version
    last: Version
    reason: str


@dataclass(frozen=True, kw_only=True)
class Libraries:
    """The whole table."""

    driver: tuple[str, ...]
    folders: tuple[str, ...]
    wheels: dict[str, str]
    frameworks: tuple[FrameworkOpens, ...]
    optional: dict[str, str]
    excuses: tuple[Excuse, ...]

    def is_driver(self, soname: str) -> bool:
        """Whether the host's driver brings this library."""
        return any(fnmatchcase(soname, pattern) for pattern in self.driver)

    def optional_reason(self, file_name: str) -> str:
        """Why an object may miss its libraries; empty for one that may not."""
        return next((reason for pattern, reason in self.optional.items() if fnmatchcase(file_name, pattern)), "")

    def wheel_of(self, soname: str, cuda_major: str) -> str:
        """The wheel that brings a library for a CUDA major version; empty where none is known to."""
        product = self.product_of(soname)
        if not product or not cuda_major:
            return ""
        suffix = f"-cu{cuda_major}" if int(cuda_major) < 13 else ""
        return product.format(suffix=suffix, major=cuda_major)

    def product_of(self, soname: str) -> str:
        """What a library is part of, as the wheel is written in the table; empty where none is known."""
        stem = soname.partition(".so")[0]
        longest = max((name for name in self.wheels if stem.startswith(name)), key=len, default="")
        return self.wheels.get(longest, "")

    def cuda_build_reason(self, framework: str, version: str) -> str:
        """Why a version's CUDA build may stand in a cpu env; empty where it may not."""
        found = (e for e in self.excuses if e.framework == framework and e.first <= Version(version) <= e.last)
        return next((excuse.reason for excuse in found), "")


def load_libraries(file: Path | None = None) -> Libraries:
    """Read the table that comes with this package, or another. Raises ConfigError naming file and key."""
    file = file or Path(__file__).with_name("libraries.toml")
    top = Table(file, "", read_toml(file))
    table = Libraries(
        driver=top.strings("driver"),
        folders=top.strings("folders"),
        wheels=mapping(top, "wheels"),
        frameworks=tuple(_framework(row) for row in rows(top, "framework")),
        optional=mapping(top, "optional"),
        excuses=tuple(_excuse(row) for row in rows(top, "cuda-build-in-cpu")),
    )
    top.done()
    return table


def _framework(row: Table) -> FrameworkOpens:
    first, last = version_range(row, "versions")
    return FrameworkOpens(
        framework=row.take("framework", str), first=first, last=last, by=row.strings("by"), names=row.strings("names")
    )


def _excuse(row: Table) -> Excuse:
    first, last = version_range(row, "versions")
    return Excuse(framework=row.take("framework", str), first=first, last=last, reason=row.take("reason", str))
