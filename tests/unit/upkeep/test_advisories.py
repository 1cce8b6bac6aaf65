"""Every answer of pip-audit, and none: a report, or a skip with its reason; never a false all-clear."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from dlmatrix.errors import SkippedEnv
from dlmatrix.matrix.model import Lock, Site
from dlmatrix.upkeep.audit import audit

LOCK = Lock(file=Path("envs/locks/x.txt"), sha256="0" * 64, entries=())
Script = Callable[..., Path]


@pytest.fixture
def answer(
    script: Script, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[..., dict[str, tuple[str, ...]]]:
    """What is made of an answer and an exit code of pip-audit."""
    monkeypatch.setattr("sys.executable", str(tmp_path / "nowhere" / "python"))

    def run(stdout: str, code: int = 0, stderr: str = "") -> dict[str, tuple[str, ...]]:
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


def test_what_is_known_is_reported(answer: Callable[..., dict[str, tuple[str, ...]]]) -> None:
    assert answer(dependencies(CLEAN, BAD, UNKNOWN), code=1) == {"protobuf 3.20.1": ("GHSA-1", "PYSEC-2")}
    assert answer(dependencies(CLEAN)) == {}


@pytest.mark.parametrize(
    ("stdout", "stderr", "reason"),
    [
        (dependencies(UNKNOWN), "", "knows none of it: torch"),
        ("", "ERROR: connection refused", "no answer from its advisory source: ERROR: connection refused"),
        ("{}", "", "it said nothing"),
        ("[]", "", "it said nothing"),
    ],
)
def test_no_answer_is_a_skip(
    answer: Callable[..., dict[str, tuple[str, ...]]], stdout: str, stderr: str, reason: str
) -> None:
    with pytest.raises(SkippedEnv) as raised:
        answer(stdout, code=1, stderr=stderr)
    assert reason in raised.value.message


def test_without_pip_audit(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    with pytest.raises(SkippedEnv, match="pip-audit is not installed"):
        audit(LOCK, Site(), {"PATH": str(tmp_path)})
