"""The verb ``replay``."""

from __future__ import annotations

from pathlib import Path

from dlmatrix.cli.parser import Verbs


def add(verbs: Verbs) -> None:
    """Add it to the command line's verbs."""
    parser = verbs.add_parser("replay", help="what an installation guide tells its reader to do")
    parser.add_argument(
        "guide", type=Path, metavar="GUIDE", help="a file: Markdown, reStructuredText, HTML, a notebook, text"
    )
    parser.add_argument(
        "--steps", action="store_true", required=True, help="show what was read and how it was understood; run nothing"
    )
    parser.add_argument(
        "--branch", default="cpu", metavar="NAME", help="cpu, gpu, or a part of a tab's name (default: cpu)"
    )
    parser.add_argument("--json", action="store_true", help="for programs")
    parser.set_defaults(verb=replay)


def replay(*, guide: Path, steps: bool, branch: str, json: bool) -> int:
    """Show what a guide tells its reader to do; 0 unless it cannot be read."""
    from dlmatrix.cli.output import say
    from dlmatrix.guides.read.guide import read_guide
    from dlmatrix.guides.show import reading_json, reading_lines
    from dlmatrix.guides.steps import read_steps

    read = read_guide(guide)
    reading = read_steps(read, branch)
    for line in [reading_json(read, reading)] if json else reading_lines(read, reading):
        say(line)
    return 0
