"""NVML's testimony, through pynvml (distribution nvidia-ml-py).

Calls that an old driver lacks are noted under "calls" with their code and the next older call is tried. Keyed on the
code, never on the message. Units: bytes, watts, MHz, degrees Celsius, percent.
"""

from __future__ import annotations

from ctypes import CDLL, byref

from .loading import load
from .tree import Tree, clip

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .witness import Notes

_MAX_DEVICES = 64
_VGPU = 2  # NVML_GPU_VIRTUALIZATION_MODE_VGPU: a virtual GPU, seen by its guest
_FUNCTION_NOT_FOUND, _NOT_SUPPORTED = 13, 3


def observe(notes: Notes, root: str, framework: str | None = None) -> None:
    """Put NVML's answers into `notes`; NVML is shut down whatever happens in between."""
    notes.calling("dlopen libnvidia-ml.so.1")
    library, facts = load("libnvidia-ml.so.1", Tree(root))
    notes.put("library", facts)
    try:
        import pynvml
    except ImportError as error:
        notes.put("pynvml", {"imported": False, "error": clip(error)})
        if library is not None:
            _bare(library, notes)
        return
    notes.put("pynvml", {"imported": True, "error": None})
    if library is None:
        return
    ask = Nvml(pynvml, notes)
    ask("nvmlInit")
    notes.put("init", {"code": ask.code, "name": ask.name})
    if ask.code != 0:
        return
    try:
        _system(ask, notes)
        _devices(ask, notes)
    finally:
        ask("nvmlShutdown")
        notes.put("shutdown", ask.code)


def _bare(library: CDLL, notes: Notes) -> None:
    # Without pynvml at least the first question can be asked.
    for name in ("nvmlInit_v2", "nvmlInit"):
        if hasattr(library, name):
            notes.calling(name)
            code = getattr(library, name)()
            notes.put("init", {"code": code, "name": None})
            if code == 0:
                library.nvmlShutdown()
            return


class Nvml:
    """Calls pynvml by name; after each call `code` is its return code, and failures are kept in `failed`."""

    def __init__(self, pynvml: Any, notes: Notes) -> None:
        self.pynvml = pynvml
        self.notes = notes
        self.failed: dict[str, int | None] = {}
        self.code: int | None = 0
        self.name: str | None = None

    def __call__(self, name: str, *arguments: Any) -> Any:
        """The call's answer, None where it failed."""
        self.notes.calling(name)
        self.code, self.name = 0, "SUCCESS"
        try:
            return getattr(self.pynvml, name)(*arguments)
        except self.pynvml.NVMLError as error:
            self.code = getattr(error, "value", None)
            self.name = type(error).__name__.replace("NVMLError_", "")
        except AttributeError:  # this pynvml does not have the call
            self.code, self.name = _FUNCTION_NOT_FOUND, "FunctionNotFound"
        except (ValueError, TypeError, OverflowError, IndexError, MemoryError) as error:  # a nonsensical answer
            self.code, self.name = None, clip(error, 120)
        if self.code != 0:
            self.failed[name] = self.code
        return None

    def first(self, *calls: tuple[Any, ...]) -> Any:
        """The answer of the first call that this driver knows; each is (name, argument, …)."""
        for call in calls:
            answer = self(*call)
            if self.code not in (_FUNCTION_NOT_FOUND, _NOT_SUPPORTED, 2):
                return answer
        return None


def _text(value: Any) -> str | None:
    return None if value is None else clip(value, 120)


def _system(ask: Nvml, notes: Notes) -> None:
    notes.put("driver", _text(ask("nvmlSystemGetDriverVersion")))
    notes.put("nvml_version", _text(ask("nvmlSystemGetNVMLVersion")))
    notes.put("cuda", ask.first(("nvmlSystemGetCudaDriverVersion_v2",), ("nvmlSystemGetCudaDriverVersion",)))
    state = ask("nvmlSystemGetConfComputeState")
    ready = ask("nvmlSystemGetConfComputeGpusReadyState")
    notes.put("confidential", {"enabled": None if state is None else bool(getattr(state, "ccFeature", 0)),
                               "ready": None if ready is None else bool(_number(ready))})  # fmt: skip


