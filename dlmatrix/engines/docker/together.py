"""Puts an env together on this machine: the base as the engine has it, and the wheels' layers."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from dlmatrix.engines.docker.assemble import Assembly
from dlmatrix.engines.docker.images import WHEELS, Images
from dlmatrix.engines.docker.wheels import Installer, Workshop
from dlmatrix.layers.cache import Cache, Kept
from dlmatrix.layers.layout import LOADED, Layer, assemble, sound_manifest
from dlmatrix.matrix.model import Site
from dlmatrix.matrix.plan import SOURCE_DATE_EPOCH, ChosenBase, Plan
from dlmatrix.system.process import Say
from dlmatrix.system.working import in_memory, scratch


@contextlib.contextmanager
def put_together(
    plan: Plan, base: ChosenBase, *, site: Site, images: Images, workshop: Workshop, say: Say
) -> Iterator[str]:
    """The base and the wheels upon it, as BuildKit takes a context, for the time of the block.

    BuildKit asks for what it lacks of a layout; where the image store is the classic one it takes none, and the whole
    env is loaded as an image.
    """
    cache = workshop.cache
    with cache.in_use(), scratch(plan.root) as folder:
        below = _base(base, images, cache)  # first: it is pulled where it is not there
        with in_memory(plan.root) as links:
            installer = Installer(plan=plan, site=site, folder=links, workshop=workshop, say=say)
            layers = Assembly(base, images, installer).layers()
        digest = assemble(folder / "env", below, _upon(layers, cache), int(SOURCE_DATE_EPOCH))
        if images.containerd:
            yield f"oci-layout://{folder / 'env'}@{digest}"
            return
        name = f"{LOADED}:{digest.removeprefix('sha256:')}"
        layout = folder / "env"
        images.load({file.relative_to(layout).as_posix(): file for file in layout.rglob("*") if file.is_file()})
        try:
            yield f"docker-image://{name}"
        finally:
            images.remove(name)


def _upon(layers: Sequence[Kept], cache: Cache) -> list[Layer]:
    return [Layer(blob=one.blob, file=cache.file(one.blob), word=f"{WHEELS} {' '.join(one.holds)}") for one in layers]


def _base(base: ChosenBase, images: Images, cache: Cache) -> Path:
    """The base's layout, kept, since an engine takes seconds to write it."""
    key = hashlib.sha256(f"base {base.identity}".encode()).hexdigest()
    kept, known = cache.folder / "bases" / key, cache.fact(key)
    if known is None or sound_manifest(kept) != known["manifest"]:
        with cache.scratch() as folder:
            images.base_layout(base.ref, folder / "layout")
            cache.keep_base(folder / "layout", kept)
        cache.note(key, {"manifest": sound_manifest(kept)})
    return kept
