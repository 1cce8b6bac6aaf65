"""The state of each layer of each place: seen to work, broken, or not known."""

from __future__ import annotations

from dataclasses import dataclass

from dlmatrix.gpu.diagnosis.catalogue import LAYERS
from dlmatrix.gpu.diagnosis.view import Case, View


@dataclass(frozen=True, kw_only=True)
class LayerState:
    """One layer at one place (host, engine, container); `state` is works, broken or unknown."""

    place: str
    layer: str
    state: str
    detail: str


_HOST = LAYERS[:4]
_INSIDE = (
    "container",
    "device nodes",
    "driver library",
    "libcuda",
    "cuInit",
    "visibility",
    "device state",
    "framework",
)


#: The witness on whose answer a layer's state rests.
_WITNESS = {
    "hardware": "kernel",
    "kernel module": "kernel",
    "device nodes": "kernel",
    "container": "kernel",
    "driver library": "nvml",
    "libcuda": "cuda",
    "cuInit": "cuda",
    "visibility": "cuda",
    "device state": "cuda",
    "framework": "framework",
}


def heard_states(view: View) -> list[LayerState]:
    """The layers of a place whose witnesses have answered so far, as far as they alone tell."""
    layers = _HOST + LAYERS[6:] if view.place == "host" else _INSIDE
    return [_state(view, layer, set()) for layer in layers if view.get(_WITNESS[layer]) is not None]


def layer_states(case: Case, broken: set[tuple[str, str]]) -> tuple[LayerState, ...]:
    """The layers from the deepest up; `broken` are the places and layers of the causes found."""
    states = []
    bare = case.launch is None and case.inside is None
    if case.host is not None:
        states += [_state(case.host, layer, broken) for layer in (_HOST + LAYERS[6:] if bare else _HOST)]
    if case.launch is not None:
        failed = bool(case.launch.error)
        word = (
            case.launch.error.strip().splitlines()[-1] if case.launch.error.strip() else "started with a GPU asked for"
        )
        states.append(
            LayerState(place="engine", layer="container start", state="broken" if failed else "works", detail=word)
        )
    if case.inside is not None:
        alone = _HOST[:2] if case.host is None else ()
        states += [_state(case.inside, layer, broken) for layer in (*alone, *_INSIDE)]
    return tuple(states)


def _state(view: View, layer: str, broken: set[tuple[str, str]]) -> LayerState:
    works, detail = _READ[layer](view)
    state = "broken" if (view.place, layer) in broken or works is False else "works" if works else "unknown"
    return LayerState(place=view.place, layer=layer, state=state, detail=detail)


def _hardware(view: View) -> tuple[bool | None, str]:
    if view.gpus:
        return True, f"{len(view.gpus)} NVIDIA GPU(s) on the PCI bus"
    if view.wsl or view.tegra:
        return True, "WSL (/dev/dxg)" if view.wsl else "Tegra"
    if view.cu == 0 or view.gpu_nodes:
        return True, "not on a visible bus"
    return (False, "no NVIDIA GPU") if view.flag("kernel.pci.readable") else (None, view.text("kernel.pci.error"))


def _module(view: View) -> tuple[bool | None, str]:
    if view.module_version:
        flavour = {True: " (open)", False: " (proprietary)"}.get(view.flag("kernel.modules.open") or False, "")
        known = view.flag("kernel.modules.open") is not None
        return True, f"nvidia {view.module_version}{flavour if known else ''}"
    if view.wsl or view.tegra:
        return None, "not needed"
    return (False, "not loaded") if view.gpus else (None, "")


def _nodes(view: View) -> tuple[bool | None, str]:
    nodes = {path: node.text("open") for path, node in view.nodes.items()}
    refused = [f"{path}: {word}" for path, word in nodes.items() if word != "ok"]
    numbered = [path for path in view.gpu_nodes if path != "/dev/nvidiactl"]
    mine = [path for path in numbered if nodes[path] == "ok"]
    others = [path for path in numbered if path not in mine]
    if mine and len(refused) == len(others) > 0:  # the other GPUs are other jobs'
        return True, f"{', '.join(mine[:4])}; {len(others)} more that are not open to this process"
    if refused:
        return False, ", ".join(refused[:3])
    if nodes:
        return True, ", ".join(list(nodes)[:4])
    return (False, "none") if view.module_version else (None, "none")


def _nvml(view: View) -> tuple[bool | None, str]:
    if view.nv == 0:
        return True, f"driver {view.text('nvml.driver')}, {view.integer('nvml.count')} GPU(s)"
    if view.nv is not None:
        return False, f"nvmlInit returned {view.nv} ({view.text('nvml.init.name')})"
    if view.text("nvml.witness.status") in ("hang", "crash"):
        return False, view.text("nvml.witness.detail")
    return None, _missing(view.text("nvml.library.error"))


def _missing(error: str) -> str:
    return error.replace("cannot open shared object file: No such file or directory", "not found")


def _container(view: View) -> tuple[bool | None, str]:
    return True, view.text("kernel.container.kind") or "runs"


def _libcuda(view: View) -> tuple[bool | None, str]:
    if view.flag("cuda.library.loaded"):
        return True, view.text("cuda.library.path")
    return (False if view.module_version or view.wsl else None), _missing(view.text("cuda.library.error"))


def _cuinit(view: View) -> tuple[bool | None, str]:
    if view.cu == 0:
        version = view.integer("cuda.version") or 0
        return True, f"CUDA {version // 1000}.{version % 1000 // 10}"
    if view.cu is not None:
        return False, f"cuInit returned {view.cu} ({view.text('cuda.init.text')})"
    if view.text("cuda.witness.status") in ("hang", "crash"):
        return False, view.text("cuda.witness.detail")
    return None, ""


def _visibility(view: View) -> tuple[bool | None, str]:
    count = view.integer("cuda.count")
    return (None, "") if count is None else (count > 0, f"{count} device(s)")


def _device(view: View) -> tuple[bool | None, str]:
    if not view.contexts:
        return None, ""
    good = view.contexts.count(0)
    return good > 0, f"a context on {good} of {len(view.contexts)} GPU(s)"


def _framework(view: View) -> tuple[bool | None, str]:
    if view.get("framework") is None:
        return None, "not asked"
    words = f"{view.text('framework.name')} {view.text('framework.version')}".strip()
    return view.usable, f"{words}, {view.integer('framework.count') or 0} GPU(s)"


_READ = dict(
    zip(
        ("hardware", "kernel module", "device nodes", "driver library", "container", *LAYERS[6:]),
        (_hardware, _module, _nodes, _nvml, _container, _libcuda, _cuinit, _visibility, _device, _framework),
        strict=True,
    )
)
