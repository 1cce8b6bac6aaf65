"""What the framework's own metadata requires is installed."""

from __future__ import annotations

import re

from smoke import distributions
from smoke.context import Context, Result, failed, passed

ID = "requirements"
KIND = "verify"
ASSERTS = "every requirement of the framework's metadata is installed, in the version where it names one with =="
APPLIES: dict[str, tuple[str, ...]] = {}


def run(context: Context) -> Result:
    """Compare Requires-Dist with what is there; libraries of a CUDA build are such requirements."""
    installed = context.distributions()
    name = context.want("distribution")
    wrong, judged = [], distributions.requirements(name)
    for required, rest in judged:
        exact = re.match(r"^===?\s*([^,*\s]+)$", rest)
        if required not in installed:
            wrong.append(f"{required}{rest} is missing")
        elif exact and exact.group(1).partition("+")[0] != installed[required].partition("+")[0]:
            wrong.append(f"{required}{rest} is required, {installed[required]} is installed")
    if wrong:
        reason = "{}; rebuild from the lock with hashes".format("; ".join(wrong))
        return failed(reason, [required + rest for required, rest in judged], wrong)
    return passed(len(judged), unit="requirements")
