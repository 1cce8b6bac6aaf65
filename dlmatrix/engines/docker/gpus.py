"""How GPUs are handed to a container: by the engine's own GPU option, or as devices of a CDI specification.

Nothing else about a container is relaxed for them: either way brings the device files and the driver's libraries
before the root becomes read-only, and the kernel modules are loaded on the host, so that no capability is needed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dlmatrix.errors import GpuRefusedError
from dlmatrix.matrix.plan import ALL

#: NVIDIA's kind of device in CDI specifications, as nvidia-ctk writes them.
_KIND = "nvidia.com/gpu"
#: What an engine says that has no NVIDIA hook.
_NO_HOOK = "could not select device driver"
#: The first version of the engine's API that tells which CDI devices there are.
_TELLS_DEVICES = (1, 50)


@dataclass(frozen=True, kw_only=True)
class Way:
    """One way to ask an engine for GPUs."""

    #: for reports
    said: str
    #: a device request of the engine's API
    request: Mapping[str, Any]


def by_hook(gpus: Sequence[str]) -> Way:
    """What ``docker run --gpus`` sends: NVIDIA's hook answers it, or the engine itself, by CDI, from version 29 on."""
    which = {"count": -1} if tuple(gpus) == ALL else {"device_ids": list(gpus)}
    return Way(said=f"{', '.join(gpus)} by the engine's GPU option", request={**which, "capabilities": [["gpu"]]})


def by_cdi(gpus: Sequence[str]) -> Way:
    """The devices by the names that their specification has for them."""
    names = [f"{_KIND}={gpu}" for gpu in gpus]
    return Way(said=f"{', '.join(names)} by CDI", request={"driver": "cdi", "device_ids": names})


def ways(info: Mapping[str, Any], version: Mapping[str, Any], gpus: Sequence[str]) -> tuple[Way, ...]:
    """The ways to try, the first that the engine does not refuse being taken; none where no GPU is asked for.

    ``info`` and ``version`` are what the engine tells of itself. Whether a hook is there it does not tell: a hook is
    found on its PATH when it starts, whatever runtimes are configured.
    """
    if not gpus:
        return ()
    if any(part.get("Name") == "Podman Engine" for part in version.get("Components") or ()):
        # Podman 5.8 starts a container with the other request, and without a GPU.
        return (by_cdi(gpus),)
    return (by_hook(gpus), *([by_cdi(gpus)] if _has_cdi(info, version) else []))


def _has_cdi(info: Mapping[str, Any], version: Mapping[str, Any]) -> bool:
    api = tuple(int(part) for part in str(version.get("ApiVersion", "0")).split("."))
    if api < _TELLS_DEVICES:
        return bool(info.get("CDISpecDirs"))
    found = info.get("DiscoveredDevices") or ()
    return any(str(device.get("ID", "")).startswith(f"{_KIND}=") for device in found)


def words(requests: Sequence[Mapping[str, Any]]) -> list[str]:
    """Device requests as words of ``docker run``."""
    found = []
    for request in requests:
        ids = request.get("device_ids", [])
        if request.get("driver") == "cdi":
            found += [word for name in ids for word in ("--device", name)]
        else:
            # The value is CSV: without quotes a second GPU would be another field.
            found += ["--gpus", f'"device={",".join(ids)}"' if ids else "all"]
    return found


def first_to_start(start: Callable[[Mapping[str, Any]], None], tried: Sequence[Way]) -> str:
    """Start a container in the first way that is not refused, and say which; "" where there is no way to try.

    ``start`` takes the options that come on top. Raises GpuRefusedError with what the engine said.
    """
    import docker  # noqa: PLC0415 - the rest of this module is also for those who only show a command

    refusals: list[str] = []
    for way in tried:
        try:
            start({"device_requests": [way.request]})
        except docker.errors.APIError as error:
            refusals.append(str(error.explanation or error))
        else:
            return way.said
    if tried:
        # A hook that is not there is no fault where there is another way.
        told = [text for text in refusals[:-1] if _NO_HOOK not in text] + refusals[-1:]
        raise GpuRefusedError("\n".join(told), "python -m dlmatrix doctor")
    start({})
    return ""