def _number(value: Any) -> Any:
    return value if isinstance(value, int) else getattr(value, "value", None)


def _devices(ask: Nvml, notes: Notes) -> None:
    count = ask("nvmlDeviceGetCount")
    notes.put("count", count)
    notes.put("calls", ask.failed)
    devices = []
    for index in range(max(0, min(count or 0, _MAX_DEVICES))):
        handle = ask("nvmlDeviceGetHandleByIndex", index)
        if handle is None:
            devices.append({"index": index, "error": {"code": ask.code, "name": ask.name}})
        else:
            kept, ask.failed = ask.failed, {}
            facts = _device(ask, handle)
            facts.update(index=index, error=None, failed=ask.failed)
            devices.append(facts)
            ask.failed = kept
        notes.put("devices", devices)
    notes.put("calls", ask.failed)


def _device(ask: Nvml, handle: Any) -> dict[str, Any]:
    p = ask.pynvml
    facts = {
        "name": _text(ask("nvmlDeviceGetName", handle)),
        "uuid": _text(ask("nvmlDeviceGetUUID", handle)),
        "serial": _text(ask("nvmlDeviceGetSerial", handle)),
        "compute_mode": ask("nvmlDeviceGetComputeMode", handle),
        "temperature": ask("nvmlDeviceGetTemperature", handle, p.NVML_TEMPERATURE_GPU),
        "performance_state": ask("nvmlDeviceGetPerformanceState", handle),
        "persistence": ask("nvmlDeviceGetPersistenceMode", handle),
    }
    capability = ask("nvmlDeviceGetCudaComputeCapability", handle)
    facts["compute_capability"] = list(capability) if capability else None
    pci = ask("nvmlDeviceGetPciInfo", handle)
    facts["pci"] = _text(getattr(pci, "busId", None))
    memory = _memory(ask, handle)
    facts["memory"] = {k: getattr(memory, k) for k in ("total", "free", "used")} if memory is not None else None
    use = ask("nvmlDeviceGetUtilizationRates", handle)
    facts["utilization"] = None if use is None else {"gpu": use.gpu, "memory": use.memory}
    facts["power"] = {
        "draw": _watts(ask("nvmlDeviceGetPowerUsage", handle)),
        "limit": _watts(
            ask.first(("nvmlDeviceGetEnforcedPowerLimit", handle), ("nvmlDeviceGetPowerManagementLimit", handle))
        ),
    }
    facts["clocks"] = {
        "sm": ask("nvmlDeviceGetClockInfo", handle, p.NVML_CLOCK_SM),
        "memory": ask("nvmlDeviceGetClockInfo", handle, p.NVML_CLOCK_MEM),
        "max_sm": ask("nvmlDeviceGetMaxClockInfo", handle, p.NVML_CLOCK_SM),
        "event_reasons": ask.first(
            ("nvmlDeviceGetCurrentClocksEventReasons", handle), ("nvmlDeviceGetCurrentClocksThrottleReasons", handle)
        ),
    }
    facts["pcie"] = {
        "generation": ask("nvmlDeviceGetCurrPcieLinkGeneration", handle),
        "max_generation": ask("nvmlDeviceGetMaxPcieLinkGeneration", handle),
        "width": ask("nvmlDeviceGetCurrPcieLinkWidth", handle),
        "max_width": ask("nvmlDeviceGetMaxPcieLinkWidth", handle),
    }
    facts["ecc"] = _ecc(ask, handle)
    facts["mig"] = _mig(ask, handle)
    facts["fabric"] = _fabric(ask, handle)
    facts["processes"] = _processes(ask, handle)
    facts["virtualization"] = ask("nvmlDeviceGetVirtualizationMode", handle)
    facts["licensed"] = _licensed(ask, handle) if facts["virtualization"] == _VGPU else None
    return facts


