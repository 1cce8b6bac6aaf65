"""What is sent to a machine: started once, its end written whole, on the oldest Python too. No machine but this one."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import zlib
from pathlib import Path
from typing import Any

import pytest

from dlmatrix.system.host import describe

HERE = Path(__file__).parents[3] / "dlmatrix" / "fleet" / "machine"
PYENV = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
OLDEST = next(iter(sorted(PYENV.glob("3.7.*/bin/python"))), None)
#: Writes a report, then waits for somebody to end it, or for its standard input, which is empty.
JOB = "import pathlib, sys; print('said', flush=True); pathlib.Path('report').mkdir()"
WRITES = f"{JOB}; pathlib.Path('report/result.json').write_text('{{}}')"
WAITS = f"{JOB}; import signal; signal.pause()"


def packed(found: dict[str, Any]) -> str:
    return base64.b64encode(json.dumps(found).encode()).decode()


@pytest.fixture(params=["this", "3.7"])
def python(request: pytest.FixtureRequest) -> str:
    if request.param == "this":
        return sys.executable
    if OLDEST is None:
        pytest.skip("no Python 3.7 in pyenv's versions")
    return str(OLDEST)


class Machine:
    """A folder that stands for a machine."""

    def __init__(self, python: str, base: Path) -> None:
        self.python, self.base, self.folder = python, base, base / "runs" / "R1" / "gpu01"

    def call(self, *words: str, script: str = "supervisor.py") -> dict[str, Any]:
        done = self.process(*words, script=script)
        assert done.returncode == 0, done.stderr
        return dict(json.loads(done.stdout))

    def process(self, *words: str, script: str = "supervisor.py") -> subprocess.CompletedProcess[str]:
        source = (HERE / script).read_text()
        return subprocess.run([self.python, "-", *words], input=source, capture_output=True, text=True, check=False)

    def start(self, code: str, name: str = "gpu01", **order: Any) -> dict[str, Any]:
        usual = {"command": ["{python}", "-c", code], "limit": 300, "again": False, "seen": 0}
        return self.call("start", str(self.base), "R1", name, packed({**usual, **order}))

    def wait(self, seconds: int = 60) -> dict[str, Any]:
        return self.call("wait", str(self.base), "R1", "gpu01", str(seconds))

    def stop(self) -> dict[str, Any]:
        return self.call("stop", str(self.base), "R1", "gpu01")

    def started(self) -> dict[str, Any]:
        return dict(json.loads((self.folder / "started.json").read_text()))


@pytest.fixture
def machine(python: str, tmp_path: Path) -> Machine:
    return Machine(python, tmp_path / "base")


def test_it_starts_once_and_writes_the_end_whole(machine: Machine) -> None:
    machine.start(WRITES)
    found = machine.wait()
    ended = found["ended"]
    assert (found["state"], ended["exit_code"], ended["timed_out"], ended["attempt"]) == ("ended", 0, False, 1)
    assert ended["files"] == {
        "result.json": hashlib.sha256(b"{}").hexdigest(),
        "log": hashlib.sha256(b"said\n").hexdigest(),
    }
    assert {name: zlib.decompress(base64.b64decode(text)) for name, text in found["home"].items()} == {
        "result.json": b"{}",
        "log": b"said\n",
    }
    assert machine.start("raise SystemExit(9)") == found
    assert (machine.folder / "result.json").read_text() == "{}"
    assert {file.name for file in machine.folder.iterdir()} >= {"log", "ended.json", "started.json"}
    assert not list(machine.folder.glob(".*"))
    assert machine.base.stat().st_mode & 0o777 == 0o700


def test_the_hash_of_the_machine_is_that_of_its_result(machine: Machine) -> None:
    machine.start("pass")
    assert machine.wait()["machine"] == (describe()["id"] or "")


def test_an_end_that_is_known_may_be_followed_by_another_attempt(machine: Machine) -> None:
    machine.start(WRITES)
    machine.wait()
    assert machine.start("raise SystemExit(3)", seen=1)["attempt"] == 2
    ended = machine.wait()["ended"]
    assert (ended["attempt"], ended["exit_code"], "result.json" in ended["files"]) == (2, 3, False)


def test_an_attempt_on_a_cluster_finds_nothing_of_the_one_before(python: str, tmp_path: Path) -> None:
    """A report that a node left when it died is in no place that the next attempt wants, and is not its result."""
    for script in ("job.py", "supervisor.py"):
        shutil.copy(HERE / script, tmp_path)
    (folder := tmp_path / "n01").mkdir()

    def attempt(number: int, code: str) -> dict[str, Any]:
        order = {"base": "x", "command": ["{python}", "-c", code], "code": "", "limit": 300, "attempt": number}
        subprocess.run([python, tmp_path / "job.py", folder, packed(order)], check=False)
        ended = folder / "ended.json"
        return dict(json.loads(ended.read_text())) if ended.exists() else {}

    assert attempt(1, f"{WRITES}; import os, signal; os.kill(os.getppid(), signal.SIGKILL)") == {}
    assert (folder / "report" / "result.json").is_file()
    ended = attempt(2, "raise SystemExit(3)")
    assert (ended["attempt"], ended["exit_code"], list(ended["files"])) == (2, 3, ["log"])
    assert list(attempt(3, WRITES)["files"]) == ["result.json", "log"]


def test_what_runs_is_found_running_and_is_not_started_again(machine: Machine) -> None:
    machine.start(WAITS)
    pid = machine.started()["job"]
    found = machine.start("raise SystemExit(9)", again=True, seen=7)
    assert (found["state"], machine.started()["job"]) == ("running", pid)
    ended = machine.stop()["ended"]
    assert (ended["stopped"], ended["exit_code"]) == (True, -15)
    assert machine.start(WRITES)["state"] == "ended"
    assert machine.start(WRITES, again=True)["attempt"] == 2
    assert machine.wait()["ended"]["stopped"] is False


def test_at_the_limit_the_whole_group_is_ended_and_what_left_it(machine: Machine) -> None:
    child = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(__import__('os').getpid(), flush=True)"
    code = (
        f"import subprocess, sys; p = subprocess.Popen([sys.executable, '-c', {child + '; signal.pause()'!r}], "
        "start_new_session=True, stdout=subprocess.PIPE); print(p.stdout.readline().decode(), end='', flush=True); "
        "import signal; signal.pause()"
    )
    machine.start(code, limit=1.5)
    ended = machine.wait()["ended"]
    assert (ended["timed_out"], ended["left"]) == (True, 0)
    log = (machine.folder / "log").read_text()
    assert not log or not Path("/proc", log.strip()).exists()


def test_killed_together_with_its_supervisor_it_is_lost_and_only_started_over_where_that_is_asked(
    machine: Machine,
) -> None:
    machine.start(WAITS)
    started = machine.started()
    for pid in (started["pid"], started["job"]):
        os.kill(pid, signal.SIGKILL)
    found = machine.wait()
    assert (found["state"], found["rebooted"]) == ("lost", False)
    assert machine.start(WRITES)["state"] == "lost"
    assert machine.start(WRITES, again=True)["attempt"] == 2
    assert machine.wait()["ended"]["exit_code"] == 0


def test_checks_whose_supervisor_was_killed_go_on_and_can_be_ended(machine: Machine) -> None:
    machine.start(WAITS)
    os.kill(machine.started()["pid"], signal.SIGKILL)
    assert machine.start(WRITES, again=True)["state"] == "running"
    assert machine.stop()["state"] == "lost"


def test_another_boot_is_told(machine: Machine) -> None:
    machine.start("pass")
    machine.wait()
    (machine.folder / "ended.json").unlink()
    started = machine.started()
    (machine.folder / "started.json").write_text(json.dumps({**started, "boot": "another"}))
    assert machine.wait()["rebooted"] is True


def test_a_second_name_of_one_machine_is_found_before_anything_starts(machine: Machine) -> None:
    machine.start(WRITES)
    assert machine.start(WRITES, name="alias") == {"state": "twin", "of": "gpu01", "machine": describe()["id"] or ""}
    assert not (machine.base / "runs" / "R1" / "alias" / "started.json").exists()


def test_a_command_that_is_not_there_is_said_and_leaves_nothing_running(machine: Machine) -> None:
    order = {"command": ["/nowhere/at/all"], "limit": 5, "again": False, "seen": 0}
    done = machine.process("start", str(machine.base), "R1", "gpu01", packed(order))
    assert done.returncode == 1
    assert "/nowhere/at/all" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_place_that_cannot_be_made_is_named(machine: Machine, tmp_path: Path) -> None:
    (tmp_path / "base").write_text("a file")
    order = {"command": ["true"], "limit": 5, "again": False, "seen": 0}
    done = machine.process("start", str(machine.base), "R1", "gpu01", packed(order))
    assert done.returncode == 1
    assert str(tmp_path / "base") in done.stderr


def test_a_part_comes_to_its_place_whole_or_not_at_all(machine: Machine) -> None:
    parts = machine.base / "parts"
    parts.mkdir(parents=True)
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("smoke/empty.py"))
    key = hashlib.sha256(stream.getvalue()).hexdigest()
    (parts / f"{key}.tar").write_bytes(stream.getvalue()[:-1])
    assert machine.process("unpack", str(machine.base), key, script="arrival.py").returncode == 1
    assert list(parts.iterdir()) == []
    (parts / f"{key}.tar").write_bytes(stream.getvalue())
    machine.call("unpack", str(machine.base), key, script="arrival.py")
    assert [file.name for file in parts.iterdir()] == [key]
    assert (parts / key / "smoke" / "empty.py").is_file()
    found = machine.call("reach", str(machine.base), packed({}), script="arrival.py")
    assert found["parts"] == [key]
    assert found["free"] > 0


def test_a_machine_that_nobody_was_on_has_no_part(machine: Machine) -> None:
    assert machine.call("reach", str(machine.base), packed({}), script="arrival.py")["parts"] == []


def test_less_room_than_is_needed_is_a_full_disk_and_nothing_is_written(machine: Machine) -> None:
    done = machine.process("reach", str(machine.base), packed({"key": 1 << 60}), script="arrival.py")
    assert done.stderr.startswith("No space left on device")
    assert not machine.base.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a small file system: root")
def test_a_full_disk_is_one_before_anything_is_copied(machine: Machine, tmp_path: Path) -> None:
    machine.base.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(machine.base)], check=True)
    try:
        done = machine.process("reach", str(machine.base), packed({}), script="arrival.py")
    finally:
        subprocess.run(["umount", str(machine.base)], check=True)
        shutil.rmtree(machine.base)
    assert done.returncode == 1
    assert done.stderr.startswith("No space left on device")
