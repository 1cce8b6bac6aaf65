"""Predicates on the engine and on what it gave the container (rows 14 to 30, 71, 72, 85, 86)."""

from __future__ import annotations

import re

from dlmatrix.gpu.diagnosis.places import container_of, place_of
from dlmatrix.gpu.diagnosis.predicates.denied import was_given
from dlmatrix.gpu.diagnosis.predicates.host import open_to_all, refused
from dlmatrix.gpu.diagnosis.view import Case, Match, View, found, listing, predicate

_SAFE_TOOLKIT = (1, 17, 8)


@predicate
def _wrong_docker(case: Case, _view: View) -> Match | None:
    launch = case.launch
    if launch is None:
        return None
    desktop, snap = "desktop" in launch.system.lower(), "/snap/" in launch.folder
    return found(
        f"the engine is {launch.system}" if desktop else "",
        f"the engine's root folder is {launch.folder}" if snap else "",
        when=desktop or snap,
    )


@predicate
def _toolkit_missing(case: Case, _view: View) -> Match | None:
    # Docker starts the runtime; only Apptainer and Singularity start the toolkit's program themselves.
    return found(
        seen=["nvccli"] if case.launch and 'exec: "/usr/bin/nvidia-container-cli"' in case.launch.error else []
    )


@predicate
def _toolkit_failed(case: Case, _view: View) -> Match | None:
    mount = case.launch and re.search(r"nvidia-container-cli\S*: (?:mount|container) error", case.launch.error)
    return found(seen=["mount"] if mount else [])


@predicate
def _toolkit_root(case: Case, view: View) -> Match | None:
    error = case.launch.error if case.launch else ""
    said = re.search(r"nvidia-container-cli\S*: initialization error: change root failed[^\n]*", error)
    root = view.text("system.toolkit_root")
    elsewhere = root not in ("", "/")
    # A driver in a container of its own is looked for there with right, and leaves none on the host.
    misled = elsewhere and view.nv == 0 and re.search(r"nvidia-container-cli\S*: initialization error: [^\n]*", error)
    return found(
        said[0] if said else misled[0] if misled else "",
        f'the toolkit\'s config.toml has root = "{root}"' if elsewhere else "",
        when=said or misled,
    )


@predicate
def _host_driver_absent(case: Case, view: View) -> Match | None:
    error = case.launch.error if case.launch else ""
    if re.search(r"load library failed: libnvidia-ml\.so\.1|nvml error: driver not loaded", error):
        return found(error)
    alone = case.host is None and view.container and bool(view.gpus) and not view.module_version and not view.wsl
    return found(
        f"NVIDIA device {listing(gpu.text('address') for gpu in view.gpus)}; the kernel has no NVIDIA module loaded",
        when=alone and not view.cuda_works,
    )


@predicate
def _cdi_stale(case: Case, view: View) -> Match | None:
    error = case.launch.error if case.launch else ""
    stale = [
        f"{spec.text('path')} names {listing(spec.words('versions'))}; the module is {view.module_version}"
        for spec in view.rows("kernel.cdi")
        if spec.words("versions") and view.module_version and view.module_version not in spec.words("versions")
    ]
    place = r'error mounting "[^"]*(?:nvidia|/dev/dri|libcuda)[^"]*"[^\n]*no such file'
    stat = r"(?:cannot stat|error stat'ing file|failed to stat)[^\n]*(?:nvidia|libcuda|/dev/dri)[^\n]*[Nn]o such file"
    gone = re.search(rf'failed to stat CDI host device "[^"]*"|{place}|{stat}', error)
    named = stale and re.search(r"no such file|CDI|failed to stat|\.so\.\d+\.\d+", error)
    return found(*stale, error, when=named or gone)


@predicate
def _launch_unexplained(case: Case, _view: View) -> Match | None:
    return found(case.launch.error, when=case.launch.error) if case.launch else None


@predicate
def _visible_devices_void(_case: Case, view: View) -> Match | None:
    value = view.variable("NVIDIA_VISIBLE_DEVICES")
    hidden = value is not None and value.strip().lower() in ("", "void", "none")
    unrequested = container_of(view) == "pod" and value is None
    return found(
        f"NVIDIA_VISIBLE_DEVICES={value!r}" if hidden else "a Kubernetes pod without a device from nvidia.com/gpu",
        when=view.container and not _numbered(view) and (hidden or unrequested),
    )


def _numbered(view: View) -> list[str]:
    return [path for path in view.gpu_nodes if path != "/dev/nvidiactl"]


