"""Every answer of pip-audit, and none: a report, or a skip with its reason; never a false all-clear."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from dlmatrix.__main__ import main
from dlmatrix.errors import EXIT_SKIPPED, SkippedEnv
from dlmatrix.matrix.model import Lock, LockEntry, Site
from dlmatrix.upkeep.audit import Audit, audit

ENTRIES = {"six": "1.17.0", "protobuf": "3.20.1", "torch": "2.13.0+cpu", "typing-extensions": "4.16.0"}
LOCK = Lock(
    file=Path("envs/locks/x.txt"),
    sha256="0" * 64,
    entries=tuple(LockEntry(name=name, version=version, hashes=()) for name, version in ENTRIES.items()),
)
Script = Callable[..., Path]


@pytest.fixture
def answer(script: Script, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Audit]:
    """What is made of an answer and an exit code of pip-audit."""
    monkeypatch.setattr("sys.executable", str(tmp_path / "nowhere" / "python"))

    def run(stdout: str, code: int = 0, stderr: str = "") -> Audit:
        (tmp_path / "answer").write_text(stdout)
        body = f"cat {tmp_path}/answer; printf '%s' '{stderr}' >&2; exit {code}"
        program = script(body, "bin/pip-audit")
        return audit(LOCK, Site(), {"PATH": f"{program.parent}:/usr/bin:/bin"})

    return run


def dependencies(*parts: dict[str, object]) -> str:
    return json.dumps({"dependencies": list(parts), "fixes": []})


CLEAN = {"name": "six", "version": "1.17.0", "vulns": []}
BAD = {"name": "protobuf", "version": "3.20.1", "vulns": [{"id": "PYSEC-2"}, {"id": "GHSA-1"}]}
UNKNOWN = {"name": "torch", "skip_reason": "torch (2.13.0+cpu) is not known"}


def test_each_is_audited_or_named_as_not_audited(answer: Callable[..., Audit]) -> None:
    torch = {"name": "torch", "version": "2.13.0", "vulns": [{"id": "CVE-1"}, {"id": "CVE-1"}]}
    told = answer(dependencies(CLEAN, BAD, torch, {"name": "Typing_Extensions", "skip_reason": "not found"}), code=1)
    assert told.found == {"protobuf 3.20.1": ("GHSA-1", "PYSEC-2"), "torch 2.13.0+cpu": ("CVE-1",)}
    assert told.as_public == {"torch 2.13.0+cpu": "2.13.0"}
    assert told.unknown == {"typing-extensions 4.16.0": "not found"}
    assert told.audited == 3


def test_what_is_left_out_of_an_answer_is_not_cleared(answer: Callable[..., Audit]) -> None:
    told = answer(dependencies(CLEAN, UNKNOWN))
    assert (told.found, told.audited) == ({}, 1)
    assert list(told.unknown) == ["protobuf 3.20.1", "torch 2.13.0+cpu", "typing-extensions 4.16.0"]


def test_public_versions_are_asked_for(script: Script, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("sys.executable", str(tmp_path / "nowhere" / "python"))
    program = script(f'cp "$2" {tmp_path}/asked; echo "[]"', "bin/pip-audit")
    with pytest.raises(SkippedEnv):
        audit(LOCK, Site(), {"PATH": f"{program.parent}:/usr/bin:/bin"})
    lines = (tmp_path / "asked").read_text().splitlines()
    assert lines == ["six==1.17.0", "protobuf==3.20.1", "torch==2.13.0", "typing-extensions==4.16.0"]


def test_the_command_counts_what_was_audited(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    told = Audit(found={"a 1": ("X-1",)}, as_public={"torch 2+cpu": "2"}, unknown={"b 2": "not found"}, audited=2)
    monkeypatch.setattr("dlmatrix.upkeep.audit.audit", lambda *_: told)
    assert main(["audit", "cpu-torch-2.13"]) == EXIT_SKIPPED
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "cpu-torch-2.13: 1 of 2 distributions have known vulnerabilities"
    assert lines[1:] == [
        "  a 1: X-1",
        "  torch 2+cpu: asked for as 2, since local versions are not known",
        "  not audited: b 2: not found",
    ]


@pytest.mark.parametrize(
    ("stdout", "stderr", "reason"),
    [
        (dependencies(UNKNOWN), "", "knows none of it: torch"),
        ("", "ERROR: connection refused", "no answer from its advisory source: ERROR: connection refused"),
        ("{}", "", "it said nothing"),
        ("[]", "", "it said nothing"),
    ],
)
def test_no_answer_is_a_skip(answer: Callable[..., Audit], stdout: str, stderr: str, reason: str) -> None:
    with pytest.raises(SkippedEnv) as raised:
        answer(stdout, code=1, stderr=stderr)
    assert reason in raised.value.message


def test_without_pip_audit(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    with pytest.raises(SkippedEnv, match="pip-audit is not installed"):
        audit(LOCK, Site(), {"PATH": str(tmp_path)})
