"""Says before anything is built whether this machine's driver and GPUs can run an env's kernels."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum

from packaging.version import Version

from dlmatrix.gpu.kernels import runs_on
from dlmatrix.matrix.compatibility import Build, Compatibility
from dlmatrix.matrix.model import Env, Lock, Status


class Fit(str, Enum):
    """How an env's kernels and a machine go together."""

    FITS = "fits"
    #: runs, after the driver has compiled ptx for minutes at the first start
    COMPILES_FIRST = "compiles first"
    #: the card is older than anything the wheel, its cuDNN or its driver serves
    CARD_TOO_OLD = "card too old"
    #: the card is newer than the wheel's kernels, and there is no ptx to compile
    WHEEL_TOO_OLD = "wheel too old"
    DRIVER_TOO_OLD = "driver too old"
    #: a driver branch that has dropped this card
    DRIVER_TOO_NEW = "driver too new"
    NO_DRIVER = "no driver"
    NO_GPU = "no gpu"
    #: nobody has measured this wheel, or nothing names this card's compute capability
    UNKNOWN = "unknown"


#: From best to worst: the best card of a machine decides.
_RANK = tuple(Fit)
#: The verdicts with which the GPU part of an env can run.
USABLE = (Fit.FITS, Fit.COMPILES_FIRST)


@dataclass(frozen=True, kw_only=True)
class Gpu:
    """A card as detection sees it; ``capability`` (``8.6``) is None where only its name is known."""

    name: str
    capability: str | None = None


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What this machine offers; ``driver`` is the kernel module's version (``550.54.14``), None without one."""

    driver: str | None
    gpus: tuple[Gpu, ...]


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The gate's answer for one env, with the gpu envs that would work on this machine, nearest first."""

    env: str
    fit: Fit
    reason: str
    would_work: tuple[str, ...] = ()

    @property
    def usable(self) -> bool:
        """Whether the GPU part of the env can run."""
        return self.fit in USABLE


def judge(
    table: Compatibility, env: Env, machine: Machine, envs: Iterable[Env] = (), locks: dict[str, Lock] | None = None
) -> Verdict:
    """Judge one env on one machine.

    ``envs`` are the candidates to suggest; ``locks`` (env name -> lock) adds the bound that the
    locked cuDNN sets. A cpu env always fits. Pure: reads nothing, raises nothing.
    """
    locks = locks or {}
    fit, reason = _judge(table, env, machine, locks.get(env.name))
    if fit in (*USABLE, Fit.NO_GPU, Fit.NO_DRIVER):
        return Verdict(env=env.name, fit=fit, reason=reason)
    others = [e for e in envs if e.variant == "gpu" and e.status is not Status.IMPOSSIBLE and e != env]
    ranked = sorted(
        ((_judge(table, e, machine, locks.get(e.name))[0], e) for e in others),
        key=lambda pair: (_RANK.index(pair[0]), pair[1].series != env.series),
    )
    return Verdict(env=env.name, fit=fit, reason=reason, would_work=tuple(e.name for f, e in ranked if f in USABLE))


def newest_that_runs(
    table: Compatibility, versions: Sequence[Env], machine: Machine, locks: dict[str, Lock]
) -> tuple[Env, tuple[Verdict, ...]]:
    """Of some envs, the oldest first, the newest that this machine can run, and why each newer one cannot.

    Where the machine has no GPU or no driver, or none of them is known to run on it, it is the newest of all.
    """
    passed_over: list[Verdict] = []
    for env in reversed(versions) if machine.gpus and machine.driver else ():
        verdict = judge(table, env, machine, locks=locks)
        if verdict.usable:
            return env, tuple(passed_over)
        passed_over.append(verdict)
    return versions[-1], ()


def _judge(table: Compatibility, env: Env, machine: Machine, lock: Lock | None) -> tuple[Fit, str]:
    if env.variant == "cpu":
        return Fit.FITS, "needs no GPU"
    build = table.build_of(env)
    if not build:
        return Fit.UNKNOWN, f"no row of envs/compatibility.toml covers {env.series} {env.version}"
    if not machine.gpus:
        return Fit.NO_GPU, "this machine has no NVIDIA GPU"
    if not machine.driver:
        return Fit.NO_DRIVER, f"{machine.gpus[0].name} is here, and no NVIDIA driver is loaded"
    floor = table.cudnn_floor(lock) if lock else None
    answers = [_judge_card(table, build, gpu, Version(machine.driver), floor) for gpu in machine.gpus]
    best = min(answers, key=lambda answer: _RANK.index(answer[0]))
    if best[0] in USABLE:
        unusable = [reason for fit, reason in answers if fit not in USABLE]
        return best[0], "; ".join([best[1], *dict.fromkeys(unusable)])
    return best


def _judge_card(
    table: Compatibility, build: Build, gpu: Gpu, driver: Version, floor: tuple[str, Version] | None
) -> tuple[Fit, str]:
    capability = Version(gpu.capability) if gpu.capability else table.capability_of(gpu.name)
    if not capability:
        return Fit.UNKNOWN, f"no compute capability is known for {gpu.name}"
    card = f"{gpu.name} (compute capability {capability})"
    last = table.last_branch(capability)
    if last and driver.major > last.branch:
        return (
            Fit.DRIVER_TOO_NEW,
            f"driver {_named(driver)} ignores {card}: {last.architecture} ended with R{last.branch}",
        )
    kind, reason = _kernels(table, build, capability, card)
    if kind not in USABLE:
        return kind, reason
    if floor and capability < floor[1]:
        return Fit.CARD_TOO_OLD, f"cuDNN {floor[0]} serves compute capability {floor[1]} and up; {card} is below"
    needed = table.own_driver(build) if kind is Fit.COMPILES_FIRST else table.machine_code_driver(build)
    if driver < needed:
        what = f"CUDA {build.cuda} needs driver {_named(needed)} or newer, this machine has {_named(driver)}"
        if last and needed.major > last.branch:
            return Fit.CARD_TOO_OLD, f"{what}; R{last.branch} is the last branch for {card}"
        return Fit.DRIVER_TOO_OLD, what
    return kind, reason


def _named(driver: Version) -> str:
    """A driver's version as NVIDIA writes it, with two digits at its end: ``535.183.01``."""
    *first, last = driver.release
    return ".".join([*map(str, first), f"{last:02}"])


def _kernels(table: Compatibility, build: Build, capability: Version, card: str) -> tuple[Fit, str]:
    if capability in table.integrated:
        return Fit.WHEEL_TOO_OLD, f"{card} is an integrated GPU: it needs NVIDIA's own aarch64 wheels"
    card_is = (capability.major, capability.minor)
    native = [s for s in build.sass if runs_on(_target("sm", s), card_is)]
    if native:
        return Fit.FITS, f"machine code for {max(native)} runs on {card}"
    compiled = [p for p in build.ptx if runs_on(_target("compute", p), card_is)]
    if compiled:
        return Fit.COMPILES_FIRST, f"runs on {card} after minutes of compiling: ptx {max(compiled)}, no machine code"
    listed = ", ".join(map(str, build.sass))
    if capability < min(build.sass):
        return Fit.CARD_TOO_OLD, f"{card} is older than the wheel's kernels ({listed})"
    return Fit.WHEEL_TOO_OLD, f"{card} is newer than the wheel's kernels ({listed}), and it has no ptx"


def _target(kind: str, capability: Version) -> str:
    return f"{kind}_{capability.major}{capability.minor}"
