"""The images of the bundle in use, loaded where the engine lacks them."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from dlmatrix.engines.docker.images import Images
from dlmatrix.engines.layout import Layout, bundled_layout
from dlmatrix.matrix.model import Base
from dlmatrix.matrix.plan import ChosenBase, Plan
from dlmatrix.system.process import Say
from dlmatrix.system.state import remember


class Loading(Protocol):
    """What is asked of an engine here."""

    images: Images

    def image_id(self, ref: str) -> str | None: ...  # noqa: D102

    def choose_base(self, base: Base) -> ChosenBase: ...  # noqa: D102

    def up_to_date(self, plan: Plan, base: ChosenBase) -> str | None: ...  # noqa: D102


def load_base(engine: Loading, root: Path, base: Base, say: Say) -> Layout | None:
    """Load a base from the bundle in use, where the engine lacks it; returns what images the bundle has."""
    layout = bundled_layout(root)
    if layout and base.debian_tag in layout and engine.image_id(base.debian_tag) is None:
        say(f"loading {base.debian_tag} from the bundle")
        engine.images.load(layout.files([base.debian_tag]))
    return layout


def load_bundled(engine: Loading, plan: Plan, say: Say) -> None:
    """Load base and image of an env from the bundle in use, where they are what the checkout describes.

    An image of another state of the checkout, or on another base, is left: it is built, of the bundle's wheels.
    """
    layout, tag = load_base(engine, plan.root, plan.base, say), plan.env.tag
    base = engine.choose_base(plan.base)
    if layout is None or tag not in layout or engine.up_to_date(plan, base):
        return
    key = plan.key(base)
    if layout.labels(tag).get("dlmatrix.key") != key:
        say("the bundle's image is of another state of the checkout, or on another base: it is built of the wheels")
        return
    if engine.image_id(tag) not in layout.identities(tag):
        say(f"loading {tag} from the bundle")
        engine.images.load(layout.files([tag]))
    if (image := engine.image_id(tag)) in layout.identities(tag):
        framework = plan.framework_key(base)
        remember(plan.root, "docker", plan.env.name, key=key, framework=framework, image=str(image))
