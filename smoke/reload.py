"""The fresh process of the check ``reload``: ``python -m smoke.reload FRAMEWORK THREADS FOLDER``."""

import os
import sys

import numpy

from smoke import backends, digits


def main(framework, threads, folder):
    """Restore what FOLDER holds into a network from another seed, and write its logits there."""
    classifier = backends.load(framework, int(threads)).classifier(seed=99)
    classifier.restore(folder)
    numpy.save(os.path.join(folder, "logits.npy"), classifier.logits(digits.Digits().test_x[:100]))


if __name__ == "__main__":
    main(*sys.argv[1:])
