"""The ratios of one run: a container by bare metal, measured in turns, and TensorFlow by PyTorch."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from dlmatrix.comparison import ratios
from dlmatrix.document.check import Outcome
from dlmatrix.engines.protocol import Completed, Prepared
from dlmatrix.errors import SkippedEnv
from dlmatrix.matrix.load import load_matrix, lock_of, select
from dlmatrix.matrix.model import Matrix
from dlmatrix.matrix.plan import Limits, Plan, make_plan
from dlmatrix.report import write as report
from dlmatrix.report.history import History
from dlmatrix.run.bare_metal import ROUNDS, BareMetal, rows_to_hold
from dlmatrix.run.result import EnvResult
from dlmatrix.system.process import Say
from tests.unit.reports import COMPILED, INFER, TRAIN, Data, env, processes, row, seeded

Cli = Callable[..., tuple[int, str, str]]
JIT = "cnn/train/jit/128/fp32/device"
GRAPH = "cnn/train/graph/128/fp32/device"


def document(*rows: Data) -> Data:
    found: Data = env(rows=rows)["document"]
    return found | {"checks": []}


class Fake:
    """An engine whose processes reach these images/s, each twice as slow as a drift that both engines share."""

    def __init__(self, name: str, speed: float, drift: list[float], log: list[str]) -> None:
        self.name, self.speed, self.drift, self.log, self.builds_at_once = name, speed, drift, log, 1
        self.change: Callable[[Data], Any] = lambda document: None

    def about(self) -> dict[str, str]:
        return {}

    def prepare(self, plan: Plan, say: Say) -> Prepared:
        return Prepared(what=self.name, built=False, seconds=0.0)

    def run(self, plan: Plan, prepared: Prepared, say: Say) -> Completed:
        assert prepared.what == self.name
        assert (plan.measuring.only, plan.measuring.processes, plan.measuring.rows) == (True, 1, (TRAIN, INFER))
        self.log.append(self.name)
        speed = self.speed * self.drift[(len(self.log) - 1) // 2]
        found = document(*(row(name, [[base * speed, base * speed]]) for name, base in ((TRAIN, 3500), (INFER, 8000))))
        self.change(found)
        return Completed(exit_code=0, stdout=json.dumps(found).encode(), start_seconds=0.0)


@pytest.fixture
def plan(checkout: Path) -> Plan:
    matrix = load_matrix(checkout)
    (cell,) = select(matrix, ["cpu-torch-2.13"])
    return make_plan(matrix, cell, lock_of(matrix, cell), "0.13.9", Limits())


class Turns:
    """A container and bare metal on a machine that gets slower by half meanwhile."""

    def __init__(self, plan: Plan, inside: float = 1.0) -> None:
        drift = [1.0, 0.9, 0.8, 0.7, 0.5]
        self.plan, self.log = plan, list[str]()
        self.inside, self.outside = Fake("docker", inside, drift, self.log), Fake("venv", 1.0, drift, self.log)
        jitter = iter([0.999, 1.001, 1.0, 1.002, 0.998] * 4)
        self.inside.change = lambda found: [self._scale(one, next(jitter)) for one in found["throughput"]["rows"]]

    @staticmethod
    def _scale(one: Data, factor: float) -> None:
        one["samples"] = [[value * factor for value in windows] for windows in one["samples"]]

    def check(self, found: Mapping[str, Any] | None = None) -> dict[str, Any]:
        measured = found or document(row(TRAIN, [[1.0]]), row(COMPILED, [[1.0]], best=False), row(INFER, [[1.0]]))
        return BareMetal(engine=self.outside).check(
            self.inside,
            self.plan,
            Prepared(what="docker", built=False, seconds=0.0),
            document=measured,
            say=lambda line: None,
            read=lambda plan, completed: json.loads(completed.stdout),
        )


def test_both_are_measured_in_turns_and_what_the_machine_does_falls_out(plan: Plan) -> None:
    turns = Turns(plan)
    check = turns.check()
    assert turns.log == ["venv", "docker", "docker", "venv"] * (ROUNDS // 2) + ["venv", "docker"]
    assert (check["id"], check["kind"], check["outcome"], check["reason"]) == ("bare-metal", "throughput", "passed", "")
    assert [one["row"] for one in check["data"]["ratios"]] == [TRAIN, INFER]
    for one in check["data"]["ratios"]:
        assert one["name"] == "container / bare metal"
        assert (one["numerator"], one["denominator"]) == ("cpu-torch-2.13 (docker)", "cpu-torch-2.13 (venv)")
        assert 0.99 < one["low"] < one["ratio"] < one["high"] < 1.01


def test_a_container_that_costs_is_a_failure(plan: Plan) -> None:
    check = Turns(plan, inside=0.9).check()
    assert check["outcome"] == "failed"
    assert check["reason"].startswith(
        f"the container is slower than bare metal: {TRAIN}: 0.900, the interval lies below"
    )
    assert check["found"] == {TRAIN: pytest.approx(0.9, abs=0.002), INFER: pytest.approx(0.9, abs=0.002)}


def test_a_faster_container_is_none(plan: Plan) -> None:
    assert Turns(plan, inside=1.1).check()["outcome"] == "passed"


def test_another_machine_is_not_bare_metal(plan: Plan) -> None:
    turns = Turns(plan)
    turns.inside.change = lambda found: found["throughput"]["machine"].update(cpu="Another CPU")
    check = turns.check()
    assert (check["outcome"], check["data"]["ratios"]) == ("error", [])
    assert "container and bare metal are unlike: CPU (Another CPU and Some CPU" in check["reason"]


def test_a_row_that_a_process_did_not_measure_is_an_error(plan: Plan) -> None:
    turns = Turns(plan)
    turns.outside.change = lambda found: found["throughput"]["rows"].pop() if len(turns.log) == 4 else None
    assert turns.check()["reason"] == f"not measured in every process: {INFER}"


def test_without_a_python_or_a_row_it_is_skipped_with_the_reason(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    turns = Turns(plan)
    assert turns.check(document() | {"throughput": None})["outcome"] == "skipped"

    def none(plan: Plan, say: Say) -> Prepared:
        raise SkippedEnv("Python 3.7 is not on this machine")

    monkeypatch.setattr(turns.outside, "prepare", none)
    check = turns.check()
    assert (check["outcome"], check["reason"]) == ("skipped", "Python 3.7 is not on this machine")
    assert turns.log == []


def test_which_rows_are_held() -> None:
    other = [row(name, [[1.0]]) for name in ("cnn/train/eager/32/fp32/device", "cnn/train/eager/128/fp32/host")]
    assert rows_to_hold(document(*other, row(COMPILED, [[1.0]]), row(TRAIN, [[1.0]], best=False))) == [COMPILED]


def test_only_a_container_is_held_against_bare_metal(cli: Cli, checkout: Path) -> None:
    code, _, err = cli("run", "cpu-torch", "--engine", "venv", "--bare-metal")
    assert code == 2
    assert "--bare-metal compares with a container of Docker's, and the engine is venv\n  next: --engine docker" in err
    assert not (checkout / "reports").exists()


def member(name: str, series: str, *rows: Data) -> ratios.Member:
    return ratios.Member(env=name, series=series, document=document(*rows))


def test_tensorflow_by_pytorch_takes_the_best_mode_of_each() -> None:
    r = seeded(8)
    torch = member(
        "cpu-torch-2.13",
        "torch",
        row(TRAIN, processes(3500, r), best=False),
        row(COMPILED, processes(4000, r)),
        row(INFER, processes(8000, r)),
    )
    tf2 = member("cpu-tf2-2.21", "tf2", row(GRAPH, processes(7800, r), best=False), row(JIT, processes(8000, r)))
    (found,) = ratios.of_run([torch, tf2], "docker")
    assert found == {
        "name": "tf2 / torch",
        "numerator": "cpu-tf2-2.21 jit (docker)",
        "denominator": "cpu-torch-2.13 compiled (docker)",
        "row": "cnn/train/best/128/fp32/device",
        "ratio": pytest.approx(2, rel=0.03),
        "low": pytest.approx(1.96, rel=0.03),
        "high": pytest.approx(2.04, rel=0.03),
    }
    assert found["low"] < found["ratio"] < found["high"]


def test_what_only_one_measured_or_on_another_device_has_no_ratio() -> None:
    torch = member("cpu-torch-2.13", "torch", row(TRAIN, [[3500.0]]))
    assert ratios.of_run([torch], "docker") == []
    assert ratios.of_run([torch, member("gpu-tf2-2.21", "tf2", row(GRAPH, [[9e4]], device="cuda"))], "docker") == []
    assert ratios.of_run([torch, member("cpu-tf2-2.21", "tf2", row(GRAPH, []))], "docker") == []
    assert ratios.of_run([], "docker") == []


def test_what_the_check_found_is_among_the_ratios(plan: Plan) -> None:
    check = Turns(plan).check()
    found = ratios.Member(env="cpu-torch-2.13", series="torch", document={"checks": [check], "throughput": None})
    assert ratios.of_run([found], "docker") == check["data"]["ratios"]


def test_they_are_in_the_report_of_a_run_that_has_both(matrix: Matrix) -> None:
    rows = {"cpu-torch-2.13": row(TRAIN, [[3500.0], [3510.0]]), "cpu-tf2-2.21": row(GRAPH, [[7000.0], [7020.0]])}
    results = [
        EnvResult(env=one, outcome=Outcome.PASSED, exit_code=0, document=document(rows[one.name]))
        for one in select(matrix, list(rows))
    ]
    now = datetime.datetime(2026, 11, 24, tzinfo=datetime.timezone.utc)
    (found,) = report.as_json(results, {"engine": "venv"}, now, {})["ratios"]
    assert found["numerator"] == "cpu-tf2-2.21 graph (venv)"
    assert found["ratio"] == pytest.approx(2, abs=0.01)
    assert report.as_json(results[:1], {"engine": "venv"}, now, {})["ratios"] == []


def test_one_process_on_a_side_gives_a_ratio_without_an_interval_and_still_a_report(
    matrix: Matrix, tmp_path: Path
) -> None:
    rows = {"cpu-torch-2.13": row(TRAIN, [[3500.0], [3510.0]]), "cpu-tf2-2.21": row(GRAPH, [[7000.0, 7010.0]])}
    results = [
        EnvResult(env=one, outcome=Outcome.PASSED, exit_code=0, document=document(rows[one.name]))
        for one in select(matrix, list(rows))
    ]
    now = datetime.datetime(2026, 11, 24, tzinfo=datetime.timezone.utc)
    data = report.as_json(results, {"engine": "venv"}, now, {})
    assert (data["ratios"][0]["low"], data["ratios"][0]["high"]) == (None, None)
    folder = report.write_report(tmp_path, tmp_path / "report", results, data, History())
    assert "unclear: a side has one process only" in (folder / "report.html").read_text(encoding="utf-8")
