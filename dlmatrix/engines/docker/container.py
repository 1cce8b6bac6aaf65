"""How a container is confined, in one place: checks, detection and inspection take their options from here.

A container's options are the keyword arguments of the Docker SDK's ``containers.create``; the ``docker run`` command
that people are shown, and that inspection runs, is written from the same value.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from dlmatrix.engines.docker.gpus import by_hook, words
from dlmatrix.errors import UsageError
from dlmatrix.matrix.plan import Limits, Plan

Options = dict[str, Any]

#: The image runs as this user, which has no passwd entry.
USER = "65532:65532"

#: What an engine keeps of an output: a document has a hundredth, and one without end must not fill its disk.
_KEPT = "64m"

#: Each option that a container may be given, as words of ``docker run``; what has no row here cannot be shown.
_WORDS: Mapping[str, Callable[[Any], Sequence[str]]] = {
    "user": lambda value: ("--user", value),
    "network_mode": lambda value: ("--network", value),
    "read_only": lambda value: ("--read-only",) if value else (),
    "cap_drop": lambda values: _each("--cap-drop", values),
    "cap_add": lambda values: _each("--cap-add", values),
    "security_opt": lambda values: _each("--security-opt", values),
    "tmpfs": lambda folders: _each("--tmpfs", (f"{path}:{how}" for path, how in folders.items())),
    "pids_limit": lambda value: ("--pids-limit", str(value)),
    "mem_limit": lambda value: ("--memory", str(value)),
    "memswap_limit": lambda value: ("--memory-swap", str(value)),
    "shm_size": lambda value: ("--shm-size", str(value)),
    "nano_cpus": lambda value: ("--cpus", f"{value / 1e9:g}"),
    "log_config": lambda value: (
        *("--log-driver", value["Type"]),
        *_each("--log-opt", (f"{name}={told}" for name, told in value.get("Config", {}).items())),
    ),
    "entrypoint": lambda value: ("--entrypoint", value),
    "device_requests": words,
}


def confined(
    image: str,
    command: Sequence[str],
    limits: Limits,
    *,
    user: str = USER,
    entrypoint: str = "",
    reads_everything: bool = False,
    keeps_output: bool = False,
) -> Options:
    """The options of a container that can reach and change as little as possible.

    ``reads_everything`` is for looking at an image's files: every one may be read, and no /tmp hides the image's own.
    ``keeps_output`` lets the engine keep what was printed, for a caller that asks for it afterwards.
    """
    options: Options = {
        "image": image,
        "command": list(command),
        "user": user,
        "network_mode": "none",
        "read_only": True,
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges"],
        "pids_limit": limits.pids,
        "mem_limit": limits.memory_bytes,
        "memswap_limit": limits.memory_bytes,
        "shm_size": limits.shm_bytes,
        # Not the engine's default, which may keep nothing, or send it elsewhere.
        "log_config": {"Type": "json-file", "Config": {"max-size": _KEPT}} if keeps_output else {"Type": "none"},
    }
    if reads_everything:
        options["cap_add"] = ["DAC_READ_SEARCH"]
    else:
        options["tmpfs"] = {"/tmp": f"rw,nosuid,nodev,size={limits.tmp_bytes},mode=1777"}  # noqa: S108
    if limits.cpus:
        options["nano_cpus"] = round(limits.cpus * 1_000_000_000)
    if entrypoint:
        options["entrypoint"] = entrypoint
    return options


def container_options(plan: Plan) -> Options:
    """The container in which an env's checks run; GPUs come on top."""
    return confined(plan.env.tag, plan.smoke_arguments(hermetic=True), plan.limits)


def run_command(plan: Plan) -> list[str]:
    """The ``docker run`` command of an env's checks, to show to people."""
    gpus = {"device_requests": [by_hook(plan.gpus).request]} if plan.gpu else {}
    return command_line(container_options(plan) | gpus)


def refuse_limits(limits: Limits, info: Mapping[str, Any]) -> None:
    """Raise UsageError for a limit that was asked for and that this engine would not keep; ``info`` is of the engine.

    It takes one that its kernel has no means for with no more than a warning.
    """
    without = []
    if limits.memory_bytes != Limits().memory_bytes and not info.get("MemoryLimit"):
        without.append("--memory: the kernel of the Docker engine limits no memory")
    if limits.cpus and not info.get("CpuCfsQuota"):
        without.append("--cpus: the kernel of the Docker engine limits no processors")
    elif limits.cpus > info["NCPU"]:
        without.append(f"--cpus {limits.cpus:g}: the Docker engine has {info['NCPU']}")
    if without:
        raise UsageError("; ".join(without), "leave it out, or see the warnings of `docker info`")


def with_processors(limits: Limits, info: Mapping[str, Any]) -> Limits:
    """Limits with one of processors, which a framework that counts the machine's would pass over."""
    # A kernel without quotas refuses one; there the affinity mask is all there is.
    return replace(limits, cpus=(limits.cpus or info["NCPU"]) if info.get("CpuCfsQuota") else 0)


def said(limits: Limits) -> str:
    """The limits, for reports."""
    processors = f"{limits.cpus:g} processors" if limits.cpus else "every processor"
    return f"{processors}, {limits.memory_bytes >> 20} MiB of memory, {limits.shm_bytes >> 20} MiB of /dev/shm"


def command_line(options: Options, *more: str) -> list[str]:
    """The ``docker run`` command of a container with these options and ``more`` words of the command line."""
    command = ["docker", "run", "--rm", *more]
    for name, value in options.items():
        if name not in ("image", "command"):
            command += _WORDS[name](value)
    return [*command, options["image"], *options["command"]]


def _each(flag: str, values: Any) -> list[str]:
    return [word for value in values for word in (flag, value)]
