"""Synthetic fleets of machines: what was planted is found, and healthy ones are left alone."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest

from dlmatrix.comparison.many import many
from dlmatrix.comparison.reports import Cell, Report, Row
from dlmatrix.comparison.siblings import FALSE_ALARM, OVERALL, siblings
from dlmatrix.errors import UnlikeError
from tests.unit.reports import COMPILED, INFER, TRAIN, Data, env, result, row, seeded, throughput, write

Cli = Callable[..., tuple[int, str, str]]
#: images/s of a healthy machine
METRICS = {TRAIN: 3500.0, INFER: 8000.0, COMPILED: 4100.0, **{f"row {n}": 1000.0 * n for n in range(1, 8)}}
TERMS = {"torch": "2.13.0", "threads": "2"}


def machine(
    name: str, r: Random, *, spread: float = 0.003, speed: float = 1.0, without: str = "", **other: Any
) -> Report:
    """A machine whose metrics each differ by ``spread`` from the truth, and all of them by ``speed``."""
    rows = {
        metric: Row(id=metric, processes=(figure,) * 5, fastest=(figure,) * 5)
        for metric, value in METRICS.items()
        if metric != without and (figure := value * speed * (1 + r.gauss(0, spread)))
    }
    cell = {"rows": rows, "roof": {}, "terms": TERMS, "surroundings": {}, "marks": (), "costs": {}, "reason": ""}
    cells = {"cpu-torch-2.13": Cell(env="cpu-torch-2.13", **{"gpu": False} | cell | other)}
    return Report(name=name, folder=Path(name), surroundings={}, cells=cells)


def fleet(seed: int, count: int = 30, **other: Any) -> list[Report]:
    r = seeded(seed)
    return [machine(f"node{number:02}", r, **other) for number in range(count)]


@pytest.mark.parametrize("seed", range(20))
def test_all_that_was_planted_is_found_and_nothing_else(seed: int) -> None:
    reports, r = fleet(seed), seeded(f"planted {seed}")
    reports[4] = machine("slow", r, speed=0.95)
    reports[13] = machine("hot", r, speed=0.85, marks=("throttled: GPU 0: SW thermal slowdown",))
    reports[22] = machine("gap", r, without=INFER)
    found = siblings(reports)
    assert {outlier.report for outlier in found.outliers} == {"slow", "hot"}
    assert all(outlier.certain for outlier in found.outliers)
    by_metric = {(outlier.report, outlier.metric): outlier for outlier in found.outliers}
    slow = by_metric["slow", OVERALL]
    assert slow.distance == pytest.approx(-0.05, abs=0.005)
    assert slow.mads is not None
    assert slow.mads > 10
    assert slow.sure > 0.999
    assert {metric for report, metric in by_metric if report == "slow"} == {*METRICS, OVERALL}
    assert [(absent.report, absent.metric) for absent in found.missing] == [("gap", INFER)]
    assert found.marks == (("hot", "cpu-torch-2.13", "throttled: GPU 0: SW thermal slowdown"),)


def test_of_200_healthy_fleets_none_has_a_machine_named() -> None:
    found = [siblings(fleet(seed)) for seed in range(200)]
    assert sum(any(outlier.certain for outlier in one.outliers) for one in found) <= 200 * FALSE_ALARM
    assert not any(one.missing or one.marks or one.unlike for one in found)


@pytest.mark.parametrize("count", [5, 12, 30])
def test_the_rate_holds_where_the_floor_does_not_help(count: int) -> None:
    """Machines that differ by more than the floor: only the MADs keep healthy ones from being named."""
    alarms = sum(
        any(outlier.certain for outlier in siblings(fleet(seed, count, spread=0.04)).outliers) for seed in range(200)
    )
    assert alarms <= 200 * FALSE_ALARM + 3  # three standard deviations of a rate of 1 % in 200


def laps(r: Random, device: str) -> Report:
    """A healthy machine as it is measured: processes that lose time to others, and laps that lose less."""
    rows = {}
    for metric, truth in METRICS.items():
        own = truth * (1 + r.gauss(0, 0.004))
        processes = tuple(own * (1 - 0.06 * r.expovariate(1)) for _ in range(5))
        fastest = tuple(own * (1 - (0.03 if device == "cpu" else 0.01) * r.expovariate(1)) for _ in range(5))
        rows[metric] = Row(id=metric, processes=processes if device == "cpu" else fastest, fastest=fastest)
    return machine(f"{r.random()}", r, rows=rows, gpu=device == "cuda")


@pytest.mark.parametrize("device", ["cpu", "cuda"])
@pytest.mark.parametrize("count", [5, 12, 30])
def test_the_rate_holds_with_the_figures_that_pairs_are_compared_by(device: str, count: int) -> None:
    alarms = 0
    for seed in range(100):
        r = seeded(f"{device} {count} {seed}")
        found = many([replace(laps(r, device), kind=kind) for kind in ("one", "other") for _ in range(count)])
        alarms += any(outlier.certain for one in found.judged for outlier in one.outliers)
    assert alarms <= 100 * FALSE_ALARM + 3  # three standard deviations of a rate of 1 % in 100


def test_on_processors_it_is_the_fastest_lap_that_counts() -> None:
    r = seeded("busy")
    busy = [laps(r, "cpu") for _ in range(12)]
    slowed = {
        name: replace(row, processes=tuple(v / 2 for v in row.processes)) for name, row in rows_of(busy[0]).items()
    }
    busy[0] = machine("busy", r, rows=slowed)
    assert not any(outlier.certain for outlier in siblings(busy).outliers)
    busy[1] = machine(
        "slow",
        r,
        rows={n: replace(row, fastest=tuple(v * 0.8 for v in row.fastest)) for n, row in rows_of(busy[1]).items()},
    )
    assert {outlier.report for outlier in siblings(busy).outliers if outlier.certain} == {"slow"}


def rows_of(report: Report) -> dict[str, Row]:
    return dict(report.cells["cpu-torch-2.13"].rows)


def test_a_machine_that_is_slow_everywhere_shows_best_in_all_rows_together() -> None:
    reports = fleet(8, spread=0.02)
    reports[4] = machine("slow", seeded(1), spread=0.02, speed=0.9)
    (outlier,) = [outlier for outlier in siblings(reports).outliers if outlier.certain and outlier.metric == OVERALL]
    assert (outlier.report, outlier.distance) == ("slow", pytest.approx(-0.1, abs=0.02))


def test_few_machines_are_sure_of_large_distances_only() -> None:
    reports = fleet(8, count=6)
    reports[0] = machine("slow", seeded(1), speed=0.95)
    assert not any(outlier.certain for outlier in siblings(reports).outliers)


def test_new_machines_are_held_against_a_baseline() -> None:
    new = [machine("same", seeded(1)), machine("slow", seeded(2), speed=0.95), machine("fast", seeded(3), speed=1.1)]
    found = siblings(new, fleet(8))
    assert found.reports == ("same", "slow", "fast")
    assert found.group == 30
    assert {(outlier.report, outlier.distance < 0) for outlier in found.outliers} == {("slow", True), ("fast", False)}
    # Its own report may lie in the folder of the baseline.
    assert siblings(new, [*fleet(8), *new]) == found


def data(r: Random, speed: float = 1.0) -> Data:
    values = ((TRAIN, 3500), (INFER, 8000), (COMPILED, 4100))
    rows = [row(name, [[value * speed * (1 + r.gauss(0, 0.003))] * 3 for _ in range(5)]) for name, value in values]
    return result(env(rows=rows))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Reports of 30 machines: one slow, one that throttles, one without a row, one without an env."""
    r = seeded(8)
    for number in range(30):
        one = data(r, {7: 0.95, 11: 0.85}.get(number, 1.0))
        if number == 11:
            throughput(one)["machine"]["marks"] = ["throttled: the processor slowed down for heat 9 times"]
        if number == 20:
            throughput(one)["rows"][1] = row(INFER, [])
        if number == 21:
            one["envs"][0] |= {"document": None, "outcome": "error", "reason": "did not end in time"}
        write(tmp_path / "fleet" / f"node{number:02}", one)
    return tmp_path / "fleet"


