"""What the files of the verbs share: the parser, and the options that several of them take."""

from __future__ import annotations

import argparse
import difflib
import re
import sys
from typing import Any, NoReturn, TypeAlias

from dlmatrix.errors import UsageError

#: What a verb's ``add`` is given. Each sets ``verb``: what carries it out, called with the options by their names.
Verbs: TypeAlias = "argparse._SubParsersAction[Parser]"

#: Seconds that any limit may have: thirty days. No timer of Python's takes a thousand years.
MOST_SECONDS = 30 * 86400


class Parser(argparse.ArgumentParser):
    """A parser whose complaint is an error like any other."""

    #: whether what stands after -- is another program's, and kept as ``handed``
    hands_on = False

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As of ArgumentParser."""
        if not self.hands_on:
            return super().parse_known_args(args, namespace)
        words = list(sys.argv[1:] if args is None else args)
        end = words.index("--") if "--" in words else len(words)
        found, unknown = super().parse_known_args(words[:end], namespace)
        found.handed = words[end + 1 :]
        return found, unknown

    def error(self, message: str) -> NoReturn:
        """Raise UsageError instead of ending the process; for a word that is none of a few, with the nearest."""
        hint = ""
        if found := re.search(r"invalid choice: '(.*)' \(choose from (.*)\)", message):
            near = difflib.get_close_matches(found[1], re.findall(r"[\w-]+", found[2]), n=1)
            hint = f"did you mean {near[0]}? " if near else ""
        raise UsageError(message, f"{hint}python -m {self.prog} --help")


def add_bases(parser: Parser) -> None:
    """The option that says which base images to build on."""
    parser.add_argument(
        "--bases",
        choices=["auto", "official", "debian"],
        default="auto",
        help="auto: the official image, unless only the Debian one is on the engine",
    )


def check_version(option: str, version: str | None) -> None:
    """Raise UsageError where an option that was given names no version."""
    if version is not None and not re.fullmatch(r"\d+(?:\.\d+)*(?:(?:a|b|rc)\d+)?", version):
        raise UsageError(f"{option} {version}: is no version", "name one as in 3.11")
