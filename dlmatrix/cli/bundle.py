"""The verb ``bundle``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dlmatrix.cli.parser import Verbs, add_bases
from dlmatrix.errors import UsageError

if TYPE_CHECKING:
    from dlmatrix.bundle.contents import Source
    from dlmatrix.bundle.images import Pictured
    from dlmatrix.matrix.plan import Plan


@dataclass(frozen=True, kw_only=True)
class Options:
    """What the command line asks of a bundle."""

    envs: Sequence[str]
    out: Path | None
    verify: Path | None
    images: bool
    wheels: bool
    pythons: Sequence[str] | None
    #: MB
    volume: int | None
    sign: Path | None
    key: Path | None
    bases: str


def add(verbs: Verbs) -> None:
    """Add it to the command line's verbs."""
    parser = verbs.add_parser("bundle", help="put all that envs need in one file, for a machine without a network")
    parser.add_argument("envs", nargs="*", metavar="ENV", help="cpu-torch-2.13, or cpu-torch for the newest")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--out", type=Path, metavar="FILE", help="the file that is written")
    what.add_argument(
        "--verify", type=Path, metavar="FILE", help="say whether a bundle is whole, and fits this checkout"
    )
    parser.add_argument("--no-images", dest="images", action="store_false", help="without images: no Docker there")
    parser.add_argument("--no-wheels", dest="wheels", action="store_false", help="without wheels: images only")
    parser.add_argument("--pythons", nargs="+", metavar="X.Y", help="those that it can be started with there")
    parser.add_argument("--volume", type=_megabytes, metavar="MB", help="split it into volumes of so many MB")
    parser.add_argument("--sign", type=Path, metavar="KEY", help="a secret key, of ssh-keygen or of minisign")
    parser.add_argument("--key", type=Path, metavar="FILE", help="with --verify: the public key of whoever signed it")
    add_bases(parser)
    parser.set_defaults(verb=lambda **options: bundle(Options(**options)))


def bundle(options: Options) -> int:
    """Make a bundle, or verify one; returns the exit code."""
    if options.verify:
        return _verify(options, options.verify)
    if options.out is None or not options.envs:
        raise UsageError("bundle: no env is named", "python -m dlmatrix bundle cpu-torch --out FILE")
    if not options.images and not options.wheels:
        raise UsageError("--no-images and --no-wheels leave nothing to carry", "leave one of them out")
    _pythons(options)
    if options.key:
        raise UsageError("--key is for --verify", "--sign KEY signs")
    if options.out.is_dir():
        raise UsageError(f"{options.out} is a folder", "name a file in it: --out FILE")
    if options.sign:
        from dlmatrix.bundle.signature import check_key

        check_key(options.sign)
    return _make(options, options.out.absolute())


def _make(options: Options, out: Path) -> int:
    import itertools
    from importlib import metadata

    import dlmatrix
    from dlmatrix.bundle import contents
    from dlmatrix.bundle.manifest import Manifest
    from dlmatrix.bundle.signature import sign
    from dlmatrix.bundle.start import tenths
    from dlmatrix.bundle.write import in_order, write_bundle
    from dlmatrix.cli.output import say
    from dlmatrix.matrix.load import load_sound, lock_of, select
    from dlmatrix.matrix.plan import Limits, make_plan
    from dlmatrix.system.checkout import find_root
    from dlmatrix.system.working import working

    matrix = load_sound(find_root())
    envs = select(matrix, options.envs)
    uv_version = metadata.version("uv")
    plans = [make_plan(matrix, env, lock_of(matrix, env), uv_version, Limits()) for env in envs]
    with working(matrix.root):
        files, commit = contents.checkout(matrix.root, say)
        images = _images(options, plans)
        sources = [*files, *contents.bills(plans, images.bills if images else {}), *_wheels(options, plans)]
        about = sum(source.size + 1024 for source in sources) + (2 << 20) + (images.size if images else 0)
        more = " and the layers of images" if images else ""
        say(f"{len(sources):,} members{more}, about {about / 1e6:,.0f} MB: {out}")
        versions = {"dlmatrix": dlmatrix.__version__, "uv": uv_version, "commit": commit, "main": envs[0].name}
        versions["pythons"] = " ".join(_pythons(options)) if options.wheels else ""
        begun = Manifest(envs=contents.facts(plans, images.facts if images else {}), versions=versions, members=())
        volume = options.volume * 1_000_000 if options.volume else None
        out.parent.mkdir(parents=True, exist_ok=True)
        members = itertools.chain(in_order(sources), images.sources() if images else ())
        made = write_bundle(out, members, begun, volume=volume, about=about, progress=tenths(say))
    if made.kept >= 1_000_000:
        say(f"{made.kept / 1e6:,.0f} MB were there of an earlier try")
    for file in made.files:
        say(f"{file}: {file.stat().st_size / 1e6:,.0f} MB")
    say(f"signed: {sign(made.manifest, out, options.sign)}" if options.sign else "not signed: --sign KEY signs it")
    say(f"next, where there is no network: python3 {made.files[-1].name}")
    return 0


def _pythons(options: Options) -> Sequence[str]:
    from dlmatrix.bundle.contents import PYTHONS

    for python in options.pythons or ():
        if python not in PYTHONS:
            raise UsageError(f"--pythons: {python!r} is not one of {', '.join(PYTHONS)}", "correct it")
    return options.pythons or PYTHONS


def _wheels(options: Options, plans: Sequence[Plan]) -> list[Source]:
    import os

    from dlmatrix.bundle import contents
    from dlmatrix.bundle.wheels import Collector
    from dlmatrix.cli.output import say
    from dlmatrix.matrix.site import read_site

    if not options.wheels:
        return []
    collector = Collector(root=plans[0].root, site=read_site(os.environ), say=say)
    found = contents.distributions(plans, collector, _pythons(options))
    known = sum(one.size or 0 for one in found)
    say(f"{len(found)} wheels, {known / 1e6:,.0f} MB and those of find-links; what is not here is downloaded")
    return contents.wheels(found, collector)


def _images(options: Options, plans: Sequence[Plan]) -> Pictured | None:
    """The images, on the engine. Raises EngineError where there is none."""
    import os

    from dlmatrix.bundle.images import pictured
    from dlmatrix.cli.output import say
    from dlmatrix.engines.docker.engine import connect
    from dlmatrix.errors import EngineError
    from dlmatrix.matrix.site import read_site

    if not options.images:
        return None
    try:
        engine = connect(read_site(os.environ), options.bases)
    except EngineError as error:
        raise EngineError(error.message, f"leave images out: add --no-images; or {error.next_step}") from None
    return pictured(engine, plans, say)


def _verify(options: Options, file: Path) -> int:
    """Say whether a bundle is whole, who signed it, and what of it is as in this checkout; 1 where something is not."""
    from dlmatrix.bundle.compare import differences
    from dlmatrix.bundle.reader import Bundle
    from dlmatrix.bundle.signature import check
    from dlmatrix.bundle.start import tenths
    from dlmatrix.bundle.volumes import base_of
    from dlmatrix.cli.output import say
    from dlmatrix.system.checkout import find_root

    with Bundle(file) as found:
        say(check(found.signed, base_of(file), options.key))
        found.verify(tenths(say))
        say(f"whole: {len(found.manifest.members):,} members, {found.size / 1e6:,.0f} MB, each as its manifest says")
        for name, value in found.manifest.versions.items():
            say(f"{name}: {value}")
        lines, same = differences(find_root(), found.manifest)
    for line in lines:
        say(line)
    return 0 if same else 1


def _megabytes(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or not 0 < int(text) < 10**9:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of MB")
    return int(text)
