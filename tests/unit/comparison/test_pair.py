"""Two reports, through the command line: verdicts, what forbids a comparison, what is missing, and the exit code."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.unit.reports import COMPILED, INFER, TRAIN, Data, env, processes, result, row, seeded, throughput, write

Cli = Callable[..., tuple[int, str, str]]


def run(train: float = 3500, infer: float = 8000, *, seed: int = 8, **other: Any) -> Data:
    r = seeded(seed)
    rates = {TRAIN: processes(train, r, spread=0.004), INFER: processes(infer, r, spread=0.004)}
    return result(env(rows=[row(name, samples) for name, samples in rates.items()], **other))


@pytest.fixture
def compared(cli: Cli, checkout: Path, tmp_path: Path) -> Callable[..., tuple[int, str, str]]:
    """Write two results and compare them."""

    def compare(a: Data | str, b: Data | str, *arguments: str) -> tuple[int, str, str]:
        folders = [str(write(tmp_path / name, data)) for name, data in (("a", a), ("b", b))]
        return cli("compare", *folders, *arguments)

    return compare


def test_what_did_not_change_is_the_same_and_ends_in_0(compared: Cli) -> None:
    code, out, err = compared(run(seed=1), run(seed=2))
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[:2] == ["A: a", "B: b"]
    assert lines[2] == "cpu-torch-2.13: SAME"
    assert [line.split()[:3] for line in lines[3:]] == [["SAME", TRAIN, "fastest"], ["SAME", INFER, "fastest"]]
    assert "the interval lies within 0.980 to 1.020" in lines[3]


def test_what_got_slower_is_named_and_ends_in_17(compared: Cli) -> None:
    code, out, err = compared(run(), run(train=3150, seed=2))
    assert code == 17
    assert "cpu-torch-2.13: SLOWER\n" in out
    assert "the interval lies below 0.980" in out
    assert err.startswith(f"dlmatrix: b is slower: cpu-torch-2.13 {TRAIN} fastest (0.901)\n  next: ")
    assert err.count("\n") == 2


def test_medians_that_are_apart_are_shown_and_the_fastest_laps_decide(compared: Cli) -> None:
    """As on a virtual machine with neighbours."""

    def disturbed(share: float) -> Data:
        medians = processes(4000 * (1 - share), seeded(share), spread=0.1)
        return result(env(rows=[row(TRAIN, medians, fastest=[4500 * (1 + n / 500) for n in range(-2, 3)])]))

    code, out, _ = compared(disturbed(0.0), disturbed(0.2))
    assert code == 0
    assert f"SAME     {TRAIN}  fastest  B/A 1.000" in out
    assert f"changed: cpu-torch-2.13 {TRAIN}: median: -" in out


def test_a_process_whose_fastest_lap_is_nothing_measured_nothing(compared: Cli) -> None:
    code, out, _ = compared(run(), result(env(rows=[row(TRAIN, [[3500.0]] * 5, fastest=[0.0] * 5)])), "--anyway")
    assert code == 16
    assert out == ""


def test_on_a_gpu_medians_decide(compared: Cli) -> None:
    def on_gpu(middle: float, seed: int) -> Data:
        return result(env(rows=[row(TRAIN, processes(middle, seeded(seed), spread=0.002), device="cuda")]))

    code, out, _ = compared(on_gpu(3500, 1), on_gpu(3400, 2))
    assert code == 17
    assert f"SLOWER   {TRAIN}  median   B/A 0.97" in out


def test_what_got_faster_is_no_failure(compared: Cli) -> None:
    code, out, _ = compared(run(), run(infer=9000, seed=2))
    assert code == 0
    assert "cpu-torch-2.13: FASTER\n" in out
    assert f"SAME     {TRAIN}" in out


def test_one_process_is_unclear(compared: Cli) -> None:
    once = result(env(rows=[row(TRAIN, [[3000.0, 3010.0]])]))
    code, out, _ = compared(run(), once)
    assert code == 18  # the other row is gone
    assert "cpu-torch-2.13: UNCLEAR\n" in out
    assert "a side has too few processes" in out


def test_html_is_a_page_of_it_whatever_the_verdict(compared: Cli, tmp_path: Path) -> None:
    page = tmp_path / "c.html"
    code, out, _ = compared(run(), run(train=3150, seed=2), "--html", str(page))
    assert (code, "SLOWER" in out) == (17, True)
    text = page.read_text(encoding="utf-8")
    assert text.startswith("<!doctype html>")
    assert all(fact in text for fact in ("SLOWER", "更慢", TRAIN, "the interval lies below 0.980"))


def test_json_has_it_all(compared: Cli) -> None:
    a, b = run(), run(train=3150, seed=2)
    b["engine"]["version"] = "29.0"
    code, out, err = compared(a, b, "--json")
    found = json.loads(out)
    assert (code, err.startswith("dlmatrix: b is slower")) == (17, True)
    assert found["verdicts"] == {"cpu-torch-2.13": "SLOWER"}
    assert found["env_differences"] == [["engine version", "28.5.2", "29.0"]]
    first = found["rows"][0]
    assert list(first) == ["env", "id", "figure", "verdict", "ratio", "low", "high", "floor", "reason"]
    assert first["low"] < first["ratio"] < first["high"] < 0.98
    assert (first["id"], first["verdict"], first["floor"]) == (TRAIN, "SLOWER", 0.02)
    assert (found["missing"], found["added"]) == ([], [])
    assert [change["what"] for change in found["changes"]] == [f"{TRAIN}: median"]


def gpu(data: Data, driver: str) -> None:
    card = {"name": "NVIDIA H100", "driver": driver, "samples": 9, "clock_mhz": None}
    throughput(data)["machine"]["gpus"] = [card | {"temperature_c": None, "power_w": None, "throttled": []}]


UNLIKE: dict[str, tuple[Callable[[Data], None], str]] = {
    "framework": (
        lambda data: data["envs"][0]["document"]["versions"].update(torch="2.11.0+cpu"),
        "cpu-torch-2.13: torch (2.13.0+cpu and 2.11.0+cpu)",
    ),
    "numpy": (lambda data: data["envs"][0]["document"]["versions"].update(numpy="1.26"), "numpy (2.4.6 and 1.26)"),
    "Python": (lambda data: data["envs"][0]["document"].update(python="3.12.1"), "Python (3.11 and 3.12)"),
    "padding": (
        lambda data: throughput(data)["settings"].update(padding="same"),
        "setting padding (valid and same)",
    ),
    "precision": (lambda data: throughput(data)["settings"].update(tf32=True), "setting tf32 (False and True)"),
    "a setting that one has not": (
        lambda data: throughput(data)["settings"].update(denormals="flushed"),
        "setting denormals (- and flushed)",
    ),
    "threads": (lambda data: throughput(data).update(threads=4), "threads (2 and 4)"),
    "processor": (lambda data: throughput(data)["machine"].update(cpu="Other CPU"), "CPU (Some CPU @ 2.0 GHz and "),
    "quota": (lambda data: throughput(data)["machine"].update(cpus=1.0), "processors (2.0 and 1.0)"),
    "driver": (lambda data: gpu(data, "570.1"), "GPUs (- and NVIDIA H100); cpu-torch-2.13: driver (- and 570.1)"),
    "device": (
        lambda data: [entry.update(device="cuda") for entry in throughput(data)["rows"]] and None,
        "device (cpu and cuda)",
    ),
}


@pytest.mark.parametrize("name", UNLIKE)
def test_unlike_runs_are_refused_by_name_unless_told_to_go_on(
    cli: Cli, checkout: Path, tmp_path: Path, name: str
) -> None:
    change, says = UNLIKE[name]
    other = run(seed=2)
    change(other)
    a, b = write(tmp_path / "a", run()), write(tmp_path / "b", other)
    code, out, err = cli("compare", str(a), str(b))
    assert (code, out) == (16, "")
    assert err.startswith("dlmatrix: the runs are unlike: ")
    assert says in err
    assert "--anyway" in err
    code, out, _ = cli("compare", str(a), str(b), "--anyway")
    assert code == 0
    assert "differs: cpu-torch-2.13: " in out
    assert "cpu-torch-2.13: SAME" in out


def test_all_that_is_unlike_is_named_at_once(compared: Cli) -> None:
    other = run()
    throughput(other)["threads"] = 4
    throughput(other)["settings"]["padding"] = "same"
    code, _, err = compared(run(), other)
    assert code == 16
    assert "threads (2 and 4); cpu-torch-2.13: setting padding (valid and same)" in err


def test_patches_of_python_bases_and_engines_may_differ_and_are_shown(compared: Cli) -> None:
    other = run(seed=2)
    other["envs"][0]["document"]["python"] = "3.11.7"
    other["envs"][0]["facts"]["base"] = "dlmatrix-base:3.11"
    other["engine"] = {"engine": "venv", "version": "Linux 6"}
    code, out, _ = compared(run(), other)
    assert code == 0
    assert "differs: engine: docker | venv" in out
    assert "differs: cpu-torch-2.13: Python: 3.11.2 | 3.11.7" in out
    assert "differs: cpu-torch-2.13: base: python:3.11 | dlmatrix-base:3.11" in out


def test_two_runs_of_one_env_each_are_a_pair_whatever_their_names(compared: Cli) -> None:
    newer = run(seed=2)
    newer["envs"][0]["name"] = "cpu-torch-2.14"
    newer["envs"][0]["document"]["versions"]["torch"] = "2.14.0+cpu"
    code, out, _ = compared(run(), newer, "--anyway")
    assert code == 0
    assert "cpu-torch-2.14: SAME" in out
    assert "differs: cpu-torch-2.13 and cpu-torch-2.14: torch: 2.13.0+cpu | 2.14.0+cpu" in out


def test_a_row_that_is_gone_is_named_with_its_reason_and_ends_in_18(compared: Cli) -> None:
    a = run()
    throughput(a)["rows"].append(row(COMPILED, processes(4000, seeded(1))))
    b = run(seed=2)
    throughput(b)["rows"].append(row(COMPILED, []))
    code, out, err = compared(a, b)
    assert code == 18
    assert f"missing: cpu-torch-2.13 {COMPILED}: torch.compile needs a C++ compiler" in out
    assert err.startswith(f"dlmatrix: b has no figure for cpu-torch-2.13 {COMPILED}\n  next: ")


def test_an_env_that_is_gone_or_failed_is_named(compared: Cli) -> None:
    r = seeded(8)
    a = result(*(env(name, [row(TRAIN, processes(3500, r))]) for name in ("one", "two", "three")))
    broken = env("two", outcome="error", reason="did not end in time")
    broken["document"] = None
    code, out, _ = compared(a, result(env("one", [row(TRAIN, processes(3500, r))]), broken))
    assert code == 18
    assert f"missing: two {TRAIN}: error: did not end in time" in out
    assert f"missing: three {TRAIN}: b has no three" in out


def test_a_row_that_the_budget_did_not_reach_is_no_failure(compared: Cli) -> None:
    a, b = run(), run(seed=2)
    throughput(a)["rows"].append(row(COMPILED, processes(4000, seeded(1))))
    late = row(COMPILED, [], stopped="budget") | {"reason": "the budget of 60 s went to rows that come first"}
    throughput(b)["rows"].append(late)
    code, out, _ = compared(a, b)
    assert code == 0
    assert f"not reached: cpu-torch-2.13 {COMPILED}: the budget of 60 s went" in out


def test_slower_and_missing_at_once_is_1(compared: Cli) -> None:
    a, b = run(), run(train=3000, seed=2)
    throughput(b)["rows"].pop()
    code, _, err = compared(a, b)
    assert code == 1
    assert "b is slower" in err
    assert "b has no figure" in err


def test_a_new_row_is_mentioned(compared: Cli) -> None:
    b = run(seed=2)
    throughput(b)["rows"].append(row(COMPILED, processes(4000, seeded(1))))
    code, out, _ = compared(run(), b)
    assert (code, f"new: cpu-torch-2.13 {COMPILED}" in out) == (0, True)


def test_nothing_in_common_is_refused(compared: Cli) -> None:
    code, out, err = compared(run(), result(env(rows=[row(COMPILED, processes(4000, seeded(1)))])), "--anyway")
    assert (code, out) == (16, "")
    assert "no row was measured in both a and b" in err


def test_marks_are_named_and_stand_beside_the_verdict(compared: Cli) -> None:
    b = run(train=3150, seed=2)
    throughput(b)["machine"]["marks"] = ["busy: load 3.2 on 2 processors when it started"]
    code, out, _ = compared(run(), b)
    assert code == 17
    assert "marked: B: cpu-torch-2.13: busy: load 3.2" in out
    assert "the interval lies below 0.980; B marked\n" in out


def test_memory_first_steps_the_image_and_the_roof_are_shown_where_they_changed(compared: Cli) -> None:
    a, b = run(), run(seed=2)
    stat = {"median": 1.8e11, "iqr": 1.0, "low": 1.7e11, "high": 1.9e11}
    for data, roof in ((a, 1.8e11), (b, 1.6e11)):
        throughput(data)["roof"] = [
            {"name": "matmul", "unit": "FLOP/s", "detail": "2048x2048 float32", "value": stat | {"median": roof}},
            {"name": "launch", "unit": "s", "detail": "add", "value": stat | {"median": roof / 1e16}},
        ]
    throughput(b)["rows"][0] |= {"first_step_seconds": 0.09, "peak_host_bytes": 600_000_000}
    throughput(b)["rows"][1] |= {"first_step_seconds": 0.055, "peak_host_bytes": 510_000_000}
    b["envs"][0] |= {"facts": {"unpacked_bytes": 301_000_000}, "seconds": {"prepare": 80.0}}
    code, out, _ = compared(a, b)
    assert code == 0
    assert [line for line in out.splitlines() if line.startswith("changed: ")] == [
        "changed: cpu-torch-2.13 unpacked image: 275 MB to 301 MB (+9.5%)",
        "changed: cpu-torch-2.13 build: 50.00 s to 80.00 s (+60.0%)",
        "changed: cpu-torch-2.13 roof: matmul 2048x2048 float32: -11.1%",
        "changed: cpu-torch-2.13 roof: launch add: +12.5%",
        f"changed: cpu-torch-2.13 {TRAIN}: first step: 0.05 s to 0.09 s (+80.0%)",
        f"changed: cpu-torch-2.13 {TRAIN}: peak memory: 500 MB to 600 MB (+20.0%)",
    ]


def test_a_build_that_did_not_happen_took_no_time(compared: Cli) -> None:
    b = run(seed=2)
    b["envs"][0] |= {"built": False, "seconds": {"prepare": 0.1}}
    assert "build" not in compared(run(), b)[1]


@pytest.mark.parametrize(
    ("content", "code", "says"),
    [
        ("{", 15, "is not JSON: Expecting property name"),
        ("[]", 15, "[] is not of type 'object'"),
        ("[" * 100_000, 15, "is not JSON: "),
        ('{"envs": [NaN]}', 15, "is not JSON: NaN is no number"),
        (result(parity={"largest": []}), 15, "parity/largest: [] is not of type 'object'"),
        ('{"envs": []}', 15, "'schema_version' is a required property"),
        (result() | {"schema_version": 7}, 15, "was written by a newer dlmatrix (schema version 7)"),
        (result(env()) | {"envs": [{"name": "x"}]}, 15, "envs/0: 'outcome' is a required property"),
        (result(env(document=[])), 15, "envs/0/document: [] is not of type 'object', 'null'"),
        (result(env(seconds={"run": "long"})), 15, "envs/0/seconds/run: 'long' is not of type 'number'"),
        (result(env(rows=[{"id": TRAIN}])), 15, "throughput/rows/0: 'model' is a required property"),
        (result(env(rows=[row(TRAIN, [[1.0]], fastest=[])])), 15, f"{TRAIN}: 1 processes and 0 fastest laps"),
        (result(env(document={"throughput": []})), 15, "cpu-torch-2.13: throughput: [] is not of type"),
        (result(env(document={"throughput": [[0] * 99]})), 15, "throughput: is not of type ['object', 'null']"),
    ],
)
def test_what_is_no_report(compared: Cli, content: Data | str, code: int, says: str) -> None:
    found, out, err = compared(run(), content)
    assert (found, out) == (code, "")
    assert err.startswith("dlmatrix: ")
    assert "/b/result.json: " in err
    assert says in err
    assert err.count("\n") == 2


def test_paths_that_hold_no_report(cli: Cli, checkout: Path, tmp_path: Path) -> None:
    a, b, c = (write(tmp_path / name, run()) for name in "abc")
    empty = tmp_path / "empty"
    empty.mkdir()
    for paths, says in (
        ([a, tmp_path / "gone"], "there is no "),
        ([a, empty], f"{empty} holds no result.json"),
        ([a], "one report has nothing to be compared with"),
        ([a, b, c], "3 reports are too few to tell what is usual among siblings"),
        (["--baseline", empty, a], f"{empty} holds no result.json"),
    ):
        code, out, err = cli("compare", *map(str, paths))
        assert (code, out) == (2, "")
        assert says in err
        assert err.count("\n") == 2
    assert cli("compare", str(a / "result.json"), str(b))[0] == 0


def test_the_rows_of_a_gpu_are_compared_by_medians(compared: Cli) -> None:
    names = [
        *(f"resnet18/train/eager/128/{precision}/device" for precision in ("fp32", "tf32", "amp", "bf16")),
        *("resnet18/train/compiled_channels_last/128/amp/device", "cnn/train/cuda_graph/128/fp32/device"),
    ]

    def gpu(seed: int) -> Data:
        r = seeded(seed)
        return result(
            env(
                "gpu-torch-2.11",
                [row(name, processes(5000, r, count=3, spread=0.0005), device="cuda") for name in names],
            )
        )

    code, out, err = compared(gpu(1), gpu(2))
    assert (code, err) == (0, "")
    assert [line.split()[:3] for line in out.splitlines()[3:9]] == [["SAME", name, "median"] for name in names]
