"""The verb: what it asks of an inventory, which run it goes on with, and what it refuses before it touches anything."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from dlmatrix.__main__ import main
from dlmatrix.engines.protocol import Prepared
from dlmatrix.errors import NetworkError
from dlmatrix.fleet import record
from dlmatrix.fleet.parts import smoke_part
from dlmatrix.fleet.row import Row
from dlmatrix.fleet.site import Asked, make_images, make_order
from dlmatrix.matrix.plan import Plan
from dlmatrix.system.process import Say
from dlmatrix.system.state import state_folder

INVENTORY = {"_meta": {"hostvars": {}}, "all": {"children": ["gpu"]}, "gpu": {"hosts": ["n1", "n2"]}}


@pytest.fixture
def lab(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Calls the verb where ansible-inventory knows two machines, and nothing else of Ansible is there."""
    programs = checkout.parent / "programs"
    programs.mkdir()
    known = programs / "ansible-inventory"
    known.write_text(f"#!/bin/sh\ncat <<'E'\n{json.dumps(INVENTORY)}\nE\n")
    known.chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    (checkout / "lab.yml").write_text("all: {}\n")
    return lambda *words: main(["fleet", *words])


def runs(checkout: Path) -> list[record.Fleet]:
    return [record.read(file.parent) for file in sorted(checkout.glob("reports/fleet/*/fleet.json"))]


def begun(checkout: Path, *rows: Row, **asked: object) -> Path:
    """A run of the question that the tests ask."""
    words = Asked(envs=("cpu-torch",), inventory=str(checkout / "lab.yml"), smoke_only="python3")
    folder = checkout / "reports" / "fleet" / "20261128-000000-1"
    folder.mkdir(parents=True)
    fleet = record.beginning(folder.name, "ansible", words.envs, {**words.as_json(), **asked}, [r.name for r in rows])
    record.write(folder, fleet.with_rows({row.name: row for row in rows}))
    return folder


ASKED = ("lab.yml", "--env", "cpu-torch", "--smoke-only", "python3")


def test_a_plan_tells_machines_and_bytes_and_leaves_no_run(
    lab: Callable[..., int], checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert lab("--plan", *ASKED) == 0
    said = capsys.readouterr().out
    assert "2 machines: n1, n2" in said
    assert "MB to each machine that lacks it" in said
    assert "env -C ~/.cache/dlmatrix-fleet/parts/" in said, said
    assert not re.search(r"\{(python|folder|base)\}", said)
    assert runs(checkout) == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--env", "cpu-torch"), "no inventory is named"),
        (("lab.yml",), "no env is named"),
        (("none.yml", "--env", "cpu-torch"), "there is no inventory none.yml"),
        ((*ASKED, "--timeout", "0"), "--timeout must be a number of seconds from 1"),
        ((*ASKED, "--timeout", "9" * 30), "--timeout must be a number of seconds from 1"),
        ((*ASKED, "--", "--ask-pass"), "nobody is asked here"),
        (("lab.yml", "--env", "cpu-torhc"), "cpu-torhc"),
        (("lab.yml", "--env", "cpu-torch", "--engine", "apptainer"), "is for nodes that share a folder of images"),
        (("lab.yml", "--env", "cpu-torch", "--images"), "--images are for Docker engines"),
        (("--resume", "none"), "holds no fleet.json"),
    ],
)
def test_what_makes_no_sense_is_refused_and_leaves_nothing(
    lab: Callable[..., int], checkout: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], said: str
) -> None:
    assert lab(*words) == 2
    assert said in capsys.readouterr().err
    assert runs(checkout) == []


