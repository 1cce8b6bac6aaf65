"""The process that imports the framework: runs the checks, tells the parent event by event."""

from __future__ import annotations

import json
import math
import os
import sys
import tempfile
import time
import traceback
from typing import Any, NoReturn

from smoke import catalog, gpu, supervise
from smoke.context import Context, FailedError, NoRoomError, Result, SkipError


def run(framework: str, expect: dict[str, Any], threads: int, events: int) -> NoReturn:
    """Run every check that applies and write the events to the file descriptor ``events``."""
    supervise.die_with_parent()
    os.set_inheritable(events, False)
    stream = os.fdopen(events, "w")

    def emit(**event: Any) -> None:
        stream.write(json.dumps(plain(event), allow_nan=False) + "\n")
        stream.flush()

    checks = [check for check in catalog.applying(framework, expect) if not check.after]
    folder = tempfile.gettempdir()  # the parent's, who removes it
    context = Context(framework, expect, threads, folder, lambda key, value: emit(event="record", **{key: value}))
    emit(event="plan", checks=[check.described() for check in checks])
    prepared = False
    for check in checks:
        if not check.fresh and not prepared:
            prepare(checks, context)
            prepared = True
        emit(event="start", id=check.id)
        emit(event="end", check=one(check, context))
    emit(event="record", versions=context.versions())
    emit(event="done")
    stream.close()
    sys.stdout.flush()
    sys.stderr.flush()
    # Interpreter shutdown is not under test, and frameworks' threads have crashed in it.
    os._exit(0)


def prepare(checks: list[catalog.Check], context: Context) -> None:
    """Let every check prepare; one that cannot meets its loss when it runs."""
    for check in checks:
        if check.prepare:
            try:
                check.prepare(context)
            except SkipError:
                continue
            except Exception:
                traceback.print_exc()


def one(check: catalog.Check, context: Context) -> dict[str, Any]:
    """Run one check; whatever it raises becomes its outcome."""
    started = time.perf_counter()
    try:
        result = check.run(context)
    except SkipError as reason:
        result = skipped(reason)
    except FailedError as failure:
        result = failure.result
    except Exception as problem:
        result = broken(problem, context)
    described = check.described()
    described.update(result.as_dict())
    described["seconds"] = round(time.perf_counter() - started, 4)
    return described


def skipped(reason: SkipError) -> Result:
    """The result of a SkipError; what was skipped for want of memory on the GPU is marked as not tried."""
    return Result("skipped", str(reason), data={"no_room": True} if isinstance(reason, NoRoomError) else None)


def broken(problem: Exception, context: Context) -> Result:
    """The result of any other exception, whose stack goes to the log unless a full GPU explains it."""
    try:
        gpu.refuse_without_room(context, str(problem))
    except NoRoomError as reason:
        return skipped(reason)
    traceback.print_exception(type(problem), problem, problem.__traceback__)
    frame = traceback.extract_tb(problem.__traceback__)[-1]
    where = f"{os.path.basename(frame.filename)}:{frame.lineno}"
    # TensorFlow puts a whole stack into its message; the log has it.
    first = str(problem).strip().split("\n")[0][:300]
    return Result("error", f"{type(problem).__name__}: {first} ({where})")


def plain(value: Any) -> Any:
    """The same value in JSON's own types: NumPy scalars and arrays become numbers, NaN a string."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value
