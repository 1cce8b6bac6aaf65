"""The guides' install commands: the judgement on made answers, and the real ones where an index answers."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from dlmatrix.errors import ConfigError
from dlmatrix.guides.contained import Ended
from dlmatrix.guides.judge import Played, Replay
from dlmatrix.guides.model import Step
from dlmatrix.guides.play import Player
from dlmatrix.guides.replay import Setting, player, seconds_from_now
from dlmatrix.guides.resolve import Finding, Install, check_installs, judge, kind, load_installs
from dlmatrix.guides.world import World
from dlmatrix.matrix.model import Site
from dlmatrix.matrix.site import read_site
from tests.unit.guides.worlds import PYTHON, setting, wheel

Cli = Callable[..., tuple[int, str, str]]
INSTALLS = {install.command: install for install in load_installs()}
TORCH = INSTALLS["pip install torch torchvision"]
BEHIND = next(install for install in INSTALLS.values() if install.brings == "2.14.0")
REFUSED = Install(command="x", asks="x", brings="refused", why="y")


def answer(**distributions: str) -> dict[str, str]:
    return {name.replace("_", "-"): version for name, version in distributions.items()}


def ended(outcome: str = "passed", reason: str = "") -> Played:
    return Played(step=Step(text="pip install x", kind="install", line=1), outcome=outcome, reason=reason)


@pytest.mark.parametrize(
    ("distributions", "expected"),
    [
        (answer(), "refused"),
        (answer(torch="2.13.0+cpu"), "cpu"),
        (answer(torch="2.13.0+cu130"), "cuda"),
        (answer(torch="2.15.0", nvidia_cublas="13.4"), "cuda"),
        (answer(tensorflow="2.21.0"), "cpu"),
        (answer(tensorflow="2.21.0", nvidia_ml_py="13.580.82"), "cpu"),
    ],
)
def test_kind(distributions: dict[str, str], expected: str) -> None:
    assert kind(distributions) == expected


def test_what_is_known_passes_with_its_explanation() -> None:
    found = judge(TORCH, ended(), answer(torch="2.15.0", nvidia_cublas="13.4"))
    assert found.outcome == "passed"
    assert "CPU command" in found.reason
    assert found.found == "cuda: torch 2.15.0"


def test_what_has_changed_fails() -> None:
    found = judge(TORCH, ended(), answer(torch="3.0.0"))
    assert found.outcome == "failed"
    assert found.reason.startswith("no longer true")


@pytest.mark.parametrize(
    ("version", "outcome", "said"), [("2.14.0", "passed", "2.14.0"), ("2.13.0+cpu", "failed", "2.13.0+cpu")]
)
def test_where_a_version_is_known_it_is_what_counts(version: str, outcome: str, said: str) -> None:
    found = judge(BEHIND, ended(), answer(torch=version))
    assert (found.outcome, found.found) == (outcome, said)


def test_what_could_not_be_asked_is_skipped_not_passed() -> None:
    found = judge(REFUSED, ended("unjudged", "no package index answers"), {})
    assert (found.outcome, found.reason) == ("skipped", "no package index answers")


def test_a_command_that_is_not_understood_is_named(tmp_path: Path) -> None:
    (tmp_path / "known.toml").write_text('[[install]]\ncommand = "x"\nbring = "cpu"\n', encoding="utf-8")
    with pytest.raises(ConfigError, match=r"known.toml: install\[0\]\.brings: is missing"):
        list(load_installs(tmp_path / "known.toml"))


def resolved(where: Setting, command: str) -> tuple[Played, dict[str, str]]:
    """What an installation would bring, in a world of its own."""
    with player(where, "guide.md") as live:
        live.play([Step(text="true", kind="check", line=1)], PYTHON, "")
        return live.resolve(Step(text=command, kind="install", line=1))


@pytest.mark.usefixtures("contained")
def test_an_installation_is_resolved_and_not_made(root: Path, index: Path) -> None:
    with player(setting(root, index, []), "guide.md") as live:
        before = live.play([Step(text="true", kind="check", line=1)], PYTHON, "").installed
        one, found = live.resolve(Step(text="pip install alpha", kind="install", line=1))
        assert (one.outcome, found) == ("passed", {"alpha": "1.0"})
        assert live.play([], PYTHON, "").installed == before


@pytest.mark.usefixtures("contained")
def test_an_index_that_refuses_is_no_refused_command(root: Path) -> None:
    one, found = resolved(setting(root, None, []), "pip install torch")
    assert (one.outcome, one.reason, found) == ("unjudged", "no package index answers", {})


@pytest.mark.usefixtures("contained")
@pytest.mark.parametrize("answers", [True, False])
def test_a_project_without_a_file_is_refused_where_the_index_answers_for_another(
    root: Path, tmp_path: Path, answers: bool
) -> None:
    wheel(tmp_path / "index", "six" if answers else "seven", "1.17.0", "")
    for place in (tmp_path, *(tmp_path / "index").rglob("*")):
        place.chmod(0o755)
    one, found = resolved(setting(root, tmp_path / "index", []), "pip install tensorflow-directml")
    assert one.outcome == ("failed" if answers else "unjudged")
    assert kind(found) == "refused"
    assert ("No matching distribution found for tensorflow-directml" in one.reason) == answers


@pytest.mark.parametrize(
    ("said", "outcome", "reason"),
    [
        (
            "ERROR: Failed to build 'x'\n  packaging.requirements.InvalidRequirement: Expected semicolon\n",
            "failed",
            "packaging.requirements.InvalidRequirement: Expected semicolon",
        ),
        ("no such option: --dry-run\n", "unjudged", "this pip has no dry run: it came with 22.2"),
    ],
)
def test_a_refusal_names_the_reason(monkeypatch: pytest.MonkeyPatch, said: str, outcome: str, reason: str) -> None:
    monkeypatch.setattr(World, "shell", lambda *_, **__: Ended(exit_code=1, stdout="", stderr=said, seconds=1.0))
    monkeypatch.setattr(World, "told", lambda _, text: text)
    live = Player(object.__new__(World), Site(), lambda one: None, name="g", until=seconds_from_now(9))
    one, found = live.resolve(Step(text="pip install tensorflow-gpu", kind="install", line=1))
    assert (one.outcome, one.reason, found) == (outcome, reason, {})
    assert judge(REFUSED, one, found).outcome == {"failed": "passed", "unjudged": "skipped"}[outcome]


def test_the_user_s_indexes_are_left_out_and_certificates_stay(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Site] = []

    @contextlib.contextmanager
    def fake(where: Setting, name: str) -> Iterator[Live]:
        asked.append(where.site)
        yield Live()

    monkeypatch.setattr("dlmatrix.guides.resolve.player", fake)
    site = Site(
        index="https://index.invalid/simple",
        extra_indexes=("https://index.invalid/more",),
        find_links=(tmp_path,),
        ca_bundle=tmp_path / "ca.pem",
        proxies={"no_proxy": "x"},
    )
    found = list(check_installs(replace(setting(root, None, []), site=site), PYTHON, ""))
    assert asked == [Site(ca_bundle=site.ca_bundle, proxies=site.proxies)]
    assert {one.outcome for one in found} == {"skipped"}


class Live:
    """A player whose old Python has no pip, since no index answers."""

    def play(self, *_: object) -> Replay:
        return Replay(played=(), asked=PYTHON, python=PYTHON, pip="", blind="no package index answers")


@pytest.mark.parametrize("as_json", [True, False])
def test_each_command_is_told_as_it_ends_or_all_for_programs(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, as_json: bool
) -> None:
    def check(where: Setting, python: str, pip: str) -> Iterator[Finding]:
        yield Finding(command=f"{python} {pip}", outcome="skipped", reason="so it is", expected="cpu", found="")

    monkeypatch.setattr("dlmatrix.guides.resolve.check_installs", check)
    code, out, _ = cli("guides", "--pip", "24.0", *(["--json"] if as_json else []))
    assert code == 77
    if as_json:
        assert json.loads(out)["commands"][0]["command"] == "3.11 24.0"
    else:
        assert out.startswith("skipped  3.11 24.0\n")


@pytest.mark.network
@pytest.mark.usefixtures("contained")
def test_the_real_commands(root: Path) -> None:
    """What guides promise, against today's index; that an extra index is no preference needs none."""
    where = replace(setting(root, None, []), site=read_site(os.environ))
    found = {one.command: one for one in check_installs(where, PYTHON, "")}
    local = [one for one in found.values() if "extra-index-url" in one.command]
    assert [(one.outcome, one.found) for one in local] == [("passed", "2.14.0"), ("passed", "2.14.0+cpu")]
    if skipped := [one.reason for one in found.values() if one.outcome == "skipped"]:
        pytest.skip(skipped[0])
    assert [f"{f.command}: {f.reason} ({f.found})" for f in found.values() if f.outcome != "passed"] == []
    assert "InvalidRequirement" in found["pip install tensorflow-gpu"].found
