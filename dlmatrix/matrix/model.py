"""The values everything else works on: frozen, without behaviour beyond their own names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from dlmatrix.errors import ConfigError


def normal_name(distribution: str) -> str:
    """A distribution's name as indexes compare it (PEP 503): ``Flask_Cors`` is ``flask-cors``."""
    return re.sub(r"[-_.]+", "-", distribution).lower()


class Status(str, Enum):
    """What is known about a cell before it runs."""

    SUPPORTED = "supported"
    #: locked from public records, never installed by this project yet
    UNVERIFIED = "unverified"
    #: cannot exist; the reason says why and what works instead
    IMPOSSIBLE = "impossible"


@dataclass(frozen=True, kw_only=True)
class KnownWheel:
    """A wheel known from public records, for locking where no index that serves it can be reached."""

    file: str
    sha256: str
    requires: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Env:
    """One cell of the matrix: a framework version in a variant."""

    series: str
    short: str
    variant: str
    version: str
    python: str
    requirements: tuple[str, ...]
    constraints: tuple[str, ...]
    #: what the locked source distributions are built with; locked apart, in ENV.build.txt
    build_requirements: tuple[str, ...]
    wheels: tuple[KnownWheel, ...]
    exclude_newer: str
    size_budget_mb: int
    status: Status
    reason: str
    file: Path

    @property
    def name(self) -> str:
        """The one string that names session cell, image tag, lock and report row."""
        return f"{self.variant}-{self.series}-{self.short}"

    @property
    def session(self) -> str:
        """The nox session it belongs to."""
        return f"{self.variant}-{self.series}"

    @property
    def framework(self) -> str:
        """What ``python -m smoke --framework`` is called with; tf1-compat runs TF 1 programs."""
        return "tf1" if self.series == "tf1-compat" else self.series

    @property
    def distribution(self) -> str:
        """The distribution that is the framework: the first requirement's name."""
        return normal_name(self.requirements[0].partition("==")[0].partition("[")[0])

    @property
    def pin(self) -> str:
        """Its exact version, with the local part (``2.13.0+cpu``); empty where no requirement pins one."""
        return self.requirements[0].partition("==")[2] if self.requirements else ""

    @property
    def tag(self) -> str:
        """The image's mutable name."""
        return f"dlmatrix:{self.name}"


@dataclass(frozen=True, kw_only=True)
class DebianRecipe:
    """How to make a base from Debian packages where no registry can be reached."""

    suite: str
    packages: tuple[str, ...]
    #: copy the CPython found on this machine to /usr/local, for versions Debian has not
    copy_interpreter: bool


@dataclass(frozen=True, kw_only=True)
class Base:
    """The image in FROM, for one Python version."""

    python: str
    image: str
    debian: DebianRecipe

    @property
    def debian_tag(self) -> str:
        """The local name of the base made from Debian packages."""
        return f"dlmatrix-base:{self.python}-{self.debian.suite}"


@dataclass(frozen=True, kw_only=True)
class LockEntry:
    """One resolved distribution."""

    name: str
    version: str
    hashes: tuple[str, ...]
    #: where it is installed (``python_full_version < '3.11'``); "" everywhere
    marker: str = ""


@dataclass(frozen=True, kw_only=True)
class Lock:
    """A parsed envs/locks/ file; ``sha256`` is over its bytes."""

    file: Path
    sha256: str
    entries: tuple[LockEntry, ...]

    def version_of(self, distribution: str) -> str | None:
        """The locked version of a distribution, or None."""
        return next((e.version for e in self.entries if e.name == distribution), None)


@dataclass(frozen=True, kw_only=True)
class Matrix:
    """Everything envs/ says."""

    root: Path
    envs: tuple[Env, ...]
    bases: tuple[Base, ...]
    #: what is wrong with the files of versions that are left out, by their stems: ``torch-2.13``
    broken: Mapping[str, ConfigError] = field(default_factory=dict)

    def base(self, python: str) -> Base:
        """The base for a Python version; the loader has made sure that there is one."""
        return next(b for b in self.bases if b.python == python)


@dataclass(frozen=True, kw_only=True)
class Site:
    """What this machine's owner has configured for package tools. Never part of an image."""

    find_links: tuple[Path, ...] = ()
    index: str | None = None
    extra_indexes: tuple[str, ...] = ()
    ca_bundle: Path | None = None
    proxies: dict[str, str] = field(default_factory=dict)