@predicate
def _started_without_gpu(_case: Case, view: View) -> Match | None:
    if view.tegra and view.container:  # whose GPU has other nodes, and whose CUDA libraries are the host's
        bare = not view.cuda_works and view.get("kernel.nodes") is not None
        bare = bare and not any(path.startswith(("/dev/nvmap", "/dev/nvhost", "/dev/nvgpu")) for path in view.nodes)
        return found(
            f"libcuda.so.1: {view.text('cuda.library.error')}" if view.absent("cuda") else "",
            "no /dev/nvmap and no /dev/nvhost-* in a Jetson's container" if bare else "",
            when=view.absent("cuda") or bare,
            seen=["tegra"],
        )
    return found(
        f"no /dev/nvidia* in the container although the host's module {view.module_version} is loaded",
        f"libcuda.so.1: {view.text('cuda.library.error')}" if view.absent("cuda") else "",
        when=view.container and not view.gpu_nodes and view.module_version and view.get("kernel.nodes") is not None,
    )


def _capabilities(view: View) -> set[str]:
    value = view.variable("NVIDIA_DRIVER_CAPABILITIES") or ""
    return {word.strip().lower() for word in value.split(",") if word.strip()}


@predicate
def _nodes_without_libraries(_case: Case, view: View) -> Match | None:
    # The image may bring the toolkit's stub, which is no driver's library.
    stub = "/stubs/" in view.text("cuda.library.path")
    return found(
        f"{listing(view.gpu_nodes)} present; libcuda.so.1 and libnvidia-ml.so.1 in no folder of the dynamic linker"
        if not stub
        else f"{listing(view.gpu_nodes)} present; the only libcuda.so.1 is a stub, and there is no libnvidia-ml.so.1",
        when=view.container and _numbered(view) and (view.absent("cuda") or stub) and view.absent("nvml"),
    )


@predicate
def _no_compute_capability(_case: Case, view: View) -> Match | None:
    given = _capabilities(view)
    return found(
        f"NVIDIA_DRIVER_CAPABILITIES={view.variable('NVIDIA_DRIVER_CAPABILITIES') or '(unset)'}; no libcuda.so.1",
        when=view.container and _numbered(view) and view.absent("cuda") and view.flag("nvml.library.loaded")
        and not given & {"compute", "all"},
    )  # fmt: skip


@predicate
def _no_utility_capability(_case: Case, view: View) -> Match | None:
    return found(
        f"NVIDIA_DRIVER_CAPABILITIES={view.variable('NVIDIA_DRIVER_CAPABILITIES')}",
        when=view.container
        and view.cuda_works
        and view.absent("nvml")
        and not _capabilities(view) & {"utility", "all"},
    )


def _no_cgroups(case: Case) -> bool | None:
    return None if case.host is None else bool(case.host.flag("kernel.toolkit.no_cgroups"))


def _denied(view: View) -> list[str]:
    # What the engine's hook or its cgroup driver does; other places have rules, and rows, of their own.
    place = place_of(view)
    engine = place in ("container", "podman", "rootless") or (place == "pod" and was_given(view))
    denied = [f"{path}: EPERM" for path, _ in refused(view, "EPERM")] if engine else []
    listed = view.words("kernel.cgroup.devices")  # version 1 only; version 2 keeps its list in a program
    if denied and listed and not any(line.startswith(("a ", "c 195:", "c *:")) for line in listed):
        denied.append("the cgroup's device list has no major 195")
    return denied


@predicate
def _no_cgroups_rootful(case: Case, view: View) -> Match | None:
    told = _no_cgroups(case)
    return found(
        listing(_denied(view), 3),
        "the host's config.toml has no-cgroups = true" if told else "",
        when=_denied(view) and told is not False,
        sure=told is True,
    )


@predicate
def _cgroup_revoked(case: Case, view: View) -> Match | None:
    told = _no_cgroups(case)
    return found(listing(_denied(view), 3), when=_denied(view) and told is not True, sure=told is False)


@predicate
def _selinux(_case: Case, view: View) -> Match | None:
    denied = [
        f"{path}: EACCES, mode {node.text('mode')}" for path, node in refused(view, "EACCES") if open_to_all(node)
    ]
    enforce, label = view.integer("kernel.selinux.enforce"), view.text("kernel.selinux.label")
    return found(
        listing(denied, 3),
        f"SELinux is enforcing, label {label}" if enforce == 1 else "",
        when=denied and enforce != 0,
        sure=enforce == 1 or "container_t" in label,
    )


@predicate
def _toolkit_insecure(_case: Case, view: View) -> Match | None:
    version = view.text("kernel.toolkit.version")
    match = re.fullmatch(r"(\d{1,6})\.(\d{1,6})\.(\d{1,6})", version)
    return found(
        f"nvidia-container-toolkit {version}", when=match and tuple(int(n) for n in match.groups()) < _SAFE_TOOLKIT
    )
