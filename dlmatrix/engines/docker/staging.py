"""What a build takes from this machine: the pinned uv, local wheels, and the site's settings as secrets."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from pathlib import Path

import uv

from dlmatrix.matrix.local import Local
from dlmatrix.matrix.locks import write_lock
from dlmatrix.matrix.model import LockEntry, Site
from dlmatrix.matrix.plan import Plan
from dlmatrix.matrix.site import uv_config
from dlmatrix.system.state import state_dir
from dlmatrix.system.working import scratch


def stage_sources(
    plan: Plan, site: Site, local: Local, entries: Iterable[LockEntry], folder: Path
) -> tuple[dict[str, str], dict[str, str]]:
    """The contexts and the secrets of a build of what is locked only as source; what must be made is in ``folder``."""
    wheels, locks = folder / "wheels", folder / "locks"
    wheels.mkdir()
    locks.mkdir()
    for file in local.files:
        _link_or_copy(file, wheels / file.name)
    if plan.build_lock:
        shutil.copyfile(plan.build_lock, locks / "build.txt")
    write_lock(locks / "sources.txt", entries)
    config = folder / "uv.toml"
    config.write_text(uv_config(site, local), encoding="utf-8")
    secrets = {"uvconfig": str(config)}
    if site.ca_bundle:
        secrets["ca"] = str(site.ca_bundle)
    return {"uv": str(pinned_uv(plan)), "wheels": str(wheels), "locks": str(locks)}, secrets


def pinned_uv(plan: Plan) -> Path:
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
