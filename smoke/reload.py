"""The fresh process of the check ``reload``: ``python -m smoke.reload FRAMEWORK THREADS FOLDER``."""

from __future__ import annotations

import os
import sys
from typing import Any

import numpy

from smoke import backends, digits

RESTORED = "restored.npz"
#: Images whose logits are compared.
IMAGES = 100


def main(framework: str, threads: str, folder: str) -> None:
    """Import the framework and restore."""
    restore(backends.load(framework, int(threads)), folder)


def restore(backend: Any, folder: str) -> None:
    """Restore what ``folder`` holds into a network from another seed; its weights and logits go into RESTORED."""
    classifier = backend.classifier(seed=99)
    classifier.restore(folder)
    arrays = {name.replace("/", "."): array for name, array in classifier.weights().items()}
    arrays["logits"] = classifier.logits(digits.Digits().test_x[:IMAGES])
    numpy.savez(os.path.join(folder, RESTORED), **arrays)


if __name__ == "__main__":
    main(*sys.argv[1:])
