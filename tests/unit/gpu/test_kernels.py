"""Which code runs on which card: one table of cases, against which smoke/ is held too."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dlmatrix.gpu.gate import Fit, Gpu, Machine, judge
from dlmatrix.gpu.kernels import best
from dlmatrix.matrix.compatibility import load_compatibility
from dlmatrix.matrix.model import Matrix

CASES = json.loads((Path(__file__).parents[1] / "smoke" / "kernels.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize(("capability", "architectures", "how"), CASES)
def test_which_code_runs_on_which_card(capability: list[int], architectures: list[str], how: str | None) -> None:
    assert best(architectures, (capability[0], capability[1])) == how


def test_the_gate_judges_by_the_same_rule(matrix: Matrix) -> None:
    table = load_compatibility(matrix.root)
    words = {"sass": Fit.FITS, "ptx": Fit.COMPILES_FIRST}
    for env in (env for env in matrix.envs if env.variant == "gpu" and table.build_of(env)):
        build = table.build_of(env)
        assert build is not None
        targets = [f"sm_{v.major}{v.minor}" for v in build.sass] + [f"compute_{v.major}{v.minor}" for v in build.ptx]
        for card in ((6, 1), (7, 5), (8, 0), (8, 9), (9, 0), (10, 3), (12, 1)):
            machine = Machine(driver="580.159.04", gpus=(Gpu(name="a card", capability=f"{card[0]}.{card[1]}"),))
            found = judge(table, env, machine).fit
            if found in words.values():
                assert found == words[str(best(targets, card))], (env.name, card)
            elif found in (Fit.WHEEL_TOO_OLD, Fit.CARD_TOO_OLD):
                assert best(targets, card) is None, (env.name, card)
