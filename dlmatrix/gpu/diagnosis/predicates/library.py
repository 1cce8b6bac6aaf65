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
def _wsl_blocked(case: Case, view: View) -> Match | None:
    text = case.launch.error if case.launch else ""
    said = re.search(r"WSL environment detected but no adapters were found|/usr/lib/wsl/lib/\S+: no such file", text)
    blocked = view.nv == 17 and view.flag("kernel.nodes./dev/dxg.present")
    name = view.text("nvml.init.name")
    return found(f"nvmlInit returned 17 ({name})" if blocked else "", said[0] if said else "", when=blocked or said)


def _extra_libraries(view: View) -> list[str]:
    paths = [row.text("real") for row in view.rows("kernel.libraries")]
    return [path for path in paths if "libnvidia-ml.so." in path and not path.endswith(view.module_version or "?")]


def _versions_differ(view: View) -> bool:
    """Whether the driver's library and module differ where the nodes are shut, so that nobody could notice yet."""
    version = view.library_version("nvml")
    shut = refused(view, "EPERM") or refused(view, "EACCES")
    return bool(shut and version and view.module_version and version != view.module_version) and not view.cuda_works


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
    version = view.library_version("nvml")
    if view.container and (case.host is not None or _extra_libraries(view)) and view.place != "host":
        return None
    said = re.search(r"driver/library version mismatch", case.launch.error) if case.launch else None
    hidden = _versions_differ(view)
    return found(
        said[0] if said else "",
        f"nvmlInit returned {view.nv}; module {view.module_version or 'unknown'}, library {version or 'unknown'}",
        when=view.nv == 18 or said or hidden,
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
