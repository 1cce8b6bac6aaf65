"""What goes wrong and is no guide's fault: each has its words, breaks no guide, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import shutil
import signal
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from dlmatrix.document.result import REPLAY, read_result
from dlmatrix.guides.contained import Ended, Surroundings, run_contained
from dlmatrix.guides.judge import judged
from dlmatrix.guides.model import Step
from dlmatrix.guides.read.guide import read_guide
from dlmatrix.guides.replay import player, verdict
from dlmatrix.guides.steps import read_steps
from dlmatrix.matrix.model import Site
from tests.unit.guides.reading import read, said
from tests.unit.guides.worlds import PYTHON, outcomes, played, setting

Cli = Callable[..., tuple[int, str, str]]


class Refuses(BaseHTTPRequestHandler):
    """An index, or a mirror of one, that lets nobody in."""

    def do_GET(self) -> None:
        self.send_response(403)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass


@contextmanager
def refusing(certificate: Path | None = None) -> Iterator[str]:
    """The address of one, behind TLS where it has a certificate."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Refuses)
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"{'https' if certificate else 'http'}://127.0.0.1:{server.server_port}/simple"
    finally:
        server.shutdown()
        server.server_close()


def words_of(root: Path, tmp_path: Path, url: str) -> str:
    """The verdict on a guide that installs something from an index."""
    (tmp_path / "guide.md").write_text("```bash\npip install alpha\n```\n", encoding="utf-8")
    guide = read_guide(tmp_path / "guide.md")
    with player(replace(setting(root, None, []), site=Site(index=url)), guide.file.name) as live:
        return verdict(live.play(read_steps(guide).steps, PYTHON, "")).words


@pytest.mark.usefixtures("contained")
def test_an_index_that_refuses_says_nothing_of_a_guide(root: Path, tmp_path: Path) -> None:
    with refusing() as url:
        words = words_of(root, tmp_path, url)
    assert words == "could not look: no package index answers: it refuses (403)"


@pytest.mark.usefixtures("contained")
def test_a_certificate_that_nobody_here_trusts_says_nothing_of_a_guide(root: Path, tmp_path: Path) -> None:
    tool = shutil.which("openssl")
    if tool is None:
        pytest.skip("there is no openssl, which makes a certificate")
    made = tmp_path / "own.pem"
    words = "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1"
    subprocess.run([tool, *words.split(), "-keyout", made, "-out", tmp_path / "c"], check=True, capture_output=True)
    made.write_text(made.read_text("utf-8") + (tmp_path / "c").read_text("utf-8"), encoding="utf-8")
    with refusing(made) as url:
        words = words_of(root, tmp_path, url)
    assert words == "could not look: no package index answers: its certificate is not trusted here (SSL_CERT_FILE)"


@pytest.mark.usefixtures("contained")
def test_a_mirror_that_refuses_is_replaced_and_said(root: Path, tmp_path: Path, index: Path) -> None:
    with refusing() as url:
        replay, _, _ = played(root, tmp_path, index, f"```bash\npip install -i {url} alpha\n```\n")
    assert verdict(replay).kind == "works in translation"
    assert replay.played[0].notes == (f"-i {url}: it does not answer; this site's index takes its place",)


def test_a_page_that_scripts_make_is_not_called_one_without_a_step(tmp_path: Path) -> None:
    menu = "".join(f"<li><a href='/{n}'>page {n}</a></li>" for n in range(99))
    page = f"<!doctype html><html><body><nav>{menu}</nav><div id=app></div><script>{'x' * 999}</script></body></html>"
    reading = read(tmp_path, "saved.html", page)
    assert [(step.kind, step.line) for step in reading.steps] == [("unreadable", 1)]
    assert "save it as the browser shows it" in reading.steps[0].why
    words = "<p>Nothing is to be typed here, and there are words enough that say so.</p>" * 9
    assert said(read(tmp_path, "words.html", page.replace("<div id=app>", f"<div>{words}"))) == []


def test_a_notebook_of_50_mb_is_read_for_its_cells(tmp_path: Path) -> None:
    picture = {"output_type": "display_data", "data": {"image/png": "A" * (50 << 20)}}
    cells = [
        {"cell_type": "code", "source": "!pip install alpha", "outputs": [picture]},
        {"cell_type": "code", "source": "print(1)", "outputs": []},
    ]
    reading = read(tmp_path, "big.ipynb", json.dumps({"nbformat": 4, "metadata": {}, "cells": cells}))
    assert said(reading) == [("install", "pip install alpha"), ("program", "print(1)")]
    assert len(repr(reading)) < 5000


@pytest.mark.parametrize(
    "why", ["it did not end in 1200 s", "it printed more than 64 MB", "it wrote more than 12 GB", "no disk is left"]
)
@pytest.mark.parametrize("kind", ["program", "install"])
def test_a_limit_that_ended_a_step_is_its_reason(why: str, kind: str) -> None:
    step = Step(text="x", kind=kind, line=1)
    said = "Traceback (most recent call last):\nValueError: No matching distribution found\n"
    found = judged(step, Ended(exit_code=137, stdout="", stderr=said, seconds=9, why=why), "", said, "g", True)
    assert (found.outcome, found.reason) == ("unjudged", why)


