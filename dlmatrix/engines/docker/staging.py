"""What a build takes from this machine: the pinned uv, local wheels, and the site's settings as secrets."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import uv

from dlmatrix.matrix.local import Local
from dlmatrix.matrix.model import Site
from dlmatrix.matrix.plan import Plan
from dlmatrix.matrix.site import uv_config
from dlmatrix.system.state import state_dir
from dlmatrix.system.working import scratch


def stage(plan: Plan, site: Site, folder: Path) -> tuple[dict[str, str], dict[str, str]]:
    """The named contexts and the secrets of a build, by their names; what must be made is made in ``folder``."""
    wheels = folder / "wheels"
    wheels.mkdir()
    for file in Local(site, plan.lock, plan.env.python).files:
        _link_or_copy(file, wheels / file.name)
    config = folder / "uv.toml"
    config.write_text(uv_config(site, plan.lock, plan.env.python), encoding="utf-8")
    secrets = {"uvconfig": str(config)}
    if site.ca_bundle:
        secrets["ca"] = str(site.ca_bundle)
    return {"uv": str(_uv(plan)), "wheels": str(wheels)}, secrets


def _uv(plan: Plan) -> Path:
    """A folder that holds the pinned uv and nothing else, for the build to mount."""
    folder = state_dir(plan.root) / f"uv-{plan.uv_version}"
    if not (folder / "uv").is_file():
        folder.mkdir(exist_ok=True)
        with scratch(plan.root) as temporary:
            shutil.copy2(uv.find_uv_bin(), temporary / "uv")
            (temporary / "uv").replace(folder / "uv")
    return folder


def _link_or_copy(source: Path, target: Path) -> None:
    """A hard link where the file system allows it, else a copy: a build context follows no symbolic link out."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
