"""Predicates on the framework (rows 43, 53, 54, 57 to 59, 64, 84); the other rows are regular expressions."""

from __future__ import annotations

import re

from dlmatrix.gpu.diagnosis.predicates.cuda import mig_instances
from dlmatrix.gpu.diagnosis.predicates.host import architecture_of
from dlmatrix.gpu.diagnosis.view import Case, Match, View, found, listing, predicate
from dlmatrix.gpu.kernels import ARCHITECTURE, best

NO_KERNEL_IMAGE = r"no kernel image is available[^\n]{0,60}"
_TENSORFLOWS = ("tensorflow", "tensorflow-gpu", "tensorflow-cpu", "tf-nightly", "tf-nightly-gpu")


def _imported(view: View, name: str) -> bool:
    mine = view.text("framework.name")
    return (mine == "torch") == (name == "torch") and mine != "" and bool(view.text("framework.version"))


@predicate
def _tensorflow_twice(_case: Case, view: View) -> Match | None:
    table = view.get("framework.distributions")
    several = [name for name in _TENSORFLOWS if isinstance(table, dict) and name in table]
    return found(f"installed: {listing(several)}", when=len(several) > 1)


def uncovered(view: View) -> list[tuple[int, int]]:
    """The capabilities of the GPUs, where the framework has code for none of them and says for which it has."""
    architectures = view.words("framework.arch_list")
    if not any(map(ARCHITECTURE.fullmatch, architectures)):
        return []
    known = view.capabilities or by_identity(view)
    lacking = [c for c in known if not best(architectures, c)]
    return lacking if len(lacking) == len(known) else []


def by_identity(view: View) -> list[tuple[int, int]]:
    """The least capability of each GPU's generation by its PCI id, where every GPU's generation has one that is known.

    Code for it or less is what a wheel needs that shall run there; asked only where no driver answers.
    """
    found = [architecture_of(gpu) for gpu in view.gpus]
    pairs = [a.capability for a in found if a is not None and a.capability is not None]
    return pairs if len(pairs) == len(view.gpus) else []


def jit_variables(view: View) -> list[str]:
    """The variables that forbid CUDA the code that the framework has for the GPUs, in the direction that matters."""
    kernels = [a for a in view.words("framework.arch_list") if a.startswith("sm_")]
    compiled = [capability for capability in view.capabilities if best(kernels, capability)]
    names = ["CUDA_FORCE_PTX_JIT"] if compiled or not kernels else []
    names += ["CUDA_DISABLE_PTX_JIT", "CUDA_DISABLE_JIT"] if not compiled else []
    return [f"{name}={view.variable(name)}" for name in names if switched_on(view.variable(name))]


def switched_on(value: str | None) -> bool:
    """Whether a variable that takes 0 or 1 is set to something else than off."""
    return (value or "0").strip().lower() not in ("", "0", "false")


@predicate
def _jit_variable(_case: Case, view: View) -> Match | None:
    said = re.search(rf"{NO_KERNEL_IMAGE}|PTX JIT compilation was disabled|CUDA_ERROR_(?:NO_BINARY_FOR_GPU"
                     r"|INVALID_PTX|JIT_COMPILATION_DISABLED)", view.framework_words)  # fmt: skip
    variables = jit_variables(view)
    architectures = view.words("framework.arch_list")
    return found(
        *variables,
        f"the framework has code for {listing(architectures)}, the GPU is "
        + listing(f"{major}.{minor}" for major, minor in view.capabilities)
        if architectures and view.capabilities
        else "",
        said[0] if said else "",
        when=said and variables and not uncovered(view),
    )


@predicate
def _jetson_wheel(_case: Case, view: View) -> Match | None:
    none = view.get("framework.built_cuda") is None
    return found(
        "a Tegra system; the framework was built without CUDA" if none else "",
        f"a Tegra system; the framework has {listing(view.words('framework.arch_list'))}" if not none else "",
        when=view.tegra and view.text("framework.version") and (none or uncovered(view)),
    )


