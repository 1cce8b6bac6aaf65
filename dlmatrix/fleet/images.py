"""Images for machines: a part for each layer, so that one that is there, of whatever image, is not sent again."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from dlmatrix.engines.layout import FOLDER, bundled_layout
from dlmatrix.errors import UsageError
from dlmatrix.fleet.order import Part
from dlmatrix.fleet.parts import files_part
from dlmatrix.matrix.model import Env, Matrix
from dlmatrix.system.checkout import BUNDLE

#: Bytes from which a blob is a part of its own.
_LARGE = 1 << 20


def image_parts(matrix: Matrix, envs: Sequence[Env], folder: Path) -> tuple[Part, ...]:
    """The images of envs and the bases that they stand on, out of the bundle in use: what they share is there once.

    The last part is what a machine is told of; it names the others. Raises UsageError where the bundle has none.
    """
    layout = bundled_layout(matrix.root)
    missing = [env.name for env in envs if layout is None or env.tag not in layout]
    if layout is None or missing:
        raise UsageError(
            f"--images: no bundle is in use that has an image of {', '.join(missing)}",
            f"python -m dlmatrix bundle {' '.join(missing)} --no-wheels --out FILE; unbundle it, and work there",
        )
    bases = {base.debian_tag for base in (matrix.base(env.python) for env in envs) if base.debian_tag in layout}
    files = layout.files({*bases, *(env.tag for env in envs)})
    blobs = {name: file for name, file in files.items() if isinstance(file, Path)}
    large = {name: file for name, file in blobs.items() if file.stat().st_size >= _LARGE}
    parts = [files_part(folder, f"layer {file.name[:12]}", {name: file}) for name, file in large.items()]
    texts = {name: content for name, content in files.items() if isinstance(content, bytes)}
    small = {_place(name): file for name, file in blobs.items() if name not in large}
    said = {"layers.json": json.dumps([part.key for part in parts]).encode(), f"{BUNDLE}/manifest.json": b"{}"}
    for name, content in {**said, **{_place(name): text for name, text in texts.items()}}.items():
        small[name] = folder / str(len(small))
        small[name].write_bytes(content)
    return (*parts, files_part(folder, "images", small))


def _place(name: str) -> str:
    """Where a file of the layout lies in a bundle that was unpacked."""
    return f"{BUNDLE}/{FOLDER}/{name}"
