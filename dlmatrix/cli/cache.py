"""The verb ``cache``."""

from __future__ import annotations

import argparse
import contextlib
import os
from pathlib import Path

from dlmatrix.cli.parser import Verbs


def add(verbs: Verbs) -> None:
    """Add it to the command line's verbs."""
    parser = verbs.add_parser("cache", help="the layers of wheels that builds share, or SIF files, and what they take")
    parser.add_argument(
        "--keep", type=_gigabytes, metavar="GB", help="remove the longest unused until so many GB are left (0: all)"
    )
    parser.add_argument(
        "--sif", nargs="?", type=Path, const="", metavar="DIR", help="instead the SIF files of --engine apptainer"
    )
    parser.set_defaults(verb=show_cache)


def show_cache(*, keep: float | None, sif: Path | str | None) -> int:
    """List the layers, the longest unused first, or remove some; 10 where a build uses them."""
    import time

    if sif is not None:
        return _show_sif(sif, keep)
    from dlmatrix.cli.output import make_console
    from dlmatrix.errors import BusyError
    from dlmatrix.layers.cache import LIMIT, Cache, cache_folder

    cache = Cache(cache_folder(os.environ))
    console = make_console(soft_wrap=True)
    if keep is not None:
        freed = cache.prune(round(keep * 1e9))
        if freed is None:
            raise BusyError(f"{cache.folder}: a build uses these layers", "wait for it to end, then run this again")
        console.print(f"{freed / 1e6:,.0f} MB freed")
    layers = cache.all()
    for kept in layers:
        day = time.strftime("%Y-%m-%d", time.localtime(kept.used))
        console.print(f"{day} {kept.blob.size / 1e6:>9,.1f} MB  {' '.join(kept.holds)}")
    total = sum({kept.blob.digest: kept.blob.size for kept in layers}.values())
    console.print(f"{cache.folder}: {len(layers)} layers, {total / 1e9:.1f} GB of at most {LIMIT / 1e9:.0f}")
    return 0


def _show_sif(named: Path | str, keep: float | None) -> int:
    """The same of SIF files: one that is in use stays."""
    import time

    from dlmatrix.cli.output import make_console
    from dlmatrix.engines.apptainer.kept import kept, prune
    from dlmatrix.engines.choose import sif_folder

    folder = Path(named).absolute() if named else sif_folder()
    console = make_console(soft_wrap=True)
    if keep is not None:
        freed, stay = prune(folder, round(keep * 1e9))
        for file, why in stay:
            console.print(f"{file.name} stays: {why}")
        console.print(f"{freed / 1e6:,.0f} MB freed")
    found = kept(folder)
    for one in found:
        day = time.strftime("%Y-%m-%d", time.localtime(one.used))
        console.print(f"{day} {one.size / 1e6:>9,.1f} MB  {one.file.name}")
    console.print(f"{folder}: {len(found)} SIF files, {sum(one.size for one in found) / 1e9:.1f} GB")
    return 0


def _gigabytes(text: str) -> float:
    number = -1.0
    with contextlib.suppress(ValueError):
        number = float(text)
    if not 0 <= number < 1e6:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of gigabytes")
    return number
