"""The first command of a new user: `make setup` says what it waits for, and Ctrl-C in it is no traceback."""

from __future__ import annotations

import os
import pty
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from tests.signals import heard

#: Stands for Python, venv and pip: what they print, and how they end.
PYTHON = """\
#!/bin/sh
case "$*" in
  -V) echo "Python 3.12.0" ;;
  "-m venv .venv") mkdir -p .venv/bin && cp "$0" .venv/bin/python ;;
  "-m pip install "*)
    echo "Collecting one==1.0 (from -r envs/locks/tools.txt (line 1))"
    echo "Collecting two==2.0 (from -r envs/locks/tools.txt (line 2))"
    [ ! -e broken ] || { echo "ERROR: no index answers" >&2; exit 1; }
    [ ! -e held ] || { trap 'echo "Traceback (most recent call last):" >&2; exit 1' INT; echo >held; cat held; } ;;
esac
"""


@pytest.fixture
def checkout(root: Path, tmp_path: Path) -> Path:
    """A folder with the Makefile, a lock of two tools, and a Python that installs nothing."""
    shutil.copy(root / "Makefile", tmp_path)
    (tmp_path / "envs" / "locks").mkdir(parents=True)
    (tmp_path / "envs" / "locks" / "tools.txt").write_text("one==1.0\ntwo==2.0\n")
    (tmp_path / "python").write_text(PYTHON)
    (tmp_path / "python").chmod(0o755)
    return tmp_path


def command(checkout: Path) -> list[str]:
    return ["make", "--silent", "setup", f"PYTHON={checkout / 'python'}"]


def test_it_is_said_what_is_waited_for_and_the_second_time_nothing(checkout: Path) -> None:
    first = subprocess.run(command(checkout), cwd=checkout, capture_output=True, text=True, check=True)
    assert first.stdout == "setting up .venv, once: up to 2 packages for Python 3.12.0\n2 collected\n"
    again = subprocess.run(command(checkout), cwd=checkout, capture_output=True, text=True, check=True)
    assert again.stdout == ""


@pytest.mark.parametrize("left", ["", "#!/bin/sh\nexit 3\n"])
def test_where_its_python_is_gone_or_another_it_is_made_anew(checkout: Path, left: str) -> None:
    """A system that was upgraded: the link leads nowhere, or to a version that has none of the packages."""
    subprocess.run(command(checkout), cwd=checkout, capture_output=True, check=True)
    python = checkout / ".venv" / "bin" / "python"
    python.unlink()
    if left:
        python.write_text(left)
        python.chmod(0o755)
    else:
        python.symlink_to("/nowhere/python3.10")
    done = subprocess.run(command(checkout), cwd=checkout, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(
        "the Python that .venv was made with is not here any more: it is made anew\nsetting up"
    )
    assert python.read_text() == PYTHON
    assert subprocess.run(command(checkout), cwd=checkout, capture_output=True, check=True).stdout == b""


def test_on_a_terminal_it_counts(checkout: Path) -> None:
    ours, theirs = pty.openpty()
    subprocess.run(command(checkout), cwd=checkout, stdout=theirs, check=True)
    os.close(theirs)
    said = os.read(ours, 1 << 16).decode()
    os.close(ours)
    assert "\r  1  one==1.0" in said
    assert "\r  2  two==2.0" in said


def test_what_pip_says_of_a_failure_is_shown_and_the_next_call_tries_again(checkout: Path) -> None:
    (checkout / "broken").touch()
    done = subprocess.run(command(checkout), cwd=checkout, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "ERROR: no index answers" in done.stderr
    assert not (checkout / ".venv" / ".tools").exists()
    (checkout / "broken").unlink()
    subprocess.run(command(checkout), cwd=checkout, capture_output=True, check=True)


@pytest.mark.timeout(60)
def test_ctrl_c_is_no_traceback_and_the_next_call_sets_up(checkout: Path) -> None:
    os.mkfifo(checkout / "held")
    with subprocess.Popen(
        command(checkout),
        cwd=checkout,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=heard,  # noqa: PLW1509 - this test has no threads
    ) as setup:
        (checkout / "held").read_text()  # pip is at work
        os.killpg(setup.pid, signal.SIGINT)
        _, said = setup.communicate()
    assert setup.returncode == -signal.SIGINT
    assert "Traceback" not in said
    assert not (checkout / ".venv" / ".tools").exists()
    (checkout / "held").unlink()
    subprocess.run(command(checkout), cwd=checkout, capture_output=True, check=True)
