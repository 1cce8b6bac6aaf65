"""Staging does what it says, to the process that is staged and to nothing else. Plain probes stand for the doctor."""

from __future__ import annotations

import ctypes.util
import os
import select
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.gpu.machine import NOBODY
from tests.gpu.stage import NOT_STAGED, Staging, loads

STAGE = Path(__file__).parents[2] / "gpu" / "stage.py"
Probe = Callable[..., "subprocess.CompletedProcess[str]"]
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="device nodes and other users need root")


def command(staging: Staging, program: str) -> list[str]:
    return [sys.executable, str(STAGE), staging.dumps(), sys.executable, "-c", program]


@pytest.fixture
def probe(root: Path) -> Any:
    """Run a program as a patient; this process's mounts are the same afterwards."""
    # pytest's own folders are closed to other users.
    scratch = Path("/tmp") / f"dlmatrix-stage-{os.getpid()}"
    scratch.mkdir(mode=0o755)
    before = Path("/proc/self/mountinfo").read_text(encoding="utf-8")

    def run(program: str, **fault: Any) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            command(Staging(scratch=str(scratch), **fault), program),
            capture_output=True, text=True, check=False, timeout=60, cwd=root,
        )  # fmt: skip
        if done.returncode == NOT_STAGED and "namespace" in done.stderr:
            pytest.skip(f"this machine gives no namespace: {done.stderr}")
        return done

    yield run
    shutil.rmtree(scratch)
    assert Path("/proc/self/mountinfo").read_text(encoding="utf-8") == before


def test_a_staging_survives_the_command_line() -> None:
    staging = Staging(scratch="/s", missing=("/dev/a", "/dev/b"), user=NOBODY, open_files=40)
    assert loads(staging.dumps()) == staging


def test_limits_are_the_childs_alone(probe: Probe) -> None:
    program = "import resource as r; print(r.getrlimit(r.RLIMIT_AS)[0], r.getrlimit(r.RLIMIT_NOFILE))"
    assert probe(program, address_space=12288000000, open_files=40).stdout == "12288000000 (40, 40)\n"


def test_no_program_with_another_users_rights_can_mend_it(probe: Probe) -> None:
    program = "print([line for line in open('/proc/self/status') if line.startswith('NoNewPrivs')])"
    assert "NoNewPrivs:\\t1" in probe(program).stdout


@needs_root
def test_a_closed_node_is_a_copy_that_another_user_cannot_open(probe: Probe) -> None:
    before = os.stat("/dev/zero")
    program = (
        "import os, stat\n"
        "status = os.stat('/dev/zero')\n"
        "print(os.geteuid(), os.getgroups(), oct(status.st_mode), status.st_uid, status.st_rdev)\n"
        "try: os.open('/dev/zero', os.O_RDWR)\n"
        "except OSError as error: print(error.errno)\n"
        "print(len(open('/dev/urandom', 'rb').read(4)), os.path.exists('/dev/shm'), os.readlink('/dev/fd'))\n"
    )
    done = probe(program, closed=("/dev/zero",), user=NOBODY)
    lines = done.stdout.splitlines()
    assert lines[0] == f"{NOBODY} [] {oct(stat.S_IFCHR | 0o600)} 0 {before.st_rdev}", done.stderr
    assert lines[1] == "13"
    assert lines[2] == "4 True /proc/self/fd"
    after = os.stat("/dev/zero")
    assert (after.st_mode, after.st_uid, after.st_ino) == (before.st_mode, before.st_uid, before.st_ino)


@needs_root
def test_a_missing_node_that_is_made_again_is_made_for_the_patient_alone(probe: Probe) -> None:
    before = os.stat("/dev/full")
    program = (
        "import os, stat\n"
        "print(os.path.exists('/dev/full'), os.path.exists('/dev/null'))\n"
        "os.mknod('/dev/full', stat.S_IFCHR | 0o600, os.makedev(1, 5))\n"
        "os.mknod('/dev/dlmatrix-new', stat.S_IFCHR | 0o600, os.makedev(1, 5))\n"
        "print(open('/dev/full', 'rb').read(2))\n"
    )
    done = probe(program, missing=("/dev/full",))
    assert done.stdout.splitlines() == ["False True", r"b'\x00\x00'"], done.stderr
    assert os.stat("/dev/full").st_rdev == before.st_rdev
    assert os.stat("/dev/full").st_mode == before.st_mode
    assert not Path("/dev/dlmatrix-new").exists()


