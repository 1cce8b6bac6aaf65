"""Predicates on the framework (rows 43, 53, 54, 57 to 59, 64, 84); the other rows are regular expressions."""

from __future__ import annotations

import re

from dlmatrix.gpu.diagnosis.predicates.cuda import mig_instances
from dlmatrix.gpu.diagnosis.view import Case, Match, View, found, listing, predicate

_ARCHITECTURE = re.compile(r"(sm|compute)_(\d{1,3})(\d)([a-z]?)")
_TENSORFLOWS = ("tensorflow", "tensorflow-gpu", "tensorflow-cpu", "tf-nightly", "tf-nightly-gpu")


def _imported(view: View, name: str) -> bool:
    mine = view.text("framework.name")
    return (mine == "torch") == (name == "torch") and mine != "" and bool(view.text("framework.version"))


@predicate
def _tensorflow_twice(_case: Case, view: View) -> Match | None:
    table = view.get("framework.distributions")
    several = [name for name in _TENSORFLOWS if isinstance(table, dict) and name in table]
    return found(f"installed: {listing(several)}", when=len(several) > 1)


def runs_on(architectures: list[str], capability: tuple[int, int]) -> bool:
    """Whether code for these architectures runs on a GPU: SASS of the same major and no later minor, or PTX not later.

    Architecture-specific code (sm_90a) runs on exactly its own capability.
    """
    for kind, major, minor, suffix in (m.groups() for m in map(_ARCHITECTURE.fullmatch, architectures) if m):
        target = (int(major), int(minor))
        if suffix == "a":
            if target == capability:
                return True
        elif target <= capability and (kind == "compute" or target[0] == capability[0]):
            return True
    return False


def _uncovered(view: View) -> list[tuple[int, int]]:
    architectures = view.words("framework.arch_list")
    if not any(map(_ARCHITECTURE.fullmatch, architectures)):
        return []
    lacking = [c for c in view.capabilities if not runs_on(architectures, c)]
    return lacking if len(lacking) == len(view.capabilities) else []


@predicate
def _jetson_wheel(_case: Case, view: View) -> Match | None:
    none = view.get("framework.built_cuda") is None
    return found(
        "a Tegra system; the framework was built without CUDA" if none else "",
        f"a Tegra system; the framework has {listing(view.words('framework.arch_list'))}" if not none else "",
        when=view.tegra and view.text("framework.version") and (none or _uncovered(view)),
    )


@predicate
def _torch_cpu_wheel(_case: Case, view: View) -> Match | None:
    built = view.text("framework.built_cuda") or view.text("framework.built_hip")
    return found(
        f"torch {view.text('framework.version')}: torch.version.cuda is None",
        when=_imported(view, "torch") and not built,
    )


@predicate
def _torch_no_kernels(_case: Case, view: View) -> Match | None:
    lacking = _uncovered(view)
    said = re.search(r"no kernel image is available[^\n]{0,60}", view.framework_words)
    return found(
        f"the GPU has compute capability {listing(f'{a}.{b}' for a, b in lacking)}; torch has kernels for "
        + listing(view.words("framework.arch_list"))
        if lacking
        else "",
        said[0] if said else "",
        when=_imported(view, "torch") and (lacking or said),
    )


@predicate
def _tensorflow_cpu_build(_case: Case, view: View) -> Match | None:
    return found(
        f"TensorFlow {view.text('framework.version')}: is_built_with_cuda() is False",
        when=_imported(view, "tensorflow")
        and view.flag("framework.is_cuda_build") is False
        and not view.flag("framework.is_rocm_build"),
    )


@predicate
def _tensorflow_libraries(_case: Case, view: View) -> Match | None:
    said = re.search(
        r"Could not load dynamic library '?lib(cu|nv)[^\n]{0,120}|Cannot dlopen some GPU libraries"
        r"|Could not find cuda drivers on your machine",
        view.framework_words,
    )
    return found(
        said[0] if said else "",
        when=said and view.cu == 0 and view.flag("framework.is_cuda_build") and not view.integer("framework.count"),
    )


@predicate
def _mig_one_per_process(_case: Case, view: View) -> Match | None:
    _, instances = mig_instances(view)
    chosen = (view.variable("CUDA_VISIBLE_DEVICES") or "").startswith("MIG-")
    count = view.integer("framework.count")
    return found(
        f"{instances} MIG instances; the framework sees {count if count is not None else 'none'}",
        when=instances > 1 and not chosen and view.text("framework.name") and (count or 0) <= 1,
    )


@predicate
def _framework_unexplained(_case: Case, view: View) -> Match | None:
    errors = [view.text(f"framework.{key}_error") for key in ("import", "available", "count", "initialised", "probe")]
    return found(
        f"the framework counts {view.integer('framework.count')} GPU(s)",
        *errors,
        *view.words("framework.messages")[-5:],
        when=view.cuda_works and view.get("framework") is not None and not view.usable,
    )