def test_where_ansible_is_not_installed_every_machine_is_recorded_and_the_command_says_what_to_install(
    lab: Callable[..., int], checkout: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ansible_runner", None)
    assert lab(*ASKED) == 4
    assert "envs/locks/fleet.txt" in capsys.readouterr().err
    assert [row.state for row in runs(checkout)[0].machines] == ["waiting", "waiting"]


def test_in_a_folder_that_a_bundle_has_brought_it_says_how_ansible_comes_without_pip(
    lab: Callable[..., int], checkout: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It named a pip that is not there, and `nox -s fleet` ended with "No module named pip"."""
    monkeypatch.setitem(sys.modules, "ansible_runner", None)
    (checkout / "bundle").mkdir()
    (checkout / "bundle" / "manifest.json").write_text("{}")
    assert lab(*ASKED) == 4
    said = capsys.readouterr().err
    assert ".venv/bin/uv pip install --python .venv/bin/python --no-index --find-links DIR" in said
    assert "-m pip install" not in said


def test_the_same_question_goes_on(
    lab: Callable[..., int], checkout: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ansible_runner", None)
    folder = begun(checkout, Row(name="n1", state="passed"), Row(name="n2").at("unreachable", "refused"))
    lab(*ASKED)
    assert f"goes on with {folder}" in capsys.readouterr().out
    assert len(runs(checkout)) == 1
    assert [row.state for row in runs(checkout)[0].machines] == ["passed", "unreachable"]


@pytest.mark.parametrize("more", [("--limit", "gpu"), ("--new",), ("--", "--become")])
def test_another_question_or_new_begins_afresh(
    lab: Callable[..., int],
    checkout: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    more: tuple[str, ...],
) -> None:
    monkeypatch.setitem(sys.modules, "ansible_runner", None)
    begun(checkout, Row(name="n1").at("unreachable", "refused"))
    lab(*ASKED, *more)
    assert "goes on" not in capsys.readouterr().out
    assert len(runs(checkout)) == 2


def test_what_the_page_hands_on_is_kept_with_the_question(
    lab: Callable[..., int], checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ansible_runner", None)
    monkeypatch.setattr("dlmatrix.fleet.site.tools_part", lambda root, folder, say: smoke_part(root, folder))
    (checkout / "key").write_text("x")
    # fmt: off
    lab("lab.yml", "--env", "gpu-torch", "--limit", "gpu:!room2", "--", "--become", "--vault-password-file", "key")
    # fmt: on
    (run,) = runs(checkout)
    assert [*state_folder(checkout).rglob("*.tar")] == []  # what was packed for machines went with the command
    assert (run.asked["envs"], run.asked["limit"]) == (["gpu-torch"], "gpu:!room2")
    assert run.asked["options"] == ["--become", "--vault-password-file", "key"]


def test_a_finished_run_is_not_gone_on_with(
    lab: Callable[..., int], checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ansible_runner", None)
    begun(checkout, Row(name="n1", state="passed"))
    lab(*ASKED)
    assert len(runs(checkout)) == 2


def test_a_finished_run_is_shown_without_ansible_and_every_file_is_written(
    lab: Callable[..., int], checkout: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = begun(checkout, Row(name="n1", state="passed"), Row(name="n2", state="hung"))
    monkeypatch.setenv("PATH", "/nowhere")
    assert lab("--resume", str(folder)) == 13
    assert "2 machines: 1 passed, 1 hung" in capsys.readouterr().out
    assert {"summary.md", "fleet.csv", "junit.xml"} <= {file.name for file in folder.iterdir()}
    assert lab("--resume", folder.name) == 13


def test_a_run_that_another_command_is_at_is_left_alone(
    lab: Callable[..., int], checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = begun(checkout, Row(name="n1", state="passed"))
    with record.held(folder):
        assert lab("--resume", str(folder)) == 10


def test_what_is_sent_has_the_same_key_wherever_and_whenever_it_is_made(
    root: Path, checkout: Path, tmp_path: Path
) -> None:
    asked = Asked(envs=("cpu-torch",), smoke_only="python3")
    here, there = (make_order(folder, asked, tmp_path, print).parts[0] for folder in (root, checkout))
    assert here.key == there.key
    (checkout / "smoke" / "model.py").write_text("changed = True\n")
    assert make_order(checkout, asked, tmp_path, print).parts[0].key != here.key


def test_smoke_only_checks_one_interpreter(root: Path, tmp_path: Path) -> None:
    asked = Asked(envs=("gpu-torch",), smoke_only="/opt/venv/bin/python", quick=True)
    command = make_order(root, asked, tmp_path, print).command
    assert command[:2] == ["env", "-C"]
    assert command[3] == "/opt/venv/bin/python"
    assert json.loads(command[-1])["variant"] == "gpu"
    with pytest.raises(Exception, match="one env"):
        make_order(root, replace(asked, envs=("cpu-torch", "cpu-tf2")), tmp_path, print)


class Interrupted:
    """A lab in which one machine has an answer when Ctrl-C comes."""

    def __init__(self, *_: object) -> None:
        self.looks = 0

    def submit(self, rows: object, *, again: bool) -> None:
        """Nothing is done."""

    def look(self) -> dict[str, Row]:
        self.looks += 1
        if self.looks > 1:
            raise KeyboardInterrupt
        return {"n1": Row(name="n1").at("unreachable", "login-refused")}

    def over(self) -> bool:
        return False

    def leave(self) -> None:
        """Nothing runs."""


class Ending(Interrupted):
    """A lab whose checks are ended."""

    def stop(self, rows: Sequence[Row]) -> dict[str, Row]:
        return {row.name: row.at("waiting", said="its checks were ended, or had ended") for row in rows}


def test_for_apptainer_the_images_are_there_before_a_node_asks(
    checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Engine:
        def prepare(self, plan: Plan, say: Say) -> Prepared:
            return Prepared(what=f"/sif/{plan.env.name}.sif", built=True, seconds=0)

    monkeypatch.setattr("dlmatrix.fleet.site.tools_part", lambda root, folder, say: smoke_part(root, folder))
    monkeypatch.setattr("dlmatrix.fleet.site.apptainer_engine", lambda folder: said.append(str(folder)) or Engine())
    said: list[str] = []
    asked = Asked(envs=("cpu-torch",), slurm="n[1-2]", shared=str(tmp_path), engine="apptainer")
    make_images(checkout, asked, said.append)
    assert said == [str(tmp_path / "sif"), "cpu-torch-2.13: /sif/cpu-torch-2.13.sif"]
    words = list(make_order(checkout, asked, tmp_path, said.append).command)
    assert words[words.index("run") : words.index("--report")] == [
        *("run", "cpu-torch-2.13", "--engine", "apptainer", "--sif", "{base}/sif")
    ]
    make_images(checkout, replace(asked, engine="venv"), said.append)
    make_images(checkout, replace(asked, smoke_only="python3"), said.append)
    assert len(said) == 2


def test_checks_are_ended_whatever_is_wrong_with_what_would_be_sent(
    lab: Callable[..., int], checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It packed all that a machine may lack, and with no index to download it from the checks went on."""

    def no_index(*_: object) -> None:
        raise NetworkError("no wheels")

    monkeypatch.setattr("dlmatrix.fleet.site.tools_part", no_index)
    monkeypatch.setattr("dlmatrix.fleet.ansible.lab.Lab", Ending)
    folder = begun(checkout, Row(name="n1", state="passed"), Row(name="n2", state="gone", attempts=1), smoke_only="")
    assert lab("--stop", folder.name) == 19
    assert [row.state for row in record.read(folder).machines] == ["passed", "waiting"]


def test_ctrl_c_leaves_a_whole_report_and_says_how_to_go_on(
    lab: Callable[..., int], checkout: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dlmatrix.fleet.ansible.lab.Lab", Interrupted)
    assert lab(*ASKED) == 130
    said = capsys.readouterr()
    (fleet,) = runs(checkout)
    assert f"python -m dlmatrix fleet --resume {checkout / 'reports' / 'fleet' / fleet.run}" in said.err
    assert "n1  unreachable  the login was refused" in said.out
    assert [row.state for row in fleet.machines] == ["unreachable", "waiting"]
    assert "| n2 |" in (checkout / "reports" / "fleet" / fleet.run / "summary.md").read_text()