def test_an_emptied_library_is_too_short_for_the_patient_alone(probe: Probe, tmp_path: Path) -> None:
    name = ctypes.util.find_library("z") or ctypes.util.find_library("m")
    ctypes.CDLL(name)
    lines = Path("/proc/self/maps").read_text(encoding="utf-8").splitlines()
    loaded = next(line.split()[-1] for line in lines if line.rpartition("/")[2].startswith(f"{name}".split(".so")[0]))
    library = Path(shutil.copy(loaded, tmp_path / "libcopy.so.1"))
    program = f"import ctypes, os; print(os.stat({str(library)!r}).st_size); ctypes.CDLL({str(library)!r})"
    whole = probe(program)
    assert (whole.returncode, whole.stdout) == (0, f"{library.stat().st_size}\n")
    emptied = probe(program, emptied=(str(library),))
    assert emptied.stdout == "0\n", emptied.stderr
    assert "file too short" in emptied.stderr
    assert library.stat().st_size > 0


def test_a_hidden_folder_and_a_small_shm_are_the_patients_alone(probe: Probe, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    program = (
        f"import os; print(os.listdir({str(tmp_path)!r})); s = os.statvfs('/dev/shm'); print(s.f_blocks * s.f_frsize)"
    )
    before = os.statvfs("/dev/shm")
    done = probe(program, hidden=(str(tmp_path),), shm=65536)
    assert done.stdout == "[]\n65536\n", done.stderr
    assert os.listdir(tmp_path) == ["file"]
    assert os.statvfs("/dev/shm").f_blocks == before.f_blocks


@needs_root
def test_who_is_not_root_stages_what_needs_no_node(tmp_path: Path) -> None:
    python = shutil.which("python3", path="/usr/bin:/usr/local/bin")
    if python is None:
        pytest.skip("no interpreter that another user can run")

    def as_nobody(program: str, **fault: Any) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [python, "-", Staging(scratch="/nowhere", **fault).dumps(), python, "-c", program],
            input=STAGE.read_text(encoding="utf-8"), capture_output=True, text=True, check=False, timeout=60,
            user=NOBODY, group=NOBODY, extra_groups=[], cwd="/",
        )  # fmt: skip

    for fault in ({"closed": ("/dev/zero",), "user": NOBODY}, {"missing": ("/dev/full",)}):
        done = as_nobody("print('run')", **fault)
        assert (done.returncode, done.stderr[:25]) == (NOT_STAGED, "not staged: only root can"), done.stderr
    done = as_nobody("import os; s = os.statvfs('/dev/shm'); print(os.getuid(), s.f_blocks * s.f_frsize)", shm=65536)
    if done.returncode == NOT_STAGED:
        pytest.skip(f"this machine gives an ordinary user no namespace: {done.stderr}")
    assert done.stdout == f"{NOBODY} 65536\n"


def test_what_is_not_there_is_not_staged(probe: Probe, tmp_path: Path) -> None:
    done = probe("print('run')", emptied=(str(tmp_path / "absent"),))
    assert (done.returncode, done.stdout) == (NOT_STAGED, "")
    assert done.stderr == "not staged: a mount: No such file or directory\n"


def test_a_patient_ends_with_whoever_staged_it(tmp_path: Path) -> None:
    patient = command(Staging(scratch=str(tmp_path)), "print('here', flush=True); input()")
    # The parent ends once the patient runs, as if it had been killed; the patient's own stdin stays open.
    parent = (
        "import os, subprocess, sys\n"
        f"p = subprocess.Popen({patient!r}, stdin=subprocess.PIPE, stdout=subprocess.PIPE)\n"
        "p.stdout.readline(); print(p.pid, flush=True); sys.stdin.readline(); os._exit(0)\n"
    )
    with subprocess.Popen([sys.executable, "-c", parent], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin
        assert process.stdout
        pid = int(process.stdout.readline())
        end = os.pidfd_open(pid)
        process.stdin.write(b"\n")
        process.stdin.close()
        assert select.select([end], [], [], 60)[0], "it is still there"
        os.close(end)
