"""What the build says of itself fits the variant."""

from __future__ import annotations

from smoke.context import Context, Result, failed, passed

ID = "build-flags"
KIND = "verify"
ASSERTS = "the build's flags fit the variant: a cpu env holds a build without CUDA, a gpu env one with"
APPLIES: dict[str, tuple[str, ...]] = {}


def run(context: Context) -> Result:
    """Compare is-built-with-CUDA with the variant."""
    expected = context.want("variant") == "gpu"
    build = context.backend.build()
    if build["cuda_built"] != expected:
        kind = "CUDA" if build["cuda_built"] else "CPU"
        advice = "take the {} requirements of the env's file and lock again".format("gpu" if expected else "cpu")
        return failed("a {} build in a {} env; {}".format(kind, context.expect["variant"], advice), expected,
                      build["cuda_built"], build=build)  # fmt: skip
    return passed(build["cuda_built"], expected, build=build)
