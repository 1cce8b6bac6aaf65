"""What will be done for an env, computed before anything is: content key, labels, limits, what the checks are told.

No word of any engine; what one knows (a base's identity) comes in as a value.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dlmatrix.layers.maker import image_maker
from dlmatrix.matrix.compatibility import load_compatibility
from dlmatrix.matrix.model import Base, Env, Lock, Matrix
from dlmatrix.matrix.sources import Sources, build_lock_of, read_sources
from dlmatrix.system.state import checkout_id

#: Every file in every image gets this time (the recipe sets, not clamps): 14 November 2023.
SOURCE_DATE_EPOCH = "1700000000"
#: Seconds that smoke gives a measuring process beyond the budget before it calls it hung.
HANGS_SECONDS = 60
#: Every GPU of the machine; and, asked for, none, so that those that are here are not seen.
ALL, NONE = ("all",), ("none",)


@dataclass(frozen=True, kw_only=True)
class ChosenBase:
    """The base an env is built on: ``ref`` goes in FROM, ``identity`` in the content key."""

    ref: str
    identity: str
    #: official, or debian
    kind: str


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What a container may use."""

    timeout_seconds: int = 600
    #: processors, and, rounded, the number of threads; 0: as many as the engine has
    cpus: float = 0
    memory_bytes: int = 8 << 30
    pids: int = 512
    shm_bytes: int = 1 << 30
    tmp_bytes: int = 2 << 30


@dataclass(frozen=True, kw_only=True)
class Measuring:
    """What throughput is measured inside; by default everything that the budget has room for."""

    #: the budget; 0: nothing is measured
    seconds: float = 120.0
    #: fresh processes for each row
    processes: int = 10
    #: ids of rows; none means all
    rows: tuple[str, ...] = ()
    #: leave out every check
    only: bool = False
    #: leave it to a run of its own, with ``only``
    later: bool = False

    def arguments(self) -> list[str]:
        """The arguments of ``python -m smoke``."""
        found = ["--throughput", f"{self.seconds:g}", "--processes", str(self.processes)]
        found += ["--rows", ",".join(self.rows)] if self.rows else []
        found += ["--only", "throughput"] if self.only else []
        return [*found, *(["--later"] if self.later else [])]


