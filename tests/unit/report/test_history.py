"""What earlier runs measured: kept one file a run, read whatever happened to the files."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from dlmatrix.report import history
from dlmatrix.report.page.source import Source
from dlmatrix.report.page.view import env_views
from tests.unit import hostile
from tests.unit.report.page import sample


def entry(env: str, **more: Any) -> dict[str, Any]:
    return sample.past(1, env)[0] | more


def test_a_run_is_kept_and_read_again(tmp_path: Path) -> None:
    data = sample.result()
    history.add(tmp_path, Path("20261124-080000-1"), data)
    assert len(list((tmp_path / "reports" / "history").iterdir())) == 1
    found = history.read(tmp_path)
    assert found.unreadable == ()
    # Envs that were never made ready have nothing to keep.
    assert [e["env"] for e in found.entries] == [env["name"] for env in data["envs"] if env["seconds"]]
    torch, tf2, old = found.entries[:3]
    assert {key: torch[key] for key in ("engine", "outcome", "build", "run", "unpacked", "report")} == {
        "engine": "docker",
        "outcome": "passed",
        "build": 61.4,
        "run": 142.8,
        "unpacked": 4 * 274_643_974,
        "report": "20261124-080000-1",
    }
    assert torch["train"]["row"] == "cnn/train/channels_last/128/fp32/device"
    assert torch["train"]["low"] < torch["train"]["median"] == 4480 < torch["train"]["high"]
    assert tf2["marks"] == [sample.MARK, sample.HOSTILE]
    assert old["train"] == {"row": "", "median": 4008.1, "low": 4008.1, "high": 4008.1}


def test_a_file_that_is_broken_costs_itself_and_is_named(tmp_path: Path) -> None:
    history.add(tmp_path, Path("a"), sample.result())
    (good,) = history.folder(tmp_path).iterdir()
    entries = json.loads(good.read_text(encoding="utf-8"))
    broken = {
        "1-half.json": good.read_text(encoding="utf-8")[:100],
        "2-empty.json": "",
        "3-list.json": "[1, 2]",
        "4-bytes.json": "\udcff",
        "5-key.json": json.dumps({**entries, "envs": [{"env": "x"}]}),
        "6-rate.json": json.dumps({**entries, "envs": [entry("x", train={"median": "fast", "low": 1, "high": 2})]}),
        "7-text.json": json.dumps({**entries, "envs": ["text"]}),
    }
    for name, text in broken.items():
        (good.parent / name).write_bytes(text.encode("utf-8", "surrogateescape"))
    (good.parent / ".hidden.json.123").write_text("left by a kill")
    found = history.read(tmp_path)
    assert found.unreadable == tuple(broken)
    assert len(found.entries) == len(entries["envs"])


@pytest.mark.parametrize("kind", hostile.KINDS)
def test_a_file_of_another_kind_costs_itself_and_no_page(tmp_path: Path, kind: str) -> None:
    data = sample.result()
    data["envs"] = [env for env in data["envs"] if env["document"]][:1]
    history.add(tmp_path, Path("a"), data)
    (file,) = history.folder(tmp_path).iterdir()
    whole = json.loads(file.read_text(encoding="utf-8"))
    older = {**whole, "envs": [{**whole["envs"][0], "started": "2026-11-01T08:00:00+00:00"}]}
    file.with_name("2026-11-01T080000-1.json").write_text(json.dumps(older), encoding="utf-8")
    wrong = []
    for at, text in hostile.each(whole, kind):
        file.write_text(text, encoding="utf-8")
        found = history.read(tmp_path)
        try:
            views = env_views(Source(data), found)
            for past in found.entries:
                found.expected(past["engine"], "", past["env"], "build")
            assert history.before(found, data, tmp_path) is None
            assert views
        except Exception as error:  # noqa: BLE001 - whatever it is, it would cost the page
            wrong.append((at, f"{error!r:.200}"))
    assert wrong == []


def test_only_the_newest_runs_are_read(tmp_path: Path) -> None:
    folder = history.folder(tmp_path)
    folder.mkdir(parents=True)
    for number in range(history.READ + 20):
        at = f"2026-11-24T08:{number // 60:02}:{number % 60:02}"
        run = {"report": str(number), "envs": [entry("x", started=at)]}
        (folder / f"{at.replace(':', '')}-1.json").write_text(json.dumps(run), encoding="utf-8")
    found = history.read(tmp_path)
    assert len(found.entries) == history.READ
    assert found.entries[-1]["report"] == str(history.READ + 19)


def test_a_run_in_which_nothing_ran_is_not_kept(tmp_path: Path) -> None:
    history.add(tmp_path, Path("a"), sample.result([sample.env("gpu-tf1-1.15", "skipped", "impossible")]))
    assert list(tmp_path.iterdir()) == []


def test_no_history_is_an_empty_one(tmp_path: Path) -> None:
    assert history.read(tmp_path) == history.History()
    assert history.History().expected("docker", "120 s", "x", "run") is None


def test_what_a_step_takes_is_the_median_of_the_last_runs_on_that_engine() -> None:
    runs = [entry("x", run=1000.0), *(entry("x", run=float(n), build=None) for n in (10, 12, 11, 50, 13))]
    found = history.History(entries=(*runs, entry("x", engine="venv", run=1.0), entry("y", run=2.0)))
    assert found.expected("docker", "120 s", "x", "run") == 12.0
    assert found.expected("docker", "120 s", "x", "build") == 60.0
    assert found.expected("host", "120 s", "x", "run") is None


def test_only_runs_that_measured_the_same_tell_how_long_one_takes() -> None:
    """A full run was "2:11 of about 15 s", which its --quick runs had told."""
    old = {key: value for key, value in entry("x", run=14.0).items() if key != "measuring"}
    runs = [*(entry("x", run=15.0, measuring="quick") for _ in range(5)), entry("x", run=130.0), old]
    found = history.History(entries=tuple(runs))
    assert found.expected("docker", "120 s", "x", "run") == 130.0
    assert found.expected("docker", "quick", "x", "run") == 15.0
    assert found.expected("docker", "300 s", "x", "run") is None
    assert found.expected("docker", "300 s", "x", "build") == 60.0


def test_another_machine_s_runs_are_not_drawn_beside_this_one_s() -> None:
    runs = [entry("x", cpu=cpu, run=run) for cpu, run in (("old", 1.0), ("", 2.0), ("new", 3.0), ("", 4.0))]
    found = history.History(entries=tuple(runs))
    assert [e["run"] for e in found.of("x", "docker")] == [2.0, 3.0, 4.0]


def test_runs_that_end_at_once_do_not_meet(root: Path, tmp_path: Path) -> None:
    code = "import json, sys, pathlib; from dlmatrix.report import history; "
    code += "history.add(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), json.loads(sys.stdin.read()))"
    data = json.dumps(sample.result()).encode()
    command = [sys.executable, "-c", code, str(tmp_path)]
    runs = [
        subprocess.Popen([*command, str(number)], stdin=subprocess.PIPE, cwd=root, env=os.environ)
        for number in range(4)
    ]
    for run in runs:
        run.communicate(data, timeout=60)
        assert run.returncode == 0
    found = history.read(tmp_path)
    assert found.unreadable == ()
    assert {e["report"] for e in found.entries} == {"0", "1", "2", "3"}


@pytest.mark.parametrize("outcome", ["error", "skipped"])
def test_what_did_not_end_well_tells_nothing_of_how_long_it_takes(tmp_path: Path, outcome: str) -> None:
    hung = sample.env("cpu-torch-2.13", outcome, "hung", seconds={"prepare": 1.0, "run": 600.0}, built=False)
    history.add(tmp_path, Path("a"), sample.result([hung]))
    (only,) = history.read(tmp_path).entries
    assert (only["run"], only["build"], only["train"]) == (None, None, None)