def test_a_folder_of_reports(cli: Cli, checkout: Path, folder: Path) -> None:
    code, out, err = cli("compare", str(folder))
    lines = out.splitlines()
    assert lines[0] == "held against 30 reports: 30, in 4 metrics; of 100 healthy groups at most 1 has a machine named"
    slow = [line for line in lines if line.startswith("slow: ")]
    assert {line.split(": ")[1] for line in slow} == {"node07", "node11"}
    (overall,) = [line for line in slow if line.startswith("slow: node07: cpu-torch-2.13: all rows: ")]
    assert re.search(r": -(4\.[89]|5\.[012])% from the median, \d+\.\d MADs, 99\.9 % sure$", overall)
    assert f"missing: node20: cpu-torch-2.13: {INFER}: torch.compile needs a C++ compiler" in out
    assert "missing: node21: cpu-torch-2.13: every metric: error: did not end in time" in out
    assert "marked: node11: cpu-torch-2.13: throttled: the processor slowed down" in out
    assert code == 1
    assert "slower than its siblings: node07, node11; a metric is missing: node20, node21\n" in err


def test_the_exit_code_says_what_was_found(cli: Cli, checkout: Path, folder: Path, tmp_path: Path) -> None:
    r = seeded(9)
    same, slow = write(tmp_path / "same", data(r)), write(tmp_path / "slow", data(r, 0.9))
    gone = data(r)
    throughput(gone)["rows"].pop()
    new = {"same": same, "slow": slow, "gone": write(tmp_path / "gone", gone)}
    for name, expected in (("same", 0), ("slow", 17), ("gone", 18)):
        code, out, _ = cli("compare", "--baseline", str(folder), str(new[name]))
        assert (name, code) == (name, expected)
        assert out.startswith("held against 30 reports: 1, in 4 metrics")
        assert ("no machine stands out" in out) == (name == "same")


