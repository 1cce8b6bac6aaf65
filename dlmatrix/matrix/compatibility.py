"""Which GPUs and drivers a framework's wheel runs on, from envs/compatibility.toml."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from packaging.version import Version

from dlmatrix.matrix.model import Env, Lock
from dlmatrix.matrix.tables import mapping, rows, version, version_range, versions
from dlmatrix.system.toml import Table, read_toml

#: NVIDIA's wheels that compute with CUDA; what only observes (nvidia-ml-py) or calls a service is not among them.
#: smoke/distributions.py holds the same.
_CUDA = re.compile(r"nvidia-(?!nvml)(cu|nccl|npp|nv|.+-cu(da)?\d)")


def is_cuda(distribution: str) -> bool:
    """Whether a distribution, by its normalised name, is one of NVIDIA's CUDA libraries."""
    return _CUDA.match(distribution) is not None


@dataclass(frozen=True, kw_only=True)
class Build:
    """What the wheels of a range of versions hold; capabilities are written like ``8.6``."""

    framework: str
    first: Version
    last: Version
    cuda: str
    #: the major version it was compiled against
    cudnn: str
    #: machine code: runs on the same major, same or later minor
    sass: tuple[Version, ...]
    #: intermediate code: compiled by the driver on anything as new or newer
    ptx: tuple[Version, ...]

    @property
    def cuda_major(self) -> str:
        """``12`` of ``12.4``."""
        return self.cuda.partition(".")[0]


@dataclass(frozen=True, kw_only=True)
class PythonRange:
    """The Pythons that a range of versions has wheels for."""

    framework: str
    first: Version
    last: Version
    oldest: Version
    newest: Version


@dataclass(frozen=True, kw_only=True)
class LastBranch:
    """The last driver branch that serves an architecture."""

    architecture: str
    below: Version
    branch: int


@dataclass(frozen=True, kw_only=True)
class Compatibility:
    """The whole table."""

    toolkit_driver: dict[Version, Version]
    minor_version_driver: dict[str, Version]
    last_branches: tuple[LastBranch, ...]
    #: cuDNN version -> the oldest compute capability it serves
    cudnn_capability: dict[Version, Version]
    integrated: tuple[Version, ...]
    gpu_names: dict[str, Version]
    builds: tuple[Build, ...]
    pythons: tuple[PythonRange, ...]

    def build_of(self, env: Env) -> Build | None:
        """The row an env's default-index wheel belongs to, or None where nobody has measured it."""
        found = (b for b in self.builds if b.framework == family(env) and b.first <= Version(env.version) <= b.last)
        return next(found, None)

    def python_of(self, env: Env) -> PythonRange | None:
        """The Pythons an env's version has wheels for, or None where it is not recorded."""
        found = (p for p in self.pythons if p.framework == family(env) and p.first <= Version(env.version) <= p.last)
        return next(found, None)

    def capability_of(self, name: str) -> Version | None:
        """The compute capability of a GPU of which only the product name is known."""
        found = (c for pattern, c in self.gpu_names.items() if re.search(rf"\b(?:{pattern})\b", name, re.IGNORECASE))
        return next(found, None)

    def last_branch(self, capability: Version) -> LastBranch | None:
        """The driver branch after which this GPU is ignored, or None for one that is still served."""
        return next((row for row in self.last_branches if capability < row.below), None)

    def machine_code_driver(self, build: Build) -> Version:
        """The oldest driver for a build's machine code (minor-version compatibility, where CUDA has it)."""
        return self.minor_version_driver.get(build.cuda_major) or self.own_driver(build)

    def own_driver(self, build: Build) -> Version:
        """The driver of a build's toolkit; of the next confirmed one where that is not confirmed."""
        return next(self.toolkit_driver[t] for t in sorted(self.toolkit_driver) if t >= Version(build.cuda))

    def cudnn_floor(self, lock: Lock) -> tuple[str, Version] | None:
        """The locked cuDNN's version and the oldest GPU it serves; None where it sets no bound."""
        locked = next((e.version for e in lock.entries if re.fullmatch(r"nvidia-cudnn-cu\d+", e.name)), None)
        floors = [c for v, c in self.cudnn_capability.items() if locked and Version(locked) >= v]
        return (locked, max(floors)) if locked and floors else None


def family(env: Env) -> str:
    """``torch`` or ``tf``: whose versions an env's number counts."""
    return "torch" if env.series == "torch" else "tf"


def load_compatibility(root: Path) -> Compatibility:
    """Read envs/compatibility.toml. Raises ConfigError naming file and key."""
    file = root / "envs" / "compatibility.toml"
    top = Table(file, "", read_toml(file))
    table = Compatibility(
        toolkit_driver={version(top, k, k): v for k, v in _versions_of(top, "toolkit-driver").items()},
        minor_version_driver=_versions_of(top, "minor-version-driver"),
        last_branches=tuple(
            LastBranch(
                architecture=row.take("architecture", str),
                below=version(row, "below", row.take("below", str)),
                branch=row.take("branch", int),
            )
            for row in rows(top, "last-branch")
        ),
        cudnn_capability={version(top, k, k): v for k, v in _versions_of(top, "cudnn-capability").items()},
        integrated=versions(top, "integrated"),
        gpu_names=_gpu_names(top),
        builds=tuple(_build(row) for row in rows(top, "build")),
        pythons=tuple(_python(row) for row in rows(top, "python")),
    )
    top.done()
    return table


def _gpu_names(top: Table) -> dict[str, Version]:
    """The capability of each GPU, by a regular expression of its product names."""
    found = _versions_of(top, "gpu-names")
    for pattern in found:
        try:
            re.compile(pattern)
        except (re.error, RecursionError, OverflowError) as error:
            top.fail(f"gpu-names.{pattern}", f"is no regular expression: {error}", "correct it")
    return found


def _versions_of(top: Table, key: str) -> dict[str, Version]:
    return {name: version(top, f"{key}.{name}", value) for name, value in mapping(top, key).items()}


def _build(row: Table) -> Build:
    first, last = version_range(row, "versions")
    return Build(
        framework=row.take("framework", str),
        first=first,
        last=last,
        cuda=str(version(row, "cuda", row.take("cuda", str))),
        cudnn=row.take("cudnn", str),
        sass=versions(row, "sass"),
        ptx=versions(row, "ptx"),
    )


def _python(row: Table) -> PythonRange:
    first, last = version_range(row, "versions")
    oldest, newest = version_range(row, "python")
    return PythonRange(framework=row.take("framework", str), first=first, last=last, oldest=oldest, newest=newest)
