"""The command line: ``python -m dlmatrix``. Nox sessions are thin callers of it."""

from __future__ import annotations

import argparse
import io
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from dlmatrix.errors import EXIT_INTERRUPTED, DlmatrixError, UsageError, of_system


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> None:  # type: ignore[override]
        raise UsageError(message, f"{self.prog} --help")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code. Every failure is one message on stderr."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # nohup
            signal.signal(number, _interrupt)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a terminal may not know every sign in a framework's message
    try:
        options = _parser().parse_args(arguments)
        code = int(options.command(options))
        sys.stdout.flush()
        return code
    except DlmatrixError as error:
        return _fail(error)
    except KeyboardInterrupt:
        sys.stderr.write("dlmatrix: interrupted; nothing was left behind\n")
        return EXIT_INTERRUPTED
    except BrokenPipeError:  # the reader of our output went away: nothing to tell it, now or at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        return _fail(of_system(error))


def _fail(error: DlmatrixError) -> int:
    sys.stderr.write(f"dlmatrix: {error}\n")
    return error.exit_code


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt


def _parser() -> argparse.ArgumentParser:
    # Ctrl-C while it loads is to end like any other.
    from dlmatrix.cli import compare, upkeep  # noqa: PLC0415
    from dlmatrix.cli import run as commands  # noqa: PLC0415
    from dlmatrix.gpu import doctor  # noqa: PLC0415
    from dlmatrix.upkeep import audit as advisories  # noqa: PLC0415
    from dlmatrix.upkeep import reproduce  # noqa: PLC0415

    parser = _Parser(prog="dlmatrix", description="Deep-learning environments: built, verified, measured.")
    verbs = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=_Parser)
    shown = verbs.add_parser("list", help="the cells of the matrix")
    form = shown.add_mutually_exclusive_group()
    form.add_argument("--json", dest="format", action="store_const", const="json", help="for machines")
    form.add_argument("--markdown", dest="format", action="store_const", const="markdown", help="the README's table")
    shown.set_defaults(command=commands.list_envs)

    plan = verbs.add_parser("plan", help="the steps and the docker commands, without running them")
    plan.add_argument("envs", nargs="+", metavar="ENV")
    _add_bases(plan)
    plan.set_defaults(command=commands.show_plan)

    run = verbs.add_parser("run", help="build, verify and measure envs")
    run.add_argument("envs", nargs="+", metavar="ENV", help="cpu-torch-2.13, or cpu-torch for the newest")
    run.add_argument("--engine", choices=["auto", "docker", "venv", "host"], default="auto")
    run.add_argument("--python", type=Path, help="the interpreter of --engine host")
    run.add_argument("--report", type=Path, metavar="DIR", help="a new folder (default: reports/TIME)")
    run.add_argument("--timeout", type=int, default=600, metavar="SECONDS", help="for the checks of one env")
    speed = run.add_mutually_exclusive_group()
    speed.add_argument("--throughput", type=float, metavar="SECONDS", help="for measuring it (default: 120; 0: not)")
    speed.add_argument("--quick", action="store_true", help="measure training and inference at batch 128 only")
    run.add_argument("--require-gpu", action="store_true", help="a gpu env whose GPU was not used has failed")
    run.add_argument("--bare-metal", action="store_true", help="hold the container's throughput against a local venv's")
    run.add_argument("--json", action="store_true", help="write result.json to stdout, everything else to stderr")
    _add_bases(run)
    run.set_defaults(command=commands.run_envs)

    page = verbs.add_parser("page", help="write the page of a report once more, from its result.json")
    page.add_argument("report", type=Path, metavar="DIR", help="a folder that run wrote")
    page.set_defaults(command=commands.write_page)

    bases = verbs.add_parser("bases", help="make bases from Debian packages, where no registry can be reached")
    bases.add_argument("pythons", nargs="*", metavar="VERSION", help="3.11, … (default: those of the supported envs)")
    bases.set_defaults(command=commands.make_bases)

    examine = verbs.add_parser("doctor", help="why the GPU is not used, by name, with the remedy")
    doctor.add_arguments(examine)
    examine.set_defaults(command=doctor.doctor)
    again = verbs.add_parser("reproduce", help="build twice from nothing and compare the digests")
    reproduce.add_arguments(again)
    _add_bases(again)
    audit = verbs.add_parser("audit", help="known vulnerabilities of what an env's lock names")
    advisories.add_arguments(audit)
    guides = verbs.add_parser("guides", help="what the install commands of guides would install today")
    guides.add_argument("--python", default="3.11", metavar="VERSION", help="for which Python (default: 3.11)")
    guides.set_defaults(command=commands.check_guides)
    compare.add_verb(verbs)
    upkeep.add_verbs(verbs)
    return parser


def _add_bases(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--bases",
        choices=["auto", "official", "debian"],
        default="auto",
        help="auto: the official image, unless only the Debian one is on the engine",
    )


if __name__ == "__main__":
    sys.exit(main())
