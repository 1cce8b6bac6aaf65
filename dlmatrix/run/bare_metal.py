"""What a container costs: its throughput against that of the same lock in a virtual environment of this machine.

Both are measured in turns, a fresh container and a fresh process in each round, so that what the
machine does meanwhile falls on both.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from dlmatrix.comparison.intervals import SLOWER, Ratio, judge, paired_ratio
from dlmatrix.comparison.likeness import differences
from dlmatrix.comparison.pair import FLOORS
from dlmatrix.comparison.ratios import BARE_METAL, entry
from dlmatrix.comparison.reports import process_medians, terms
from dlmatrix.document.check import Check, Outcome, check_entry
from dlmatrix.engines.protocol import Completed, Engine, Prepared
from dlmatrix.errors import ContractError, DlmatrixError, SkippedEnv, of_system
from dlmatrix.matrix.plan import Measuring, Plan
from dlmatrix.system.process import Say

Document = Mapping[str, Any]
#: Starts one fresh process that measures the rows once; its document.
Once = Callable[[], Document]
#: Holds what came out of an env against the contract.
Read = Callable[[Plan, Completed], Document]

ROUNDS = 5


@dataclass(frozen=True, kw_only=True)
class BareMetal:
    """The engine that runs envs without a container."""

    engine: Engine

    def check(
        self, engine: Engine, plan: Plan, prepared: Prepared, *, document: Document, say: Say, read: Read
    ) -> Check:
        """The check that ``engine`` costs no throughput, with the ratios among its data."""
        started, found, outcome, reason = time.perf_counter(), dict[str, Ratio](), Outcome.PASSED, ""
        rows = rows_to_hold(document)
        try:
            if not rows:
                raise SkippedEnv("no row was measured in the container that could be held against bare metal")
            short = replace(plan, measuring=Measuring(processes=1, rows=tuple(rows), only=True))
            sides = ((engine, prepared), (self.engine, self.engine.prepare(short, say)))
            inside, outside = (_once(one, short, there, say, read) for one, there in sides)
            found = in_turns(inside, outside, rows)
            floor = FLOORS["cuda" if plan.gpu else "cpu"]
            verdicts = zip(found.items(), judge(list(found.values()), [floor] * len(found)), strict=True)
            slow = [f"{row}: {one.ratio:.3f}, {why}" for (row, one), (verdict, why) in verdicts if verdict == SLOWER]
            if slow:
                outcome, reason = Outcome.FAILED, f"the container is slower than bare metal: {'; '.join(slow)}"
        except (DlmatrixError, OSError) as raised:
            error = raised if isinstance(raised, DlmatrixError) else of_system(raised)
            outcome = Outcome.SKIPPED if isinstance(error, SkippedEnv) else Outcome.ERROR
            reason = error.message
        names = [f"{plan.env.name} ({name})" for name in (engine.name, self.engine.name)]
        return check_entry(
            BARE_METAL,
            "images/s in the container are those of the same lock in a virtual environment of this machine",
            outcome,
            reason,
            kind="throughput",
            found={row: round(one.ratio, 4) for row, one in found.items()},
            seconds=time.perf_counter() - started,
            ratios=[entry("container / bare metal", names[0], names[1], row, one) for row, one in found.items()],
        )


def _once(engine: Engine, plan: Plan, prepared: Prepared, say: Say, read: Read) -> Once:
    def once() -> Document:
        say(f"smoke: {BARE_METAL} ... a process of {engine.name}")
        # For the log only: its progress is that of one of many.
        return read(plan, engine.run(plan, prepared, lambda line: say(f"{engine.name}: {line}")))

    return once


def rows_to_hold(document: Document) -> list[str]:
    """The rows to measure on both sides: the best mode of the small CNN at batch 128, training and inference."""
    return [
        row["id"]
        for row in (document.get("throughput") or {}).get("rows", ())
        if row["best"] and (row["model"], row["batch"], row["precision"], row["feed"]) == ("cnn", 128, "fp32", "device")
    ]


def in_turns(inside: Once, outside: Once, rows: Sequence[str], rounds: int = ROUNDS) -> dict[str, Ratio]:
    """Inside by outside, for each row. Raises ContractError where the two are unlike or a row was not measured."""
    sides = (inside, outside)
    figures: tuple[dict[str, list[float]], ...] = ({row: [] for row in rows}, {row: [] for row in rows})
    documents: list[Document] = [{}, {}]
    for number in range(rounds):
        # Who goes first takes turns too.
        for side in (0, 1) if number % 2 else (1, 0):
            documents[side] = sides[side]()
            for row in documents[side]["throughput"]["rows"]:
                figures[side][row["id"]] += process_medians(row["samples"])
    unlike = [f"{key} ({one} and {two})" for key, one, two in differences(*map(terms, documents))]
    if unlike:
        raise ContractError(f"container and bare metal are unlike: {'; '.join(unlike)}")
    if lacking := [row for row in rows if any(len(side[row]) != rounds for side in figures)]:
        raise ContractError(f"not measured in every process: {', '.join(lacking)}")
    return {row: paired_ratio(figures[0][row], figures[1][row]) for row in rows}