def test_json(cli: Cli, checkout: Path, folder: Path) -> None:
    found = json.loads(cli("compare", str(folder), "--json")[1])
    assert found["false_alarm"] == FALSE_ALARM
    (kind,) = found["kinds"]
    assert kind["kind"] == "2 x Some CPU @ 2.0 GHz"
    centres = {centre["metric"]: centre for centre in kind["centres"]}
    assert centres[TRAIN]["median"] == pytest.approx(3510, rel=0.002)
    assert centres[TRAIN]["mad"] == pytest.approx(0.003, abs=0.0015)
    assert centres[INFER]["reports"] == 28
    assert kind["outliers"][0]["report"] == "node07"
    assert {absent["report"] for absent in kind["missing"]} == {"node20", "node21"}


def changed(folder: Path, name: str, change: Callable[[Data], object]) -> None:
    file = folder / name / "result.json"
    other = json.loads(file.read_text())
    change(other)
    file.write_text(json.dumps(other))


def test_machines_are_held_against_those_of_their_kind(cli: Cli, checkout: Path, folder: Path) -> None:
    def another(one: Data) -> None:
        throughput(one)["machine"]["cpu"] = "Another CPU"
        for each in throughput(one)["rows"]:
            each["fastest"] = [value * 3 for value in each["fastest"]]

    for number in (1, 2, 3, 4, 5, 6):
        changed(folder, f"node{number:02}", another)
    for number in (8, 9):
        changed(folder, f"node{number:02}", lambda one: throughput(one)["machine"].update(cpus=64.0))
    code, out, _ = cli("compare", str(folder))
    assert "22 of 2 x Some CPU @ 2.0 GHz: node00, node07, node10, node11, node12 and 17 more\n" in out
    assert "6 of 2 x Another CPU: node01, node02, node03, node04, node05 and 1 more\nheld against 6 reports: 6" in out
    assert "2 of 64 x Some CPU @ 2.0 GHz: node08, node09\nnot judged: 2 reports are too few to tell" in out
    assert {line.split(": ")[1] for line in out.splitlines() if line.startswith("slow: ")} == {"node07", "node11"}
    assert code == 1


def test_a_machine_on_which_nothing_was_measured_is_missed_among_its_kind(
    cli: Cli, checkout: Path, folder: Path
) -> None:
    for number in range(30):
        changed(folder, f"node{number:02}", lambda one: one["host"].update(cpu="Some CPU @ 2.0 GHz", cpus=2))
    assert "missing: node21: cpu-torch-2.13: every metric: error" in cli("compare", str(folder))[1]


def test_another_driver_or_version_is_told_and_refuses_nothing(cli: Cli, checkout: Path, folder: Path) -> None:
    for name in ("node03", "node05"):
        changed(folder, name, lambda one: one["envs"][0]["document"]["versions"].update(torch="2.12.0+cpu"))
    code, out, _ = cli("compare", str(folder))
    assert "differs: node03, node05: cpu-torch-2.13: torch: 2.12.0+cpu | 2.13.0+cpu\n" in out
    assert code == 1


def test_an_unreadable_report_is_named_and_left_out(cli: Cli, checkout: Path, folder: Path) -> None:
    for name in ("node07", "node11", "node20", "node21"):
        (folder / name / "result.json").write_text('{"schema_version": 1, "envs"')
    code, out, err = cli("compare", str(folder))
    assert out.splitlines()[0].startswith("held against 26 reports: 26")
    assert out.count("unreadable, and left out: ") == 4
    assert f"unreadable, and left out: {folder / 'node07' / 'result.json'}: is not JSON: " in out
    assert code == 15
    assert f"cannot be read: {folder / 'node07' / 'result.json'}, " in err
    for file in folder.glob("*/result.json"):
        file.write_text("{")
    code, out, err = cli("compare", str(folder))
    assert (code, out) == (15, "")
    assert f"{folder / 'node00' / 'result.json'}: is not JSON" in err


