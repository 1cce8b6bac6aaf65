"""What the files of the verbs share: the parser, and the options that several of them take."""

from __future__ import annotations

import argparse
from typing import NoReturn, TypeAlias

from dlmatrix.errors import UsageError

#: What a verb's ``add`` is given. Each sets ``verb``: what carries it out, called with the options by their names.
Verbs: TypeAlias = "argparse._SubParsersAction[Parser]"


class Parser(argparse.ArgumentParser):
    """A parser whose complaint is an error like any other."""

    def error(self, message: str) -> NoReturn:
        """Raise UsageError instead of ending the process."""
        raise UsageError(message, f"python -m {self.prog} --help")


def add_bases(parser: Parser) -> None:
    """The option that says which base images to build on."""
    parser.add_argument(
        "--bases",
        choices=["auto", "official", "debian"],
        default="auto",
        help="auto: the official image, unless only the Debian one is on the engine",
    )
