"""What ``python3 FILE`` does: unpack the bundle, set up .venv from it, and run the main job. Standard library only."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from dlmatrix.bundle.reader import Bundle, Progress
from dlmatrix.bundle.setup import set_up
from dlmatrix.bundle.signature import check
from dlmatrix.bundle.unpack import holds, unpack
from dlmatrix.bundle.volumes import base_of
from dlmatrix.errors import EXIT_INTERRUPTED, DlmatrixError, UsageError, of_system, shown


def main(file: str, arguments: Sequence[str]) -> int:
    """Carry out ``python3 FILE ARGUMENTS``; returns the exit code, unless the run takes the place of this process."""
    try:
        return _start(Path(file), arguments)
    except DlmatrixError as error:
        failed = error
    except OSError as error:
        failed = of_system(error)
    except KeyboardInterrupt:
        sys.stderr.write("dlmatrix: interrupted; nothing was left behind\n")
        return EXIT_INTERRUPTED
    sys.stderr.write(shown(f"dlmatrix: {failed}\n"))
    return failed.exit_code


def _start(file: Path, arguments: Sequence[str]) -> int:
    own, options = _split(arguments)
    parser = argparse.ArgumentParser(
        prog=f"python3 {file.name}", description="Unpack this bundle, set it up, and run an env of it."
    )
    parser.add_argument("envs", nargs="*", metavar="ENV", help="default: the first one")
    parser.add_argument("--to", type=Path, metavar="DIR", help="where it is unpacked (default: ./NAME)")
    parser.add_argument("--key", type=Path, metavar="FILE", help="the public key of whoever signed it")
    parser.add_argument("--no-run", action="store_true", help="only set it up")
    parser.epilog = "what stands behind -- is for `dlmatrix run`: -- --quick"
    asked = parser.parse_args(own)
    base = base_of(file)
    with Bundle(file) as bundle:
        folder = (asked.to or place_of(base)).absolute()
        _say(check(bundle.signed, base, asked.key))
        envs = asked.envs or [bundle.main]
        if wrong := [env for env in envs if env not in bundle.manifest.envs]:
            raise UsageError(f"the bundle has no {', '.join(wrong)}", f"it has {', '.join(bundle.manifest.envs)}")
        if not holds(folder, bundle):
            _say(f"unpacking {bundle.size / 1e6:,.0f} MB to {folder}")
            unpack(bundle, folder, tenths(_say))
    python = set_up(folder)
    os.chdir(folder)
    command = [str(python), "-m", "dlmatrix", "run", *envs, *options]
    _say(f"in {folder}: .venv/bin/python {' '.join(command[1:])}")
    if not asked.no_run:
        os.execv(python, command)  # noqa: S606 - no shell is what is wanted
    return 0


def place_of(base: Path) -> Path:
    """The folder, in the current one, that a bundle is unpacked to where none is named."""
    return Path(f"{base.stem if base.suffix else base.name}.unpacked")


def tenths(say: Callable[[str], None]) -> Progress:
    """A progress that says each tenth once."""
    told = [0]

    def progress(done: int, all_of: int) -> None:
        tenth = 10 * done // max(all_of, 1)
        if tenth > told[0]:
            told[0] = tenth
            say(f"{tenth}0 % of {all_of / 1e6:,.0f} MB")

    return progress


def _split(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """A command's own arguments, and those behind --."""
    found = list(arguments)
    place = found.index("--") if "--" in found else len(found)
    return found[:place], found[place + 1 :]


def _say(line: str) -> None:
    print(shown(line), flush=True)
