"""The CUDA that the env promises is the one the build has, and it is available where a GPU is."""

from __future__ import annotations

from smoke.context import Context, Result, failed, passed

ID = "cuda-identity"
KIND = "verify"
ASSERTS = "the build's CUDA version is the env's; where a GPU was given to the run, the framework can use CUDA"
APPLIES = {"variants": ("gpu",)}


def same(found: str | None, pin: str | None) -> bool:
    """Whether two versions agree in every number that both name (12.5 and 12.5.1 do)."""
    pairs = list(zip((found or "").split("."), (pin or "").split(".")))
    return bool(found and pin) and all(one == two for one, two in pairs)


def run(context: Context) -> Result:
    """Compare; then ask the framework for its GPUs."""
    found = context.backend.build()["cuda"]
    if found is None:
        return failed("the build has no CUDA; take the CUDA build and lock again", context.expect.get("cuda"), found)
    if context.expect.get("cuda") is not None and not same(found, context.expect["cuda"]):
        return failed("the build has another CUDA than the env says; lock again", context.expect["cuda"], found)
    gpus = context.backend.gpus()
    if context.expect.get("gpu") and not gpus:
        return failed(f"CUDA {found} finds no GPU although the run was given one; see detection", ">= 1", gpus)
    return passed({"cuda": found, "gpus": gpus}, context.expect.get("cuda"))