def contained_in(folder: Path, program: str) -> Ended:
    """A program of this Python in a world of its own."""
    folder.chmod(0o777)
    python = Path(sys.executable)
    prefix = python.resolve().parents[1]
    around = Surroundings(writable=(folder,), readable=() if str(prefix) == "/usr" else (prefix,))
    command = [str(python.resolve()), "-c", program]
    return run_contained(command, cwd=folder, environ={}, around=around, timeout_seconds=60)


@pytest.mark.usefixtures("contained")
def test_a_step_that_fills_the_disk_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free = iter([100 << 30])
    monkeypatch.setattr("dlmatrix.guides.contained._free", lambda _: next(free, 80 << 30))  # others write too
    monkeypatch.setattr("dlmatrix.guides.contained.MOST_DISK", 1 << 20)
    program = "import signal\nfor n in range(9):\n    open(str(n), 'wb').write(bytes(1 << 20))\nsignal.pause()"
    assert contained_in(tmp_path, program).why == "it wrote more than 0 GB"


@pytest.mark.usefixtures("contained")
def test_a_fork_bomb_meets_its_limit_and_all_of_it_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dlmatrix.guides.contained.MOST_PROCESSES", 300)
    bomb = "import os, signal\nwhile True:\n    if os.fork() == 0:\n        signal.pause()  # BOMB-OF-A-TEST"
    ended = contained_in(tmp_path, bomb)
    assert "Resource temporarily unavailable" in ended.stderr
    running = [one.read_bytes() for one in Path("/proc").glob("[0-9]*/cmdline") if one.exists()]
    assert not [one for one in running if b"BOMB-OF-A-TEST" in one]
    step = Step(text=bomb, kind="program", line=1, form="program")
    found = judged(step, ended, "", ended.stderr, "g", True)
    assert found.outcome == "unjudged"
    assert found.reason.startswith("it needs more than this machine lets it have: BlockingIOError")


@pytest.mark.parametrize(
    "said",
    [
        "Overwrite the settings? [y/N]: \nAborted!",
        "Proceed (Y/n)? Traceback (most recent call last):\nEOFError",
        "Do you accept? (yes/no) \nno answer",
        "Press ENTER to go on\n",
        "Password: \nstty: 'standard input': Inappropriate ioctl for device",
    ],
)
def test_a_step_that_waits_for_an_answer_needs_a_person(said: str) -> None:
    step = Step(text="alpha init", kind="program", line=1)
    found = judged(step, Ended(exit_code=1, stdout=said, stderr="", seconds=1), said, said, "g", True)
    assert found.outcome == "unjudged"
    assert found.reason.startswith("it needs a person: ")


@pytest.mark.parametrize(
    "said",
    ["RuntimeError: can't start new thread", "libgomp: Thread creation failed: Resource temporarily unavailable"],
)
def test_threads_that_a_machine_does_not_give_break_no_guide(said: str) -> None:
    step = Step(text="x", kind="program", line=1)
    said = f"Traceback (most recent call last):\n{said}\n"
    assert (
        judged(step, Ended(exit_code=1, stdout="", stderr=said, seconds=1), "", said, "g", True).outcome == "unjudged"
    )


def test_what_is_for_another_architecture_is_not_judged(tmp_path: Path) -> None:
    text = (
        "```bash\npip install https://index.invalid/alpha-1.0-cp311-cp311-linux_aarch64.whl\n"
        "pip install alpha-1.0-cp311-cp311-macosx_11_0_arm64.whl\nCONDA_SUBDIR=osx-arm64 conda create -n x\n"
        "pip install alpha-1.0-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl\n```\n"
    )
    assert [step.kind for step in read(tmp_path, "guide.md", text).steps] == [
        *("machine", "other system", "other system", "install")
    ]
    said = "bash: ./run: cannot execute binary file: Exec format error"
    step = Step(text="./run", kind="program", line=1)
    found = judged(step, Ended(exit_code=126, stdout="", stderr=said, seconds=1), "", said, "g", True)
    assert (found.outcome, found.reason) == ("unjudged", "it needs a machine of another architecture")


@pytest.mark.usefixtures("contained")
def test_a_machine_that_a_guide_shows_is_the_writer_s(root: Path, tmp_path: Path, index: Path) -> None:
    text = "```console\n$ uname -m\nriscv64\n$ whoami\nsomebody\n```\n"
    text += (
        "```bash\npip install https://index.invalid/alpha-1.0-cp311-cp311-linux_aarch64.whl\npip install alpha\n```\n"
    )
    text += "```python\nimport beta\n```\n"
    replay, _, _ = played(root, tmp_path, index, text)
    assert outcomes(replay)[:4] == ["passed", "passed", "unjudged", "passed"]
    assert verdict(replay).words == "not judged beyond line 8: it needs a machine of another architecture"


