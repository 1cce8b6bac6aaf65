"""One place's facts (the host, or the inside of a container), read with types: a document may hold anything."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeAlias

GPU_NODES = re.compile(r"^/dev/nvidia(\d+|ctl)$")
#: The library that each witness loads.
LIBRARIES = {"nvml": "libnvidia-ml.so", "cuda": "libcuda.so"}
#: The steps of the framework's witness that may fail.
_STEPS = ("import", "available", "count", "initialised", "probe", "convolution")
_LIBRARY_VERSION = re.compile(r"\.so\.(\d+\.\d+(?:\.\d+)*)$")


class View:
    """A facts document of `smoke.detect`; what is missing or of the wrong type reads as None, "" or ()."""

    def __init__(self, facts: object, *, place: str) -> None:
        self._facts = facts
        self.place = place

    def get(self, path: str) -> Any:
        """The value at a dotted path, or None."""
        value: Any = self._facts
        for part in path.split("."):
            if not isinstance(value, Mapping) or part not in value:
                return None
            value = value[part]
        return value

    def all(self, path: str) -> list[Any]:
        """The values at a dotted path in which * stands for every element of a list or table."""
        found: list[Any] = [self._facts]
        for part in path.split("."):
            following: list[Any] = []
            for value in found:
                if part == "*" and isinstance(value, Mapping):
                    following.extend(value.values())
                elif part == "*" and isinstance(value, list):
                    following.extend(value)
                elif isinstance(value, Mapping) and part in value:
                    following.append(value[part])
            found = following
        return found

    def integer(self, path: str) -> int | None:
        """An integer, or None (True is none)."""
        value = self.get(path)
        return value if isinstance(value, int) and not isinstance(value, bool) else None

    def flag(self, path: str) -> bool | None:
        """True or False, or None."""
        value = self.get(path)
        return value if isinstance(value, bool) else None

    def text(self, path: str) -> str:
        """A string, or ""."""
        value = self.get(path)
        return value if isinstance(value, str) else ""

    def rows(self, path: str) -> list[View]:
        """The tables of a list, each to be read in the same way."""
        value = self.get(path)
        return [View(v, place=self.place) for v in value if isinstance(v, Mapping)] if isinstance(value, list) else []

    def words(self, path: str) -> list[str]:
        """The strings of a list."""
        value = self.get(path)
        return [v for v in value if isinstance(v, str)] if isinstance(value, list) else []

    # What several predicates ask.

    @property
    def container(self) -> bool:
        """Whether the facts were gathered inside a container."""
        return bool(self.text("kernel.container.kind"))

    @cached_property
    def gpus(self) -> list[View]:
        """NVIDIA GPUs on the PCI bus."""
        return self.rows("kernel.pci.gpus")

    @property
    def wsl(self) -> bool:
        """Whether this is Windows' Linux, where the GPU is reached through /dev/dxg."""
        return self.flag("kernel.wsl") is True or self.flag("kernel.nodes./dev/dxg.present") is True

    @property
    def tegra(self) -> bool:
        """Whether this is a Jetson, whose GPU is not on the PCI bus."""
        return self.flag("kernel.tegra") is True or self.text("kernel.release").endswith("-tegra")

    @property
    def module_version(self) -> str:
        """The version of the loaded kernel module, or ""."""
        return self.text("kernel.modules.version")

    @property
    def branch(self) -> int | None:
        """The driver branch of the loaded module, e.g. 570."""
        match = re.match(r"(\d{2,4})\.", self.module_version)
        return int(match[1]) if match else None

    def library_version(self, witness: str) -> str:
        """The version in the real path of the library that `witness` (nvml, cuda) loaded, or ""."""
        match = _LIBRARY_VERSION.search(self.text(f"{witness}.library.path"))
        return match[1] if match else ""

    @property
    def nv(self) -> int | None:
        """The return code of nvmlInit."""
        return self.integer("nvml.init.code")

    @property
    def cu(self) -> int | None:
        """The return code of cuInit."""
        return self.integer("cuda.init.code")

    @property
    def nodes(self) -> dict[str, View]:
        """The device nodes that are present."""
        value = self.get("kernel.nodes")
        pairs = value.items() if isinstance(value, Mapping) else ()
        views = {str(path): View(node, place=self.place) for path, node in pairs}
        return {path: node for path, node in views.items() if node.flag("present")}

    @property
    def gpu_nodes(self) -> list[str]:
        """/dev/nvidiactl and /dev/nvidia<N> as far as present."""
        return [path for path in self.nodes if GPU_NODES.match(path)]

    def absent(self, witness: str) -> bool:
        """Whether the library of `witness` is nowhere to be found (other failures to load are not absence)."""
        error = self.text(f"{witness}.library.error")
        # A library that it needs itself may be what is not found.
        other = re.match(r"\S+\.so[\w.]*: cannot open", error) and LIBRARIES.get(witness, "") not in error
        return self.flag(f"{witness}.library.loaded") is False and "No such file" in error and not other

    @property
    def log(self) -> list[str]:
        """The kernel log's lines about NVIDIA."""
        return self.words("kernel.log.lines")

    def logged(self, pattern: str) -> str:
        """The first line of the kernel log that matches, or ""."""
        return next((line for line in self.log if re.search(pattern, line)), "")

    def variable(self, name: str) -> str | None:
        """An environment variable, or None where it is not set."""
        value = self.get(f"kernel.variables.{name}")
        return value if isinstance(value, str) else None

    def limit(self, name: str) -> int | None:
        """A limit of the process (address_space in bytes, open_files, …), None where there is none or it is unknown."""
        return self.integer(f"kernel.limits.{name}.soft")

    @cached_property
    def own_pids(self) -> set[int]:
        """The processes of the examination itself, which have contexts of their own on the GPU."""
        pids = [self.get("pid"), *self.all("*.witness.pid")]
        return {pid for pid in pids if isinstance(pid, int)}

    @cached_property
    def framework_errors(self) -> list[str]:
        """What went wrong in the framework, step by step."""
        errors = [self.text(f"framework.{key}_error") for key in _STEPS]
        return [error for error in errors if error]

    @cached_property
    def framework_words(self) -> str:
        """Everything the framework said: messages and errors."""
        return "\n".join([*self.words("framework.messages"), *self.framework_errors])

    @cached_property
    def capabilities(self) -> list[tuple[int, int]]:
        """Compute capability of each GPU that a witness could ask."""
        for path in ("cuda.devices", "nvml.devices", "framework.devices"):
            pairs = [row.get("compute_capability") for row in self.rows(path)]
            good = [
                (p[0], p[1]) for p in pairs if isinstance(p, list) and len(p) == 2 and all(type(n) is int for n in p)
            ]
            if good:
                return good
        return []

    @cached_property
    def contexts(self) -> list[int]:
        """The code of creating a context, for each device on which it was tried."""
        codes = [row.integer("context.code") for row in self.rows("cuda.devices")]
        return [code for code in codes if code is not None]

    @property
    def cuda_works(self) -> bool:
        """Whether the CUDA driver sees a GPU and can create a context on one."""
        return self.cu == 0 and (self.integer("cuda.count") or 0) > 0 and (not self.contexts or 0 in self.contexts)

    @property
    def usable(self) -> bool:
        """Whether a GPU can be used here, up to the framework where that was asked."""
        if self.get("framework") is None:
            return self.cuda_works
        failed = any(self.text(f"framework.{key}_error") for key in _STEPS if key != "available")
        # torch counts by NVML and so may count GPUs that it cannot start.
        seen = (self.integer("framework.count") or 0) > 0 and self.flag("framework.available") is not False
        return self.text("framework.witness.status") == "ok" and seen and not failed