def _memory(ask: Nvml, handle: Any) -> Any:
    version = getattr(ask.pynvml, "nvmlMemory_v2", None)
    if version is not None:
        memory = ask("nvmlDeviceGetMemoryInfo", handle, version)
        if ask.code not in (_FUNCTION_NOT_FOUND, _NOT_SUPPORTED, 2):
            return memory
    return ask("nvmlDeviceGetMemoryInfo", handle)


def _watts(milliwatts: float | None) -> float | None:
    return None if milliwatts is None else milliwatts / 1000.0


def _ecc(ask: Nvml, handle: Any) -> dict[str, Any]:
    p = ask.pynvml
    mode = ask("nvmlDeviceGetEccMode", handle)
    remap = ask("nvmlDeviceGetRemappedRows", handle)
    return {
        "enabled": bool(mode[0]) if mode else None,
        "volatile_uncorrected": ask(
            "nvmlDeviceGetTotalEccErrors", handle, p.NVML_MEMORY_ERROR_TYPE_UNCORRECTED, p.NVML_VOLATILE_ECC
        ),
        "retirement_pending": ask("nvmlDeviceGetRetiredPagesPendingStatus", handle),
        "remap_pending": bool(remap[2]) if remap else None,
        "remap_failed": bool(remap[3]) if remap else None,
    }


def _mig(ask: Nvml, handle: Any) -> dict[str, Any]:
    mode = ask("nvmlDeviceGetMigMode", handle)
    if not mode:
        return {"enabled": None, "instances": []}
    instances = []
    if mode[0]:
        for slot in range(min(ask("nvmlDeviceGetMaxMigDeviceCount", handle) or 0, 16)):
            instance = ask("nvmlDeviceGetMigDeviceHandleByIndex", handle, slot)
            if instance is not None:
                instances.append(_text(ask("nvmlDeviceGetUUID", instance)))
    return {"enabled": bool(mode[0]), "pending": bool(mode[1]), "instances": instances}


def _fabric(ask: Nvml, handle: Any) -> dict[str, Any] | None:
    """State 0 not supported, 1 not started, 2 in progress, 3 completed (nvml.h, nvmlGpuFabricState_t)."""
    p = ask.pynvml
    for name in ("nvmlDeviceGetGpuFabricInfoV", "nvmlDeviceGetGpuFabricInfo"):
        if not hasattr(p, name):
            continue
        kind = getattr(p, "c_nvmlGpuFabricInfoV_t" if name.endswith("V") else "c_nvmlGpuFabricInfo_t", None)
        if kind is None:
            continue
        info = kind()
        ask(name, handle, byref(info))
        if ask.code == 0:
            return {"state": info.state, "status": info.status}
    return None


def _licensed(ask: Nvml, handle: Any) -> bool | None:
    """Whether a virtual GPU has the licence that its guest needs, None where NVML does not say."""
    told = ask("nvmlDeviceGetGridLicensableFeatures", handle)
    if not getattr(told, "isGridLicenseSupported", 0):
        return None
    count = min(told.licensableFeaturesCount, len(told.gridLicensableFeatures))
    return any(told.gridLicensableFeatures[index].featureState for index in range(count))


def _processes(ask: Nvml, handle: Any) -> list[dict[str, Any]] | None:
    """Compute processes: [{"pid", "memory" in bytes or None}], or None where NVML would not say."""
    name = "nvmlDeviceGetComputeRunningProcesses"
    # The unversioned call of a new pynvml refuses to fall back; an old one has no other.
    names = [name + suffix for suffix in ("_v3", "_v2") if hasattr(ask.pynvml, name + suffix)] or [name]
    found = ask.first(*[(n, handle) for n in names])
    if found is None:
        return None
    return [{"pid": item.pid, "memory": getattr(item, "usedGpuMemory", None)} for item in found[:64]]
