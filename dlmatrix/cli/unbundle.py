"""The verb ``unbundle``."""

from __future__ import annotations

from pathlib import Path

from dlmatrix.cli.parser import Verbs


def add(verbs: Verbs) -> None:
    """Add it to the command line's verbs."""
    parser = verbs.add_parser("unbundle", help="unpack a bundle, each member of it verified")
    parser.add_argument("file", type=Path, metavar="FILE", help="what bundle wrote; of volumes any one")
    parser.add_argument("folder", nargs="?", type=Path, metavar="DIR", help="a new folder (default: ./NAME)")
    parser.add_argument("--key", type=Path, metavar="FILE", help="the public key of whoever signed it")
    parser.set_defaults(verb=unbundle)


def unbundle(*, file: Path, folder: Path | None, key: Path | None) -> int:
    """Unpack a bundle to a folder that works by itself; returns the exit code."""
    from dlmatrix.bundle.reader import Bundle
    from dlmatrix.bundle.signature import check
    from dlmatrix.bundle.start import place_of, tenths
    from dlmatrix.bundle.unpack import unpack
    from dlmatrix.bundle.volumes import base_of
    from dlmatrix.cli.output import say

    with Bundle(file) as bundle:
        base = base_of(file)
        say(check(bundle.signed, base, key))
        target = (folder or place_of(base)).absolute()
        unpack(bundle, target, tenths(say))
        say(f"unpacked: {target}: {len(bundle.manifest.members):,} members, each as the manifest says")
        say(f"next: cd {target} && make run ENVS={bundle.main}")
    return 0
