"""The process that asks one witness: `python -m smoke.detect.child NAME --root DIR` (see witness.py)."""

from __future__ import annotations

import argparse
import importlib
import os

from .witness import NAMES, Notes


def main() -> None:
    """Facts go to the real stdout; whatever libraries print goes to stderr, which the parent keeps."""
    parser = argparse.ArgumentParser(prog="smoke.detect.child")
    parser.add_argument("name", choices=NAMES)
    parser.add_argument("--root", default="/")
    parser.add_argument("--framework")
    options = parser.parse_args()
    with os.fdopen(os.dup(1), "w") as stream:
        os.dup2(2, 1)
        # By itself: the kernel is asked also where this Python has no ctypes, which the drivers' witnesses need.
        witness = importlib.import_module("smoke.detect." + options.name)
        witness.observe(Notes(stream), options.root, options.framework)


if __name__ == "__main__":
    main()
