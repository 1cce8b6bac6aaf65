"""What the files of the verbs share: the parser, and the options that several of them take."""

from __future__ import annotations

import argparse
import difflib
import re
from typing import NoReturn, TypeAlias

from dlmatrix.errors import UsageError

#: What a verb's ``add`` is given. Each sets ``verb``: what carries it out, called with the options by their names.
Verbs: TypeAlias = "argparse._SubParsersAction[Parser]"


class Parser(argparse.ArgumentParser):
    """A parser whose complaint is an error like any other."""

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
