"""The command line: ``python -m dlmatrix``. Nox sessions are thin callers of it."""

from __future__ import annotations

import io
import os
import shlex
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from dlmatrix.errors import EXIT_INTERRUPTED, DlmatrixError, of_system, shown

#: Set by nox (noxfile.py) to its own number: what it started ends with it.
STARTER = "DLMATRIX_STARTER"
#: The signal that has stopped this command, if one has.
_stopped: list[int] = []


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code. Every failure is one message on stderr."""
    if sys.version_info < (3, 10):  # noqa: UP036 - what starts it may be older
        version = ".".join(map(str, sys.version_info[:2]))
        what = f"{sys.executable} is Python {version}, and dlmatrix needs 3.10 or newer"
        return _fail(DlmatrixError(what, "name one: make setup PYTHON=python3.12"))
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # whoever started us has closed it
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 - to the end
    _stopped.clear()
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # nohup
            signal.signal(number, _interrupt)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a terminal may not know every sign in a framework's message
    try:
        starter = os.environ.pop(STARTER, "")
        if starter.isdecimal():
            from dlmatrix.system.starter import end_with  # noqa: PLC0415

            end_with(int(starter))
        from dlmatrix.cli.verbs import make_parser  # noqa: PLC0415 - Ctrl-C while it loads is to end like any other

        options = vars(make_parser().parse_args(arguments))
        code = int(options.pop("verb")(**options))
        sys.stdout.flush()
        return code
    except DlmatrixError as error:
        return _fail(error)
    except KeyboardInterrupt as interrupt:
        what = interrupt.args[0] if interrupt.args else "nothing was left behind"
        sys.stderr.write(shown(f"dlmatrix: interrupted; {what}\n"))
        return EXIT_INTERRUPTED
    except BrokenPipeError:  # the reader of our output went away: nothing to tell it, now or at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        return _fail(of_system(error))
    except MemoryError:
        return _fail(DlmatrixError("there is no memory left for dlmatrix itself", "see `ulimit -v` and `free -m`"))
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] in ("", "dlmatrix"):
            raise
        return _fail(_not_installed(str(error.name), sys.argv[1:] if arguments is None else arguments))


def _fail(error: DlmatrixError) -> int:
    for stream, text in ((sys.stdout, ""), (sys.stderr, shown(f"dlmatrix: {error}\n"))):
        try:
            stream.write(text)
            stream.flush()
        except OSError:  # what cannot be written now is not to be tried again at exit, which has its own exit code
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    return error.exit_code


def _not_installed(module: str, arguments: Sequence[str]) -> DlmatrixError:
    """This interpreter lacks a dependency: the checkout has an environment with all of them, or one command away."""
    root = Path(__file__).resolve().parents[1]
    again = shlex.join([".venv/bin/python", "-m", "dlmatrix", *arguments])
    next_step = f"in {root}: make setup, then {again}"
    if not (root / "Makefile").is_file():
        next_step = "install dlmatrix again, with its dependencies (pip without --no-deps)"
    return DlmatrixError(f"{sys.executable} has no module {module}, which dlmatrix needs", next_step)


def _interrupt(number: int, frame: object) -> None:
    """Interrupt once: whoever stops the one who started us may send a second, which is not to stop the cleaning up."""
    if not _stopped:
        _stopped.append(number)
        raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
