"""Runs the pieces of one program, one after the other in one scope, as a notebook or a Python prompt does.

It is copied into a guide's world and run by the guide's Python, which may be 3.6. The pieces come as JSON, in the file
that is its first argument: each with its text, the name that tracebacks give it, and ``echo``: nothing, ``last``
(a cell shows its last value) or ``all`` (a prompt shows every value); ``raises`` says that an error is what it is to
end in. A line with \\x1e and a number goes before what each prints. Ends with 1 at the first other piece that raises.
"""

import ast
import code
import json
import linecache
import sys


class Session(code.InteractiveInterpreter):
    """One scope, and whether anything in it raised."""

    failed = False

    def showtraceback(self) -> None:
        """Show it as usual, and remember it."""
        self.failed = True
        code.InteractiveInterpreter.showtraceback(self)

    def run_piece(self, text: str, name: str, echo: str) -> None:
        """Run one piece, and show the values that its form shows."""
        linecache.cache[name] = (len(text), None, text.splitlines(True), name)
        body = ast.parse(text, name).body
        shown = body[-1:] if echo == "last" else body if echo == "all" else []
        quiet = body[: len(body) - len(shown)]
        module = ast.parse("")
        module.body = quiet
        self.runcode(compile(module, name, "exec"))
        for node in shown:
            if self.failed:
                return
            self.runcode(compile(ast.Interactive([node]), name, "single"))


def main(file: str) -> int:
    """Run all pieces of a file."""
    with open(file, encoding="utf-8") as opened:
        pieces = json.load(opened)
    sys.argv = [""]
    session = Session({"__name__": "__main__", "__doc__": None})
    for number, piece in enumerate(pieces):
        for stream in (sys.stdout, sys.stderr):
            stream.write("\x1e%d\n" % number)  # noqa: UP031
            stream.flush()
        session.run_piece(piece["text"], piece["name"], piece["echo"])
        if session.failed and not piece.get("raises"):
            return 1
        session.failed = False
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