def test_the_marks_of_many_machines_are_one_line(cli: Cli, checkout: Path, folder: Path) -> None:
    for number in range(30):
        mark = f"busy: load {number}.0 on 2 processors when it started"
        changed(folder, f"node{number:02}", lambda one, mark=mark: machine_of(one)["marks"].append(mark))
    marked = [line for line in cli("compare", str(folder))[1].splitlines() if line.startswith("marked: ")]
    assert marked == [
        "marked: cpu-torch-2.13: busy: 29 of 30 machines, node00, node01, node02, node03, node04 and 24 more; "
        "node00: load 0.0 on 2 processors when it started",
        "marked: node11: cpu-torch-2.13: throttled: the processor slowed down for heat 9 times",
    ]


def test_a_report_that_is_named_twice_is_one(cli: Cli, checkout: Path, folder: Path) -> None:
    names = [str(folder / f"node{number:02}") for number in range(4)]
    twice = [f"{names[0]}/", f"{names[1]}/result.json"]
    code, _, err = cli("compare", *names, *twice)
    assert (code, "4 reports are too few to tell" in err) == (2, True), err
    assert cli("compare", str(folder), *names)[1] == cli("compare", str(folder))[1]
    code, _, err = cli("compare", names[0], twice[0])
    assert (code, "one report has nothing to be compared with" in err) == (2, True), err


def test_a_guide_s_replay_in_a_folder_of_reports_is_none(cli: Cli, checkout: Path, folder: Path) -> None:
    before = cli("compare", str(folder))
    write(folder / "replay", {"schema_version": 1, "kind": "replay"})
    assert cli("compare", str(folder)) == before
    code, _, err = cli("compare", str(folder / "replay"), str(folder / "node00"))
    assert (code, "is of a guide's replay, not of a run" in err) == (2, True)


def test_an_env_that_failed_is_told_although_it_is_as_fast(cli: Cli, checkout: Path, folder: Path) -> None:
    for number in (7, 11, 20, 21):
        (folder / f"node{number:02}" / "result.json").unlink()
    assert "no machine stands out" in cli("compare", str(folder))[1]
    changed(folder, "node03", lambda one: one["envs"][0].update(outcome="failed", reason="conv2d is wrong"))
    out = cli("compare", str(folder))[1]
    assert "marked: node03: cpu-torch-2.13: failed: conv2d is wrong\n" in out
    assert "no machine stands out" not in out


def test_machines_whose_envs_all_failed_are_told_with_what_failed(folder: Path, cli: Cli) -> None:
    for name in sorted(path.name for path in folder.iterdir()):
        changed(folder, name, lambda one: one["envs"][0].update(outcome="error", reason="no driver", document=None))
    code, out, err = cli("compare", str(folder))
    assert code == 16
    assert "cpu-torch-2.13 error: no driver (30 of 30)" in out + err


def test_a_name_of_two_lines_writes_no_line_of_ours(folder: Path, cli: Cli) -> None:
    changed(folder, "node03", lambda one: one["host"].update(name="vm\nno machine stands out"))
    out = cli("compare", str(folder / "node00"), str(folder / "node03"))[1]
    assert "no machine stands out" in out
    assert "no machine stands out" not in out.splitlines()


def machine_of(one: Data) -> Data:
    """The machine of its throughput; one that nobody keeps where nothing was measured."""
    return throughput(one)["machine"] if one["envs"][0]["document"] else {"marks": []}


def test_the_rates_are_stated_where_they_are_looked_for(cli: Cli, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli("compare", "--help")
    text = " ".join(capsys.readouterr().out.split())
    assert "at most 1 comparison of two in 20 calls any row FASTER or SLOWER" in text
    assert "at most 1 healthy group of machines in 100 has a machine named" in text


def test_reports_without_a_figure_in_common_are_unlike_and_not_fine() -> None:
    empty = [machine(f"node{number}", seeded(number), rows={}) for number in range(6)]
    with pytest.raises(UnlikeError, match="no figure is in most of the 6 reports"):
        siblings(empty)
    with pytest.raises(UnlikeError):
        siblings(empty[:1], baseline=empty[1:])
