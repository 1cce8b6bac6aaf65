"""The sessions, as nox itself sees them."""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from dlmatrix.matrix.model import Matrix
from tests.signals import heard


def nox(root: Path, *arguments: str) -> str:
    return subprocess.run(
        [sys.executable, "-m", "nox", "--noxfile", str(root / "noxfile.py"), *arguments, "--list"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def selected(root: Path, *arguments: str) -> list[str]:
    return [session["session"] for session in json.loads(nox(root, "--json", *arguments))]


def cells(matrix: Matrix, variant: str) -> set[str]:
    return {f"{env.session}({env.short})" for env in matrix.envs if env.variant == variant}


def test_there_is_a_session_for_each_series_and_variant_and_for_each_cell(root: Path, matrix: Matrix) -> None:
    listed = {line.split()[1] for line in nox(root).splitlines() if line.startswith(("- ", "* "))}
    series = {env.session for env in matrix.envs}
    assert series | cells(matrix, "cpu") | cells(matrix, "gpu") <= listed
    assert {"lint", "tests", "image-tests", "bases"} <= listed
    assert {name for name in listed if name.startswith(("cpu-", "gpu-"))} == series | cells(matrix, "cpu") | cells(
        matrix, "gpu"
    )


@pytest.mark.parametrize("variant", ["cpu", "gpu"])
def test_a_variant_s_tag_selects_exactly_its_cells(root: Path, matrix: Matrix, variant: str) -> None:
    found = selected(root, "--tags", variant)
    assert set(found) == cells(matrix, variant)
    assert len(found) == len(set(found))


def test_one_version_can_be_picked_and_a_series_is_one_session(root: Path) -> None:
    assert selected(root, "--session", "cpu-torch(2.13)") == ["cpu-torch(2.13)"]
    assert selected(root, "--session", "cpu-torch") == ["cpu-torch"]


def test_without_a_word_only_the_first_cell_runs(root: Path) -> None:
    assert selected(root) == ["cpu-torch"]


def test_every_session_says_in_a_line_what_it_does(root: Path) -> None:
    lines = [line for line in nox(root).splitlines() if line.startswith(("- ", "* "))]
    assert lines
    assert [line for line in lines if " -> " not in line or not line.rstrip().endswith(".")] == []


Call = Callable[..., tuple[subprocess.CompletedProcess[str], list[list[str]]]]

FAKE = """
import json, pathlib, sys
here = pathlib.Path(__file__).parent
with (here / "calls").open("a") as stream:
    stream.write(json.dumps(sys.argv[1:]) + "\\n")
ended = json.loads((here / "ended").read_text())
envs = [word for word in sys.argv[4:] if word[:4] in ("cpu-", "gpu-")]
folder = pathlib.Path(sys.argv[sys.argv.index("--report") + 1]) if "--report" in sys.argv else here / "report"
if ended["envs"]:
    folder.mkdir(parents=True)
    found = [
        {"name": name, "status": "supported", "reason": "because", "outcome": ended["envs"].get(name, "passed")}
        for name in dict.fromkeys(ended.get("newest", {}).get(env, env) for env in envs)
    ]
    (folder / "result.json").write_text(json.dumps({"envs": found}))
sys.exit(ended["code"])
"""


@pytest.fixture
def call(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Call:
    """Run nox in a checkout whose dlmatrix only writes down how it was called, and ends as it is told."""
    monkeypatch.delenv("DLMATRIX_STRICT", raising=False)  # these tests may be run by make
    copy = tmp_path / "checkout"
    shutil.copytree(root / "envs", copy / "envs", ignore=shutil.ignore_patterns("locks"))
    shutil.copy(root / "noxfile.py", copy)
    (copy / "Makefile").write_text("setup:\n")
    (copy / ".venv" / "bin").mkdir(parents=True)
    (copy / "fake.py").write_text(FAKE)
    python = copy / ".venv" / "bin" / "python"
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{copy}/fake.py" "$@"\n')
    python.chmod(0o755)

    def run(
        *arguments: str, code: int = 0, newest: dict[str, str] | None = None, envs: dict[str, str] | None = None
    ) -> tuple[subprocess.CompletedProcess[str], list[list[str]]]:
        (copy / "ended").write_text(
            json.dumps({"code": code, "newest": newest or {}, "envs": {"": ""} if envs is None else envs})
        )
        command = [sys.executable, "-m", "nox", "--noxfile", "checkout/noxfile.py", *arguments]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        return done, [json.loads(line)[2:] for line in (copy / "calls").read_text().splitlines()]

    return run


def endings(done: subprocess.CompletedProcess[str]) -> dict[str, str]:
    """How nox says that each session ended."""
    lines = done.stderr.rpartition("Ran ")[2].splitlines()[1:]
    return {line.split()[3].strip(":"): line.split()[4].strip(",") for line in lines if line.startswith("nox > *")}


@pytest.mark.parametrize(
    ("name", "asked"),
    [
        ("cpu-torch-2.13", "cpu-torch-2.13"),
        ("gpu-tf1-compat-2.15", "gpu-tf1-compat-2.15"),
        ("torch", "torch"),  # the command says which is nearest
        ("cpu-torch(2.12)", "cpu-torch-2.12"),
    ],
)
def test_the_name_that_is_shown_everywhere_is_a_session_s_too(call: Call, name: str, asked: str) -> None:
    done, calls = call("-s", name, "--", "--quick")
    assert (done.returncode, calls) == (0, [["run", asked, "--quick"]])


def test_envs_by_their_own_names_are_one_run(call: Call) -> None:
    done, calls = call("-s", "cpu-torch-2.13", "cpu-tf2(2.21)", code=1, envs={"cpu-tf2-2.21": "failed"})
    assert len(calls) == 1
    assert endings(done) == {"cpu-torch-2.13": "success", "cpu-tf2(2.21)": "failed"}


def test_a_report_without_a_folder_is_said_before_anything_runs(call: Call, tmp_path: Path) -> None:
    (tmp_path / "checkout" / "calls").touch()
    done, calls = call("-s", "cpu-torch-2.13", "cpu-tf2(2.21)", "--", "--report")
    assert (done.returncode, calls[:1]) == (1, [])
    assert "--report names no folder: -- --report DIR" in done.stderr
    assert "usage:" not in done.stderr
    assert "Traceback" not in done.stderr


def test_a_wrong_session_gets_the_nearest(root: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "nox", "--noxfile", str(root / "noxfile.py"), "-s", "tets"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "there is no session tets: did you mean tests?" in done.stderr


@pytest.mark.parametrize(("code", "nox_s", "strict"), [(0, 0, 0), (1, 1, 1), (4, 1, 1), (77, 0, 1), (130, 1, 1)])
def test_what_a_job_sees_of_an_exit_code(
    call: Call, monkeypatch: pytest.MonkeyPatch, code: int, nox_s: int, strict: int
) -> None:
    assert call("-s", "cpu-torch", code=code, envs={})[0].returncode == nox_s
    monkeypatch.setenv("DLMATRIX_STRICT", "1")  # as make has it
    assert call("-s", "cpu-torch", code=code, envs={})[0].returncode == strict


def test_a_guide_that_cannot_be_judged_is_no_env(call: Call) -> None:
    done, calls = call("-s", "replay", "--", "guide.md", code=77)
    assert (done.returncode, calls) == (0, [["replay", "guide.md"]])
    assert "skipped: not judged" in done.stderr


@pytest.mark.parametrize("session", ["bases", "image-tests"])
def test_where_all_was_skipped_it_is_no_success(call: Call, session: str) -> None:
    """No base was made; no image test ran: below."""
    assert call("-s", session, code=77)[0].returncode == 1


def test_image_tests_that_find_no_engine_end_as_skipped(root: Path, tmp_path: Path) -> None:
    """They reach no engine here: the only address is one at which nothing is."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-m", "image", "tests/image/test_base.py", "tests/image/test_doctor.py"],
        cwd=root,
        env={**os.environ, "DOCKER_HOST": f"unix://{tmp_path}/none.sock"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, "start one: .ci/engine start" in done.stdout) == (77, True), done.stdout


def test_several_envs_are_one_run_with_one_report_and_each_session_ends_as_its_env(call: Call) -> None:
    cells = ["cpu-torch(2.13)", "cpu-tf2(2.15)", "cpu-tf1(1.15)", "cpu-tf2(2.21)"]
    ended = {"cpu-tf2-2.15": "failed", "cpu-tf1-1.15": "skipped", "cpu-tf2-2.21": "error"}
    done, calls = call("-s", *cells, "--", "--quick", code=1, envs=ended)
    (one,) = calls
    assert one[0] == "run"
    assert set(one[1:5]) == {"cpu-torch-2.13", "cpu-tf2-2.15", "cpu-tf1-1.15", "cpu-tf2-2.21"}
    assert (one[5], one[-1]) == ("--report", "--quick")
    assert done.returncode == 1
    assert endings(done) == {
        "cpu-torch(2.13)": "success",
        "cpu-tf2(2.15)": "failed",
        "cpu-tf1(1.15)": "skipped",
        "cpu-tf2(2.21)": "failed",
    }


def test_a_tag_is_one_run_of_all_its_cells(call: Call, matrix: Matrix) -> None:
    done, calls = call("-t", "cpu")
    (one,) = calls
    assert set(one[1 : one.index("--report")]) == {env.name for env in matrix.envs if env.variant == "cpu"}
    assert done.returncode == 0


def test_the_report_s_folder_is_the_one_asked_for(call: Call, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    _, calls = call("-s", "cpu-torch", "cpu-tf2", "--", "--report", str(folder), newest={"cpu-torch": "cpu-torch-2.13"})
    assert calls[0][calls[0].index("--report") + 1] == str(folder)
    assert calls[0].count("--report") == 1


def test_a_series_beside_one_of_its_versions_ends_as_its_newest(call: Call) -> None:
    newest = {"cpu-torch": "cpu-torch-2.13"}
    done, _ = call("-s", "cpu-torch", "cpu-torch(2.9)", code=1, newest=newest, envs={"cpu-torch-2.9": "failed"})
    assert endings(done) == {"cpu-torch": "success", "cpu-torch(2.9)": "failed"}


def test_a_series_ends_as_the_version_that_was_taken_for_it_though_a_newer_one_was_named_too(call: Call) -> None:
    taken = {"gpu-torch": "gpu-torch-2.9"}
    done, _ = call("-s", "gpu-torch", "gpu-torch(2.15)", code=1, newest=taken, envs={"gpu-torch-2.15": "error"})
    assert endings(done) == {"gpu-torch": "success", "gpu-torch(2.15)": "failed"}


def test_one_env_is_called_as_ever(call: Call) -> None:
    done, calls = call("-s", "cpu-torch", "--", "--quick")
    assert (done.returncode, calls) == (0, [["run", "cpu-torch", "--quick"]])


def test_a_run_that_fails_though_every_env_passed_is_not_green(call: Call) -> None:
    """Frameworks that drift apart."""
    done, calls = call("-s", "cpu-torch(2.13)", "cpu-tf2(2.21)", code=1)
    assert len(calls) == 1
    assert done.returncode == 1


def test_without_a_result_every_session_fails_and_nothing_is_run_again(call: Call) -> None:
    done, calls = call("-s", "cpu-torch(2.13)", "cpu-tf2(2.21)", code=2, envs={})
    assert endings(done) == {"cpu-torch(2.13)": "failed", "cpu-tf2(2.21)": "failed"}
    assert len(calls) == 1


@pytest.mark.timeout(120)
def test_a_run_that_is_interrupted_has_time_to_write_its_report(call: Call, tmp_path: Path) -> None:
    """Ctrl-C reaches nox and the run at once; writing takes longer than nox's own patience."""
    os.mkfifo(tmp_path / "checkout" / "ready")
    (tmp_path / "checkout" / "fake.py").write_text(
        "import os, signal, sys, time\n"
        "def write(*_):\n    time.sleep(2)\n    open('written', 'w').close()\n    os._exit(130)\n"
        "signal.signal(signal.SIGINT, write)\n"
        "open('ready', 'w').close()\n"
        "signal.alarm(100)\n"
        "signal.pause()\n"
    )
    command = [sys.executable, "-m", "nox", "--noxfile", "checkout/noxfile.py", "-s", "cpu-torch"]
    with subprocess.Popen(
        command,
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509
    ) as running:
        (tmp_path / "checkout" / "ready").read_text()  # waits until it is there
        os.killpg(running.pid, signal.SIGINT)
    assert running.returncode == 130
    assert (tmp_path / "checkout" / "written").exists()


FOLLOWS = """
import os, pathlib, signal, sys
from dlmatrix.__main__ import STARTER
from dlmatrix.system.starter import end_with
here = pathlib.Path(__file__).parent
stopped = lambda *_: (here / "stopped").touch() or sys.exit(130)
signal.signal(signal.SIGTERM, stopped)
end_with(int(os.environ[STARTER]))
(here / "ready").write_text(str(os.getpid()))
(here / "never").read_text()
"""


@pytest.mark.timeout(60)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_a_run_is_stopped_when_nox_ends_in_whatever_way(
    call: Call, root: Path, tmp_path: Path, number: signal.Signals
) -> None:
    copy = tmp_path / "checkout"
    (copy / "fake.py").write_text(FOLLOWS)
    os.mkfifo(copy / "ready")
    os.mkfifo(copy / "never")
    command = [sys.executable, "-m", "nox", "--noxfile", str(copy / "noxfile.py"), "-s", "cpu-torch"]
    environ = os.environ | {"PYTHONPATH": str(root)}
    with subprocess.Popen(
        command,
        env=environ,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=heard,  # noqa: PLW1509
    ) as running:
        handle = os.pidfd_open(int((copy / "ready").read_text()))
        running.send_signal(number)
    assert select.select([handle], [], [], 30)[0]
    os.close(handle)
    assert (copy / "stopped").exists()


def test_a_path_with_a_blank_and_a_dollar_is_one(root: Path, tmp_path: Path, call: Call) -> None:
    """What pip writes into .venv/bin does not run in such a checkout; its Python does."""
    checkout = tmp_path / "a b$HOME"
    (checkout / ".venv" / "bin").mkdir(parents=True)
    (checkout / "envs" / "locks").mkdir(parents=True)
    (checkout / "envs" / "locks" / "tools.txt").touch()
    (checkout / ".venv" / ".tools").touch()
    shutil.copy(root / "Makefile", checkout)
    python = checkout / ".venv" / "bin" / "python"
    python.write_text('#!/bin/sh\necho "$@"\n')
    python.chmod(0o755)
    # As from a shell, also where make runs the tests.
    environ = {name: value for name, value in os.environ.items() if name not in {"MAKEFLAGS", "MAKELEVEL", "MFLAGS"}}
    command = ["make", "run", "test", "lint", "doctor"]
    made = subprocess.run(command, cwd=checkout, env=environ, capture_output=True, text=True, check=False)
    assert made.stdout.splitlines() == [f"-m nox -s {name}" for name in ("cpu-torch", "tests", "lint", "doctor")]
    assert ".venv/bin/python -m ruff check ." in call("-s", "lint")[0].stderr
