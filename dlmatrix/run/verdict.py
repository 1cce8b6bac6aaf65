"""From what came out of an env to a verdict: its outcome, exit code and reason."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from dlmatrix.document.check import Outcome
from dlmatrix.document.fitness import ON_CPU
from dlmatrix.document.result import parsed, wrong_in
from dlmatrix.engines.protocol import Completed
from dlmatrix.errors import EXIT_SKIPPED, ContractError, DiskFullError, DlmatrixError, HangError, KilledError
from dlmatrix.matrix.plan import Plan
from dlmatrix.run.headline import headline
from dlmatrix.system.bounded import DOCUMENT


def verdict(variant: str, document: Mapping[str, Any], exit_code: int) -> tuple[Outcome, int, str]:
    """The outcome, exit code and one-line reason of an env for cpu or gpu, from the outcomes of its checks.

    ``exit_code`` is how ``python -m smoke`` ended: it tells a hang (13) and a kill (14) from other errors.

    A failed check is stronger than an error, an error stronger than a pass; a skip never makes a
    pass: where nothing passed, or the GPU that the env is for was not used, the env is skipped.
    """
    checks = document["checks"]
    named = {outcome: [c for c in checks if c["outcome"] == outcome.value] for outcome in Outcome}
    if bad := named[Outcome.FAILED]:
        return Outcome.FAILED, 1, headline(bad)
    if bad := named[Outcome.ERROR]:
        code = exit_code if exit_code in (HangError.exit_code, KilledError.exit_code) else 1
        return Outcome.ERROR, code, headline(bad)
    if unexplained := [c["id"] for c in named[Outcome.SKIPPED] if not c["reason"].strip()]:
        return Outcome.ERROR, ContractError.exit_code, f"skipped without a reason: {', '.join(unexplained)}"
    gpu = [c for c in checks if c["kind"] == "detection"]
    if variant == "gpu" and {c["outcome"] for c in gpu} != {Outcome.PASSED.value}:
        reasons = [c["reason"] for c in gpu if c["outcome"] == Outcome.SKIPPED.value]
        where = "passed as far as it went" if no_room(document) else ON_CPU
        return Outcome.SKIPPED, EXIT_SKIPPED, f"{where}; {(reasons or ['nothing looked for a GPU'])[-1]}"
    if not named[Outcome.PASSED]:
        return Outcome.SKIPPED, EXIT_SKIPPED, headline(named[Outcome.SKIPPED]) or "no check ran"
    return Outcome.PASSED, 0, f"{len(named[Outcome.PASSED])} passed, {len(named[Outcome.SKIPPED])} skipped"


def no_room(document: Mapping[str, Any]) -> str:
    """Why checks were not tried on a GPU whose memory others hold; empty where none was left out for it."""
    return next((c["reason"] for c in document["checks"] if c["data"].get("no_room")), "")


def exit_code(codes: Iterable[int]) -> int:
    """One code for a whole run: a failure's 1, else the errors' own where they agree, else 77 for a skip, else 0."""
    kinds = set(codes)
    bad = kinds - {0, EXIT_SKIPPED}
    if bad:
        return bad.pop() if len(bad) == 1 else 1
    return EXIT_SKIPPED if EXIT_SKIPPED in kinds else 0


def read_document(plan: Plan, completed: Completed) -> dict[str, Any]:
    """The document that came out, held against smoke/schema.json.

    Raises HangError, KilledError or ContractError where none, or a wrong one, did.
    """
    name = plan.env.name
    if completed.timed_out:
        raise HangError(
            f"{name}: did not end within {plan.ends_within:g} s",
            "see its log; a longer limit is --timeout SECONDS",
        )
    if not completed.stdout.strip():
        raise _no_document(name, completed)
    if len(completed.stdout) > DOCUMENT:
        raise ContractError(f"{name}: more than {DOCUMENT >> 20} MiB came out", "see its log in the report")
    try:
        document = parsed(completed.stdout)
        wrong = wrong_in(document, read_schema(plan.root))
    except (ValueError, RecursionError) as error:
        raise ContractError(f"{name}: what came out is not JSON: {error}", "see its log in the report") from None
    if wrong:
        where = "/".join(map(str, wrong.absolute_path)) or "document"
        raise ContractError(f"{name}: {where}: {wrong.message[:200]}", "hold it against smoke/schema.json")
    bad = [c["id"] for c in document["checks"] if c["outcome"] in (Outcome.FAILED, Outcome.ERROR)]
    if (completed.exit_code == 0) != (not bad and bool(document["checks"])):
        raise ContractError(
            f"{name}: the checks ended with exit code {completed.exit_code}, and their document "
            f"{f'says that {bad[0]} went wrong' if bad else 'says that nothing went wrong'}",
            "see its log in the report",
        )
    return dict(document)


def read_schema(root: Path) -> dict[str, Any]:
    """The contract between inside and outside."""
    return dict(json.loads((root / "smoke" / "schema.json").read_text(encoding="utf-8")))


def _no_document(name: str, completed: Completed) -> DlmatrixError:
    if completed.no_room:
        return DiskFullError(f"{name}: {completed.no_room.partition(';')[0]}", "make room, or name another: TMPDIR=DIR")
    if completed.killed_for_memory:
        return KilledError(
            f"{name}: the container was killed for memory", "give the machine, or the engine, more memory"
        )
    # The SDK and the shell add 128 to a signal's number; the standard library negates it.
    number = -completed.exit_code if completed.exit_code < 0 else completed.exit_code - 128
    if number in list(signal.Signals):
        return KilledError(
            f"{name}: was killed by {signal.Signals(number).name}",
            "see its log in the report, and whether the kernel did it: dmesg | tail",
        )
    return ContractError(
        f"{name}: ended with exit code {completed.exit_code} and without a document", "see its log in the report"
    )