@dataclass(frozen=True, kw_only=True)
class Launch:
    """How the engine answered to starting a container with a GPU."""

    error: str = ""  # the engine's text, whole; "" where the container started
    system: str = ""  # the engine's own operating system, e.g. "Docker Desktop"
    folder: str = ""  # the engine's root folder, e.g. /var/snap/docker/common/var-lib-docker
    gpus: str = ""  # which GPUs the container was given, and in which way


@dataclass(frozen=True, kw_only=True)
class Case:
    """All that is known of one machine."""

    host: View | None = None
    launch: Launch | None = None
    inside: View | None = None

    @property
    def here(self) -> View | None:
        """The deepest place that was reached, None where the engine refused to start the container."""
        if self.launch is not None and self.inside is None:
            return None
        return self.inside or self.host


@dataclass(frozen=True)
class Match:
    """The evidence for a cause; not sure where the same evidence fits another one too.

    `seen` are tags of remedies.toml that narrow the cause down; `behind` is true of a fault that shows only once the
    others are mended.
    """

    evidence: tuple[str, ...] = field(default=())
    sure: bool = True
    seen: tuple[str, ...] = ()
    behind: bool = False


Predicate: TypeAlias = Callable[[Case, View], "Match | None"]
PREDICATES: dict[str, Predicate] = {}


def predicate(function: Predicate) -> Predicate:
    """Make a function known to causes.toml by its name, where its meaning is written down too."""
    PREDICATES[function.__name__.lstrip("_")] = function
    return function


def found(
    *evidence: str, when: object = True, sure: bool = True, seen: Iterable[str] = (), behind: bool = False
) -> Match | None:
    """A match with this evidence, or None unless `when`."""
    return Match(tuple(line for line in evidence if line), sure, tuple(seen), behind) if when else None


def listing(values: Iterable[object], limit: int = 8) -> str:
    """Values joined by commas, cut after `limit`."""
    shown = [str(v) for v in values]
    return ", ".join(shown[:limit]) + (", …" if len(shown) > limit else "")
