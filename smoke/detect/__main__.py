"""`python -m smoke.detect --json FILE|-`: write the facts document."""

from __future__ import annotations

import argparse
import json
import sys

from .collect import DRIVER_LIMIT, FRAMEWORK_LIMIT, collect

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def _tell(name: str, facts: dict[str, Any]) -> None:
    sys.stderr.write(json.dumps({"witness": name, "facts": facts}) + "\n")
    sys.stderr.flush()


def main() -> int:
    """Exit code 0 once the document is written, 2 where it cannot be."""
    parser = argparse.ArgumentParser(prog="python -m smoke.detect", description=__doc__)
    parser.add_argument("--json", default="-", metavar="FILE", help="where to write the facts; - is stdout")
    parser.add_argument("--root", default="/", metavar="DIR", help="look at the /proc, /sys, /dev and /etc below DIR")
    parser.add_argument("--framework", choices=("torch", "tf1", "tf2"), help="also import and ask this framework")
    parser.add_argument(
        "--timeout", type=float, default=DRIVER_LIMIT, metavar="SECONDS", help="for each driver witness"
    )
    parser.add_argument("--framework-timeout", type=float, default=FRAMEWORK_LIMIT, metavar="SECONDS")
    parser.add_argument("--follow", action="store_true", help="write each witness's answer to stderr as it comes")
    options = parser.parse_args()
    answered = _tell if options.follow else None
    document = collect(options.root, options.framework, options.timeout, options.framework_timeout, answered)
    text = json.dumps(document, indent=1, sort_keys=True) + "\n"
    if options.json == "-":
        sys.stdout.write(text)
        return 0
    try:
        with open(options.json, "w") as stream:
            stream.write(text)
    except OSError as error:
        sys.stderr.write(f"smoke.detect: cannot write {options.json}: {error.strerror}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
