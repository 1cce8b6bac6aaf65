"""The CNN has the size it should have."""

from __future__ import annotations

from smoke import model
from smoke.context import Context, Result, failed, passed
from smoke.throughput import networks

ID = "model-parameters"
KIND = "smoke"
ASSERTS = "conv32-pool-conv64-pool-dense128-dense10 on 28x28x1 with valid padding has 225,034 parameters"
APPLIES: dict[str, tuple[str, ...]] = {}


def run(context: Context) -> Result:
    """Count what the framework built."""
    classifier = context.backend.classifier()
    shapes = classifier.shapes()
    classifier.close()
    found = networks.parameters(shapes)
    if found != model.PARAMETERS:
        return failed("padding or kernel size differs from the description", model.PARAMETERS, found, shapes=shapes)
    return passed(found, model.PARAMETERS)
