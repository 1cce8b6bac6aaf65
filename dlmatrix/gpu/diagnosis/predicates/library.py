"""Predicates on NVML and on how the driver's libraries load (rows 10, 31, 32, 68, 77)."""

from __future__ import annotations

import re

from dlmatrix.gpu.diagnosis.predicates.host import refused
from dlmatrix.gpu.diagnosis.view import Case, Match, View, found, listing, predicate


@predicate
def _zero_byte_library(_case: Case, view: View) -> Match | None:
    errors = [view.text(f"{witness}.library.error") for witness in ("nvml", "cuda")]
    short = [error for error in errors if "file too short" in error]
    return found(*short, when=short)


@predicate
def _wrong_arch_library(_case: Case, view: View) -> Match | None:
    errors = [view.text(f"{witness}.library.error") for witness in ("nvml", "cuda")]
    wrong = [
        error
        for error in errors
        if re.search(r"wrong ELF class|invalid ELF header|cannot open shared object.*architecture", error)
    ]
    return found(*wrong, when=wrong)


@predicate
def _driver_library_too_new(_case: Case, view: View) -> Match | None:
    errors = [view.text(f"{witness}.library.error") for witness in ("cuda", "nvml")]
    new = [error for error in errors if re.search(r"version .(?:GLIBC|GLIBCXX|CXXABI|GCC)_[\w.]+. not found", error)]
    return found(*new, when=new and not view.cuda_works)


@predicate
def _libcuda_unloadable(_case: Case, view: View) -> Match | None:
    error = view.text("cuda.library.error")
    return found(error, when=view.flag("cuda.library.loaded") is False and error and not view.absent("cuda"))


@predicate
def _wsl_blocked(case: Case, view: View) -> Match | None:
    text = case.launch.error if case.launch else ""
    said = re.search(r"WSL environment detected but no adapters were found|/usr/lib/wsl/lib/\S+: no such file", text)
    shared, name = view.flag("kernel.nodes./dev/dxg.present"), view.text("nvml.init.name")
    windows_own = view.text("cuda.library.path").startswith("/usr/lib/wsl/") and not view.container
    # There is no driver in Linux with which these libraries could not communicate: it is Windows' that does not answer.
    silent = windows_own and view.nv in (9, 15, 999) and not view.cuda_works
    none = windows_own and view.cu == 100 and view.variable("CUDA_VISIBLE_DEVICES") is None
    # Windows' own part of it is missing: an old build, or gpuSupport=false in .wslconfig.
    kept = view.wsl and not shared and not view.container and "WSL2" in view.text("kernel.release")
    return found(
        f"nvmlInit returned {view.nv} ({name})" if shared and (view.nv == 17 or silent) else "",
        f"cuInit returned {view.cu}; libcuda.so.1 is Windows' own" if shared and none else "",
        "there is no /dev/dxg" if kept else "",
        said[0] if said else "",
        when=said or kept or (shared and (view.nv == 17 or silent or none)),
        seen=["no_dxg"] if kept else [],
    )


@predicate
def _wsl_version_1(_case: Case, view: View) -> Match | None:
    release = view.text("kernel.release")
    return found(f"kernel {release}, no /dev/dxg", when=re.match(r"4\.4\.0-\d+-Microsoft", release))


def _extra_libraries(view: View) -> list[str]:
    paths = [row.text("real") for row in view.rows("kernel.libraries")]
    return [path for path in paths if "libnvidia-ml.so." in path and not path.endswith(view.module_version or "?")]


def _versions_differ(view: View) -> bool:
    """Whether the driver's library and module differ where the nodes are shut, so that nobody could notice yet."""
    version = view.library_version("nvml")
    shut = refused(view, "EPERM") or refused(view, "EACCES")
    return bool(shut and version and view.module_version and version != view.module_version) and not view.cuda_works


def _without_nvml(view: View) -> str:
    """The version of a libcuda that is not the module's, where NVML does not say so; "" elsewhere."""
    path, version = view.text("cuda.library.path"), view.library_version("cuda")
    # Old releases of NVML take any module, with which libcuda then ends in an error that is not known.
    alone = (view.absent("nvml") and view.cu not in (None, 0, 803, 804)) or (view.nv == 0 and view.cu == 999)
    alone = alone and "/compat/" not in path
    return version if alone and view.module_version and version != view.module_version else ""


@predicate
def _mismatch_in_image(case: Case, view: View) -> Match | None:
    extra = _extra_libraries(view)
    # The host's own libraries are mounted: what is wrong with them is wrong there.
    shared = case.host is not None and view is not case.host and case.host.nv == 18
    return found(
        f"nvmlInit returned {view.nv}; module {view.module_version}; the container also holds {listing(extra, 3)}",
        when=view.container and extra and not shared and (view.nv == 18 or _versions_differ(view)),
        behind=view.nv != 18,
    )


@predicate
def _mismatch_on_host(case: Case, view: View) -> Match | None:
    version = view.library_version("nvml") or _without_nvml(view)
    if view.container and (case.host is not None or _extra_libraries(view)) and view.place != "host":
        return None
    said = re.search(r"driver/library version mismatch", case.launch.error) if case.launch else None
    hidden = _versions_differ(view)
    return found(
        said[0] if said else "",
        f"cuInit returned {view.cu}; module {view.module_version}, libcuda {version}"
        if _without_nvml(view)
        else f"nvmlInit returned {view.nv}; module {view.module_version or 'unknown'}, library {version or 'unknown'}",
        when=view.nv == 18 or said or hidden or _without_nvml(view),
        sure=not view.container or view.place == "host",
        behind=hidden and view.nv != 18,
    )


@predicate
def _nvml_unusable(_case: Case, view: View) -> Match | None:
    error = view.text("nvml.library.error")
    loads, meant = view.flag("nvml.library.loaded"), not (view.container and view.absent("nvml"))
    name = view.text("nvml.init.name")
    return found(
        f"libnvidia-ml.so.1: {error}" if loads is False else f"nvmlInit returned {view.nv} ({name or 'no name'})",
        when=view.cuda_works and not view.tegra and ((loads is False and meant) or view.nv not in (None, 0)),
    )


@predicate
def _nvml_unexplained(_case: Case, view: View) -> Match | None:
    name = view.text("nvml.init.name")
    return found(
        f"nvmlInit returned {view.nv} ({name or 'no name'})",
        when=view.nv not in (None, 0) and not view.cuda_works and not view.tegra,
    )
