"""Where a View was taken: on a machine, in a container of some kind, in a job; and with that who can do what there."""

from __future__ import annotations

from dlmatrix.gpu.diagnosis.remedies import FAMILIES, PLACES
from dlmatrix.gpu.diagnosis.view import Case, View

#: What a batch system other than Slurm names its jobs by.
JOBS = ("PBS_JOBID", "LSB_JOBID", "SGE_TASK_ID")
_KINDS = {"kubernetes": "pod", "kubepods": "pod", "apptainer": "apptainer", "singularity": "apptainer",
          "podman": "podman", "libpod": "podman", "systemd-nspawn": "nspawn"}  # fmt: skip
#: nvmlDeviceGetVirtualizationMode: 1 is a GPU passed through, 2 a virtual GPU, each inside a guest (nvml.h).
_GUEST = (1, 2)


def container_of(view: View) -> str:
    """The place of a container by its kind, "" outside of containers."""
    kind = view.text("kernel.container.kind")
    if not kind:
        return ""
    if view.variable("KUBERNETES_SERVICE_HOST"):
        return "pod"
    if kind.startswith(("lxc", "lxd", "incus")):
        return "lxc"
    place = _KINDS.get(kind, "container")
    return "rootless" if place == "podman" and view.flag("kernel.user.mapped") else place


def place_of(view: View) -> str:
    """Who decides on the device nodes here: a batch system, what made the container, or the machine itself."""
    if view.variable("SLURM_JOB_ID") or "/slurm" in view.text("kernel.cgroup.path"):
        return "slurm"
    if any(view.variable(name) for name in JOBS):
        return "batch"
    return container_of(view) or ("wsl" if view.wsl else "host")


def tags_of(case: Case, view: View) -> tuple[str, ...]:
    """The tags of remedies.toml that hold here, the most telling first."""
    place, container = place_of(view), container_of(view)
    found = [*PLACES[place], *PLACES.get(container, ())]
    if view.wsl:
        found += PLACES["wsl"]
    elif _virtual(case, view):
        found += PLACES["guest"]
    elif not container:
        found.append("host")
    # An image has a distribution of its own, which says nothing of the machine's.
    family = "" if container else view.text("system.family")
    return tuple(dict.fromkeys([*found, *([family] if family in FAMILIES else [])]))


def _virtual(case: Case, view: View) -> bool:
    views = [one for one in (view, case.host) if one is not None]
    told = any(one.flag("system.virtual") for one in views)
    return told or any(mode in _GUEST for one in views for mode in one.all("nvml.devices.*.virtualization"))