@pytest.mark.usefixtures("contained")
@pytest.mark.timeout(120)
def test_ctrl_c_ends_all_of_a_replay_and_leaves_nothing(root: Path, checkout: Path) -> None:
    (checkout / "guide.md").write_text("```bash\necho first\n```\n```bash\nsleep 4321.5\n```\n", encoding="utf-8")
    before = left(checkout)
    command = [sys.executable, "-m", "dlmatrix", "replay", "guide.md", "--python", PYTHON, "--report", "r"]
    environ = {**os.environ, "PYTHONPATH": str(root)}
    with subprocess.Popen(command, cwd=checkout, env=environ, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        assert next(line for line in process.stdout if "echo first" in line).startswith("line 2     passed")
        process.send_signal(signal.SIGINT)
        process.stdout.read()
    assert process.returncode == 130
    running = [one.read_bytes() for one in Path("/proc").glob("[0-9]*/cmdline") if one.exists()]
    assert not [one for one in running if b"4321.5" in one]
    assert left(checkout) == before


@pytest.mark.usefixtures("contained")
def test_a_replay_leaves_its_report_and_nothing_else(checkout: Path, cli: Cli) -> None:
    text = "```bash\nmkdir -p deep/er\ntouch deep/er/file ~/file\nchmod 0 deep\n```\n"
    (checkout / "guide.md").write_text(text, encoding="utf-8")
    before = left(checkout)
    cli("replay", "guide.md", "--python", PYTHON, "--report", "r")
    assert read_result(checkout / "r", (REPLAY,)).data["steps"][-1]["outcome"] == "passed"
    shutil.rmtree(checkout / "r")
    assert left(checkout) == before


def left(checkout: Path) -> set[str]:
    """All files and folders of a checkout, less the ones that any command makes in its working folder."""
    found = {str(one.relative_to(checkout)) for one in checkout.rglob("*")}
    return found - {".dlmatrix", ".dlmatrix/busy", ".dlmatrix/.gitignore"}


SPY = """\
import os, subprocess
told = dict(os.environ)
for place in %r:
    try:
        told[place] = open(place).read()
    except OSError as error:
        told[place] = error.strerror
print(told)
print(subprocess.run("pip config list; cat /proc/*/environ /proc/*/cmdline; git config --list; env",
      shell=True, capture_output=True))
"""


@pytest.mark.usefixtures("contained")
def test_keys_and_passwords_of_the_user_are_not_to_be_had(
    root: Path, tmp_path: Path, index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "user"
    files = [home / name for name in (".ssh/id_ed25519", ".config/pip/pip.conf", ".pip/pip.conf", ".netrc", ".pypirc")]
    for file in (*files, tmp_path / "other.conf"):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("[global]\nindex-url = https://me:s3cret-of-a-test@index.invalid/simple\n", encoding="utf-8")
    for one in (home, *home.rglob("*")):
        one.chmod(0o755)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("PIP_CONFIG_FILE", str(tmp_path / "other.conf"))
    monkeypatch.setenv("PIP_INDEX_URL", "https://me:s3cret-of-a-test@index.invalid/simple")
    monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "s3cret-of-a-test"))
    spy = SPY % [str(file) for file in (*files, tmp_path / "other.conf", f"/proc/{os.getpid()}/environ")]
    text = f"```python\n{spy}```\n```bash\npip install alpha; pip config list; env; cat /proc/*/environ || true\n```\n"
    replay, _, _ = played(root, tmp_path, index, text)
    assert outcomes(replay) == ["passed", "passed"], [one.said for one in replay.played]
    assert "s3cret" not in repr(replay)
    assert replay.played[0].said.count("No such file or directory") >= 7


@pytest.mark.parametrize(
    ("command", "said", "code"),
    [
        ("unzip data.zip", "unzip:  cannot find or open data.zip, data.zip.zip or data.zip.ZIP.", 9),
        ("tar xf data.zip", "tar: data.zip: Cannot open: No such file or directory\n"
         "tar: Error is not recoverable: exiting now", 2),
        ("tar xzf data.zip", "tar (child): data.zip: Cannot open: No such file or directory\n"
         "tar (child): Error is not recoverable: exiting now\ntar: Child returned status 2\n"
         "tar: Error is not recoverable: exiting now", 2),
    ],
)  # fmt: skip
def test_an_archive_that_a_reader_was_to_fetch_breaks_no_guide(command: str, said: str, code: int) -> None:
    step = Step(text=command, kind="world", line=3, form="shell")
    one = judged(step, Ended(exit_code=code, stdout="", stderr=said, seconds=0.1), "", said, "guide.md", True)
    assert (one.outcome, one.reason) == ("unjudged", "it needs data.zip, which the guide does not make")


@pytest.mark.parametrize("program", ["unzip", "git", "wget"])
def test_a_program_that_a_world_does_not_have_breaks_no_guide(program: str) -> None:
    command, said = f"{program} -v", f"bash: line 1: {program}: command not found"
    step = Step(text=command, kind="world", line=3, form="shell")
    one = judged(step, Ended(exit_code=127, stdout="", stderr=said, seconds=0.1), "", said, "guide.md", True)
    assert one.outcome == "unjudged"
    assert one.reason == f"it needs a program that the guide does not install: {said}"
