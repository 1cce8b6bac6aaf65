"""What stands for this version of the maker of layers, in the keys of all that it makes."""

from __future__ import annotations

import functools
import hashlib
from importlib import metadata
from pathlib import Path

#: How much zstd tries.
LEVEL = 3
#: The modules that decide what is in a layer, and in which bytes; and how an image is put together of them.
_LAYERS, _IMAGES = ("archive.py", "bytecode.py", "installed.py", "record.py"), ("layout.py",)


@functools.cache
def layer_maker() -> str:
    """A digest over what a layer depends on beside the wheels: those modules, and the compressor's version."""
    return _digest(_LAYERS)


@functools.cache
def image_maker() -> str:
    """The same for an image."""
    return _digest(_LAYERS + _IMAGES)


def _digest(modules: tuple[str, ...]) -> str:
    digest = hashlib.sha256(f"zstandard {metadata.version('zstandard')} {LEVEL}".encode())
    for name in modules:
        digest.update(Path(__file__).with_name(name).read_bytes())
    return digest.hexdigest()