def quick(env: Env) -> Measuring:
    """Training and inference the plain way, in one process: figures without an interval, in seconds."""
    mode = {"torch": "eager", "tf2": "graph", "tf1": "session"}[env.framework]
    rows = tuple(f"cnn/{kind}/{mode}/128/fp32/device" for kind in ("train", "infer"))
    return Measuring(seconds=60.0, processes=1, rows=rows)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """One env, resolved: all that an engine needs to build and run it."""

    env: Env
    lock: Lock
    base: Base
    root: Path
    uv_version: str
    limits: Limits
    sources: Sources
    #: the GPUs it is started with, as ``--gpus`` names them; () and NONE: without
    gpus: tuple[str, ...] = ()
    #: the CUDA version of the framework's wheel, where the compatibility table has a row for it
    cuda: str | None = None
    measuring: Measuring = Measuring()

    @property
    def gpu(self) -> bool:
        """Whether it is started with a GPU."""
        return self.gpus not in ((), NONE)

    def key(self, base: ChosenBase) -> str:
        """The content key: one digest over every input of the image."""
        return _digest(self.inputs(base))

    def framework_key(self, base: ChosenBase) -> str:
        """The same over what the big layer depends on: everything but the checks."""
        return _digest({name: value for name, value in self.inputs(base).items() if name != "smoke"})

    def inputs(self, base: ChosenBase) -> dict[str, str]:
        """Everything the image depends on, each by a digest or its value."""
        args = self.build_args(base) | {"BASE": ""}  # the identity stands for the name
        return {
            "dockerfile": self.sources.recipe,
            "lock": self.lock.sha256,
            "build-lock": self.sources.build_lock,
            "base": base.identity,
            "smoke": self.sources.smoke,
            "uv": self.uv_version,
            "layers": image_maker(),
            "args": " ".join(f"{name}={value}" for name, value in args.items()),
        }

    @property
    def checkout(self) -> str:
        """What tells the containers of this working folder, in which envs are held, from those of others."""
        return checkout_id(self.root)

    @property
    def disk_bytes(self) -> int:
        """About what a build takes on the engine's disk: its files lie there three times.

        In the installer's cache, as built, and in the image; compressed once more. gpu-tf2-2.10 took 15 GB.
        """
        return 3_000_000 * self.env.size_budget_mb

    @property
    def build_lock(self) -> Path | None:
        """The hashed build dependencies of what the lock has only as source, where there are any."""
        return build_lock_of(self.lock)

    def build_args(self, base: ChosenBase) -> dict[str, str]:
        """The Dockerfile's ARGs."""
        return {
            "BASE": base.ref,
            "PYTHON": self.env.python,
            "VARIANT": self.env.variant,
            "SOURCE_DATE_EPOCH": SOURCE_DATE_EPOCH,
        }

    def labels(self, base: ChosenBase) -> dict[str, str]:
        """The image's labels; none depends on time, place or user, so the digest does not."""
        distribution, version = framework_pin(self.env, self.lock)
        return {
            "org.opencontainers.image.title": f"dlmatrix {self.env.name}",
            "org.opencontainers.image.version": version,
            "org.opencontainers.image.licenses": "Apache-2.0",
            "org.opencontainers.image.base.name": base.ref.partition("@")[0],
            "org.opencontainers.image.base.digest": base.identity,
            "dlmatrix.env": self.env.name,
            "dlmatrix.framework": distribution,
            "dlmatrix.version": version,
            "dlmatrix.python": self.env.python,
            "dlmatrix.lock": f"sha256:{self.lock.sha256}",
            "dlmatrix.key": self.key(base),
        }

    def expect(self) -> dict[str, Any]:
        """What the checks inside hold the installation against."""
        distribution, version = framework_pin(self.env, self.lock)
        return {
            "env": self.env.name,
            "series": self.env.series,
            "variant": self.env.variant,
            "distribution": distribution,
            "version": version,
            "cuda": self.cuda,
            "gpu": self.gpu,
        }

    def smoke_arguments(self, hermetic: bool) -> list[str]:
        """The arguments of ``python -m smoke``; ``hermetic`` where it runs in a closed container."""
        expect = json.dumps(self.expect() | {"hermetic": hermetic}, sort_keys=True)
        arguments = ["--framework", self.env.framework, "--json", "-", "--timeout", str(self.limits.timeout_seconds)]
        return [*arguments, *self.measuring.arguments(), "--expect", expect]

    @property
    def ends_within(self) -> float:
        """Seconds after which smoke has ended by itself whatever hung in it."""
        measures = self.measuring.seconds and not self.measuring.later
        return self.limits.timeout_seconds + (self.measuring.seconds + HANGS_SECONDS if measures else 0)


def make_plan(matrix: Matrix, env: Env, lock: Lock, uv_version: str, limits: Limits) -> Plan:
    """Bring together what belongs to one env."""
    build = load_compatibility(matrix.root).build_of(env) if env.variant == "gpu" else None
    return Plan(
        env=env,
        lock=lock,
        base=matrix.base(env.python),
        root=matrix.root,
        uv_version=uv_version,
        limits=limits,
        sources=read_sources(matrix.root, lock),
        cuda=build.cuda if build else None,
    )


def changed_since(plan: Plan) -> bool:
    """Whether what a build reads from the checkout is no longer what it was when the plan was made."""
    lock = hashlib.sha256(plan.lock.file.read_bytes()).hexdigest()
    return read_sources(plan.root, plan.lock) != plan.sources or lock != plan.lock.sha256


def official(base: Base) -> ChosenBase:
    """The official image, which its digest identifies on every engine."""
    return ChosenBase(ref=base.image, identity=base.image.partition("@")[2], kind="official")


def debian(base: Base, image_id: str) -> ChosenBase:
    """The base made from Debian packages, which an engine knows under ``image_id``."""
    return ChosenBase(ref=base.debian_tag, identity=image_id, kind="debian")


def framework_pin(env: Env, lock: Lock) -> tuple[str, str]:
    """The distribution that is the framework, and its locked version with the local part (``2.13.0+cpu``)."""
    return env.distribution, lock.version_of(env.distribution) or env.pin


def _digest(inputs: dict[str, str]) -> str:
    return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()