def _by_conda(view: View) -> list[str]:
    """The tag for a framework that conda chose: it lies in an environment of conda's and is no wheel of an index."""
    folder, version = view.text("framework.file"), view.text("framework.version")
    return (
        ["conda"]
        if re.search(r"/(?:\w*conda\w*|\w*mamba\w*|miniforge\w*|envs)/", folder) and "+" not in version
        else []
    )


@predicate
def _torch_cpu_wheel(_case: Case, view: View) -> Match | None:
    hip = view.text("framework.built_hip")
    return found(
        f"torch {view.text('framework.version')}: torch.version.cuda is None"
        + (f", it was built for AMD's GPUs (ROCm {hip})" if hip else ""),
        when=_imported(view, "torch") and not view.text("framework.built_cuda") and (not hip or view.cuda_works),
        seen=_by_conda(view),
    )


@predicate
def _torch_no_kernels(_case: Case, view: View) -> Match | None:
    lacking = uncovered(view)
    said = re.search(NO_KERNEL_IMAGE, view.framework_words)
    return found(
        f"the GPU has compute capability {listing(f'{a}.{b}' for a, b in lacking)}; torch has kernels for "
        + listing(view.words("framework.arch_list"))
        if lacking
        else "",
        said[0] if said else "",
        when=_imported(view, "torch") and (lacking or (said and not jit_variables(view))),
    )


@predicate
def _tensorflow_cpu_build(_case: Case, view: View) -> Match | None:
    return found(
        f"TensorFlow {view.text('framework.version')}: is_built_with_cuda() is False",
        when=_imported(view, "tensorflow")
        and view.flag("framework.is_cuda_build") is False
        and not view.flag("framework.is_rocm_build"),
        seen=_by_conda(view),
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


#: TensorFlow's words for a card that it leaves out, before the reason.
_LEFT_OUT = r"Ignoring (?:visible )?gpu device [^\n]*with "


@predicate
def _tensorflow_no_kernels(_case: Case, view: View) -> Match | None:
    words = view.framework_words
    said = re.search(r"[^\n]*(?:not built with CUDA kernel binaries compatible|CUDA_ERROR_INVALID_PTX"
                     r"|CUDA_ERROR_NO_BINARY_FOR_GPU)[^\n]*", words)  # fmt: skip
    # That one of several cards is too old for it is nobody's fault.
    old = None if view.usable else re.search(rf"{_LEFT_OUT}Cuda compute capability[^\n]*", words)
    return found(
        *(match[0].strip() for match in (said, old) if match),
        when=said or old,
        seen=["left_out"] if old and not said else [],
    )


@predicate
def _tensorflow_few_multiprocessors(_case: Case, view: View) -> Match | None:
    said = re.search(rf"{_LEFT_OUT}(?:Cuda multiprocessor|core) count[^\n]*", view.framework_words)
    return found(said[0] if said else "", when=said and not view.usable)


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
def _torch_mig_count(_case: Case, view: View) -> Match | None:
    version, visible = view.text("framework.version"), view.variable("CUDA_VISIBLE_DEVICES") or ""
    blind = _imported(view, "torch") and re.match(r"(?:1\.13|2\.0)\.", version)
    return found(
        f"torch {version} counts 0 GPUs; CUDA_VISIBLE_DEVICES={visible}, with which the driver counts "
        f"{view.integer('cuda.count')}",
        when=blind and visible.startswith("MIG-") and view.cuda_works and view.integer("framework.count") == 0,
    )


@predicate
def _framework_unexplained(_case: Case, view: View) -> Match | None:
    return found(
        f"the framework counts {view.integer('framework.count')} GPU(s)",
        *view.framework_errors,
        *view.words("framework.messages")[-5:],
        when=view.cuda_works and view.get("framework") is not None and not view.usable,
    )
