"""Holds a row of envs/compatibility.toml against what an installed framework says of its own build."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from packaging.version import Version

from dlmatrix.matrix.compatibility import Build


@dataclass(frozen=True, kw_only=True)
class Said:
    """What an installed framework says of its own build; ``kernels`` are names like sm_86 and compute_90."""

    cuda: str
    cudnn: str
    kernels: tuple[str, ...]


def disagreements(build: Build, said: Said) -> tuple[str, ...]:
    """Where a row of the table and an installed framework differ; empty where they agree.

    TensorFlow's ``compute_90`` stands for code of both kinds (its configure step), torch's for ptx.
    """
    both = build.framework == "tf"
    sass = {_capability(k) for k in said.kernels if k.startswith("sm_") or (both and k.startswith("compute_"))}
    ptx = {_capability(k) for k in said.kernels if k.startswith("compute_")}
    pairs = {
        "CUDA": (build.cuda, ".".join(said.cuda.split(".")[:2])),
        "cuDNN": (build.cudnn, said.cudnn),
        "machine code": (_listed(build.sass), _listed(sass)),
        "ptx": (_listed(build.ptx), _listed(ptx)),
    }
    return tuple(
        f"{what}: the table says {ours}, the build says {own}" for what, (ours, own) in pairs.items() if ours != own
    )


def _capability(kernel: str) -> Version:
    digits = re.sub(r"\D", "", kernel)
    return Version(f"{digits[:-1]}.{digits[-1]}")


def _listed(capabilities: Iterable[Version]) -> str:
    return ", ".join(map(str, sorted(capabilities))) or "none"
