"""A fleet in every state, with findings, for its page."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from dlmatrix.fleet import record
from dlmatrix.fleet.record import Fleet
from dlmatrix.fleet.row import Row
from dlmatrix.fleet.states import causes, states

HOSTILE = "<script>window.hacked = 1</script> drained: ticket 17"


def figures(number: int, **other: Any) -> dict[str, Any]:
    """What a result tells in short, of one of eight alike machines, the sixth of them slow."""
    env = {
        "name": "gpu-torch-2.13",
        "outcome": "passed",
        "trains": True,
        "train": 7400.0 if number == 6 else 12000.0 + number,
    }
    known = {"cpu": "A CPU", "cpus": 64, "gpus": ["H100"] * 8, "driver": "580.159.04", "envs": [env]}
    return known | other


def finding(machine: str, what: str, *, certain: bool, **more: Any) -> dict[str, Any]:
    """A finding as fleet.json has it."""
    words = (
        f"{machine}: gpu-torch-2.13: driver: 550 where most have 580" if what == "differs" else f"{machine}: all rows"
    )
    return {"machine": machine, "what": what, "env": "gpu-torch-2.13", "certain": certain, "words": words, **more}


def fleet(more: int = 0) -> Fleet:
    """Machines that passed, one in each state and of each cause, and so many more that passed."""
    rows = [Row(name=f"gpu{n}", state="passed", figures=figures(n), seconds=100.0 + n) for n in range(1, 11 + more)]
    rows[8] = replace(
        rows[8], figures=figures(9, cpu="Another CPU", gpus=[]), before=("lost", "unreachable: no answer")
    )
    learns = {"envs": [{"name": "gpu-torch-2.13", "outcome": "failed", "trains": False, "train": None}]}
    rows.append(Row(name="learns-nothing", figures=figures(0, **learns)).at("failed", said="training: accuracy 0.10"))
    rows += [Row(name=f"in-{name}").at(name, said=HOSTILE) for name in states()]
    rows += [Row(name=f"for-{one.id}").at(one.state, one.id, said="said so") for one in causes().values()]
    rows += [Row(name=f"drained{n}").at("unavailable", said=f"drained: ECC errors, ticket {n}") for n in (1, 22)]
    found = [
        finding("gpu6", "slower", certain=True, distance=-0.38, sure=0.999),
        finding("gpu5", "slower", certain=False, distance=-0.03, sure=0.8),
        finding("gpu4", "faster", certain=True, distance=0.1, sure=0.999),
        finding("gpu3", "missing", certain=True),
        finding("gpu1", "differs", certain=False),
        finding("gpu2", "differs", certain=False),
    ]
    begun = record.beginning("R9", "slurm", ["gpu-torch"], {}, [row.name for row in rows])
    return replace(
        begun.with_rows({row.name: row for row in rows}), findings=tuple(found), started="2026-11-28T01:00:00+00:00"
    )
