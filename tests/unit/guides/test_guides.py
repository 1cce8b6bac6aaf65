"""The guides' install commands: the judgement on made answers, and the real ones where an index answers."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from dlmatrix.guides.resolve import (
    INSTALLS,
    Install,
    Resolution,
    check_extra_index,
    check_installs,
    judge,
    kind,
    resolve,
)

TORCH = INSTALLS[-1]
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"


def answer(said: str = "", offline: bool = False, **distributions: str) -> Resolution:
    found = {name.replace("_", "-"): version for name, version in distributions.items()}
    return Resolution(distributions=found, said=said, offline=offline)


@pytest.mark.parametrize(
    ("resolution", "expected"),
    [
        (answer(), "refused"),
        (answer(torch="2.13.0+cpu"), "cpu"),
        (answer(torch="2.13.0+cu130"), "cuda"),
        (answer(torch="2.15.0", nvidia_cublas="13.4"), "cuda"),
        (answer(tensorflow="2.21.0"), "cpu"),
        (answer(tensorflow="2.21.0", nvidia_ml_py="13.580.82"), "cpu"),
    ],
)
def test_kind(resolution: Resolution, expected: str) -> None:
    assert kind(resolution) == expected


def test_what_is_known_passes_with_its_explanation() -> None:
    found = judge(TORCH, answer(torch="2.15.0", nvidia_cublas="13.4"))
    assert found.outcome == "passed"
    assert "CPU command" in found.reason
    assert found.found == "cuda: torch 2.15.0"


def test_what_has_changed_fails() -> None:
    found = judge(TORCH, answer(torch="3.0.0"))
    assert found.outcome == "failed"
    assert found.reason.startswith("no longer true")


def test_offline_is_skipped_not_passed() -> None:
    found = judge(TORCH, answer(said="dns", offline=True))
    assert (found.outcome, found.reason) == ("skipped", "no package index answers")


def test_an_index_that_refuses_is_offline(tmp_path: Path) -> None:
    # A pip of our own, so that no index is needed to have one.
    script = tmp_path / "pip.py"
    script.write_text("import sys; sys.stderr.write('NewConnectionError: Connection refused\\n'); sys.exit(1)")
    found = resolve([sys.executable, str(script)], ["torch"], tmp_path)
    assert found.offline
    assert judge(TORCH, found).outcome == "skipped"


@pytest.mark.parametrize("answers", [True, False])
def test_a_project_without_a_file_is_refused_where_the_index_answers_for_another(tmp_path: Path, answers: bool) -> None:
    script = tmp_path / "pip.py"
    script.write_text(
        "import json, sys\n"
        f"if 'six' in sys.argv and {answers}:\n"
        "    entry = {'metadata': {'name': 'six', 'version': '1.17.0'}}\n"
        "    json.dump({'install': [entry]}, open(sys.argv[sys.argv.index('--report') + 1], 'w'))\n"
        "else:\n"
        "    sys.exit('ERROR: Could not find a version that satisfies the requirement x (from versions: none)')\n"
    )
    found = resolve([sys.executable, str(script)], ["tensorflow-directml", "--index-url", "x"], tmp_path)
    assert found.offline is not answers
    assert kind(found) == "refused"


def test_pips_refusal_names_the_reason(tmp_path: Path) -> None:
    script = tmp_path / "pip.py"
    lines = ["ERROR: Failed to build 'x'", "  packaging.requirements.InvalidRequirement: Expected semicolon"]
    script.write_text(f"import sys; print({chr(10).join(lines)!r}, file=sys.stderr); sys.exit(1)")
    found = resolve([sys.executable, str(script)], ["tensorflow-gpu"], tmp_path)
    assert not found.offline
    assert found.said == "packaging.requirements.InvalidRequirement: Expected semicolon"
    refused = Install(text="x", arguments=(), brings="refused", explanation="y")
    assert judge(refused, found).outcome == "passed"


def test_the_users_pip_configuration_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_FIND_LINKS", "/somewhere")
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "https://index.invalid/simple")
    monkeypatch.setenv("PIP_CERT", "/certificates.pem")
    script = tmp_path / "pip.py"
    script.write_text(
        "import json, os, sys\n"
        "report = sys.argv[sys.argv.index('--report') + 1]\n"
        "names = [n for n in os.environ if n.startswith('PIP_')]\n"
        "entries = [{'metadata': {'name': n, 'version': os.environ[n]}} for n in names]\n"
        "json.dump({'install': entries}, open(report, 'w'))\n"
    )
    found = resolve([sys.executable, str(script)], ["torch"], tmp_path)
    assert found.distributions["pip-cert"] == "/certificates.pem"
    assert found.distributions["pip-config-file"] == os.devnull
    assert not {"pip-find-links", "pip-extra-index-url"} & set(found.distributions)


@pytest.mark.network
def test_the_real_commands() -> None:
    """What guides promise, against today's index."""
    found = {finding.command: finding for finding in check_installs(PYTHON)}
    skipped = [finding.reason for finding in found.values() if finding.outcome == "skipped"]
    if skipped:
        pytest.skip(skipped[0])
    assert [f"{f.command}: {f.reason} ({f.found})" for f in found.values() if f.outcome != "passed"] == []
    assert "InvalidRequirement" in found["pip install tensorflow-gpu"].found


@pytest.mark.network
def test_an_extra_index_is_no_preference() -> None:
    found = check_extra_index(PYTHON)
    if any(finding.outcome == "skipped" for finding in found):
        pytest.skip(found[0].reason)
    assert [finding.found for finding in found] == ["2.14.0", "2.14.0+cpu"]
    assert [finding.outcome for finding in found] == ["passed", "passed"]
