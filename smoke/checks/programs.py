"""The programs that come with the framework start: tensorboard, torchrun, saved_model_cli, f2py, …"""

from __future__ import annotations

import os
import re
import sys

from smoke import blame, distributions, programs
from smoke.context import Context, Result, failed, passed

ID = "programs"
KIND = "verify"
ASSERTS = "every program that the framework, what it requires and NumPy bring can be started: none lacks a module"
APPLIES: dict[str, tuple[str, ...]] = {}
FRESH = True


def run(context: Context) -> Result:
    """Ask each for its help; one that answers late or otherwise than expected is named, and fails nothing."""
    name = context.want("distribution")
    context.backend.versions()
    needed = {who for who, _ in distributions.required(name)} | {"numpy"}
    found: dict[str, str] = {}
    optional: dict[str, set[str]] = {}
    for who, _, folder in distributions.folders():
        for program, target in distributions.programs(folder).items() if who in needed else ():
            found[program] = target
            optional[program] = {
                line.name for line in distributions.requirements(folder)[0] if not distributions.applies(line)
            }
    wrong = {program: moved(program) for program in found if moved(program)}
    ended, late = programs.start({program: found[program] for program in found if program not in wrong}, context.folder)
    wrong.update(ended)
    # A program of an extra that nobody asked for: google-oauthlib-tool, which needs click.
    extra = [program for program, why in sorted(wrong.items()) if blame.missing(why) in optional[program]]
    data = {"programs": sorted(found), "late": late, "of an extra": extra}
    each = [f"{program}: {why}" for program, why in sorted(wrong.items()) if program not in extra]
    if each:
        steps = dict.fromkeys(map(blame.advice, each))
        return failed("{}; {}".format("; ".join(each), "; ".join(steps)), [], each, **data)
    return passed(f"{len(found)} programs", **data)


def moved(program: str, folder: str | None = None) -> str:
    """Why the script of a program cannot be started at all, in words; "" where it can, or is not beside Python."""
    path = os.path.join(folder or os.path.dirname(sys.executable), program)
    try:
        with open(path, "rb") as stream:
            first = stream.readline(300).decode("utf-8", "replace")
    except OSError:
        return ""
    interpreter = re.match(r"^#! *(/\S+)", first)
    if interpreter is None or os.path.exists(interpreter.group(1)):
        return ""
    return f"its first line names {interpreter.group(1)}, which is not there: the environment was moved, make it anew"
