"""Guides replayed in worlds of their own, against an index made here: nothing reaches a network."""

from __future__ import annotations

import json
import os
import resource
import sys
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest
import uv
import xmlschema

from dlmatrix.document.result import REPLAY, read_result
from dlmatrix.engines.pythons import Pythons
from dlmatrix.errors import BuildError, SkippedEnv
from dlmatrix.guides.contained import Ended, Surroundings, masked, run_contained
from dlmatrix.guides.edits import Edit
from dlmatrix.guides.jail import limit
from dlmatrix.guides.judge import Played, Replay, judged
from dlmatrix.guides.model import Step
from dlmatrix.guides.outcome import Outcome, diff, outcome_lines, summary, words_of
from dlmatrix.guides.play import Player
from dlmatrix.guides.read.guide import read_guide
from dlmatrix.guides.replay import Setting, Verdict, player, seconds_from_now, verdict, with_implied
from dlmatrix.guides.search import Search, Searching, search
from dlmatrix.guides.steps import read_steps
from dlmatrix.guides.world import World
from dlmatrix.matrix.model import Site

Cli = Callable[..., tuple[int, str, str]]
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"


@pytest.fixture(scope="module")
def contained(tmp_path_factory: pytest.TempPathFactory) -> None:
    place = tmp_path_factory.mktemp("try")
    try:
        run_contained(
            ["/bin/true"], cwd=Path("/"), environ={}, around=Surroundings(writable=(place,)), timeout_seconds=30
        )
    except SkippedEnv as reason:
        pytest.skip(str(reason))


def wheel(folder: Path, name: str, version: str, code: str, requires: str = "") -> None:
    """A wheel of one module in a simple index."""
    place = folder / name
    place.mkdir(parents=True, exist_ok=True)
    file = place / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    needs = f"Requires-Dist: {requires}\n" if requires else ""
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(f"{name}.py", code)
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    links = "".join(f'<a href="{one.name}">{one.name}</a>\n' for one in sorted(place.glob("*.whl")))
    (place / "index.html").write_text(links, encoding="utf-8")


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("index")
    wheel(folder, "alpha", "1.0", "def two():\n    return 2\n")
    wheel(folder, "six", "1.17.0", "")
    old = "raise AttributeError(\"module 'tensorflow' has no attribute 'Old'\")"
    wheel(folder, "beta", "1.0", f"class compat:\n    class v1:\n        Old = abs\ndef Old(x):\n    {old}\n")
    for one in (folder, *folder.rglob("*")):  # as root the guide is nobody
        one.chmod(0o755)
    return folder


def setting(root: Path, folder: Path | None, said: list[str]) -> Setting:
    """Against an index that is a folder, or one that nobody answers."""
    site = Site(find_links=(folder,), index=folder.as_uri()) if folder else Site(index="http://127.0.0.1:9/simple")
    pythons = Pythons(site=site, uv=uv.find_uv_bin())
    return Setting(root=root, site=site, pythons=pythons, say=said.append, until=seconds_from_now(300))


def played(
    root: Path, tmp_path: Path, folder: Path | None, text: str, name: str = "guide.md"
) -> tuple[Replay, Search | None, str]:
    """A guide's replay, the search where it breaks, and the change as a diff."""
    (tmp_path / name).write_text(text, encoding="utf-8")
    guide = read_guide(tmp_path / name)
    steps = with_implied(guide, read_steps(guide))
    where = setting(root, folder, [])
    with player(where, guide) as live:
        replay = live.play(steps, PYTHON, "")
        found = search(where, guide, steps, replay, "", live) if replay.first_break else None
    return replay, found, diff(guide, steps, found.found) if found and found.found else ""


def outcomes(replay: Replay) -> list[str]:
    return [one.outcome for one in replay.played]


HEALTHY = """\
# Alpha

```bash
$ python3 -m venv mine
$ source mine/bin/activate
(mine) $ pip install alpha==1.0
$ mkdir -p work && cd work
$ export PLACE=here
$ COUNT=3
```

```bash
echo "$PLACE $COUNT $(basename "$PWD")"
```

It prints

```
here 3 work
```

```python
import alpha
print(alpha.two())
# 2
```

```console
$ python
>>> import alpha
>>> alpha.two()
2
$ sudo shutdown -r now
$ nvidia-smi
```
"""


@pytest.mark.usefixtures("contained")
def test_a_healthy_guide_works_and_its_state_is_carried(root: Path, tmp_path: Path, index: Path) -> None:
    replay, _, _ = played(root, tmp_path, index, HEALTHY)
    assert verdict(replay).kind == "works", [(one.step.text, one.reason, one.said) for one in replay.played]
    assert outcomes(replay)[-2:] == ["skipped", "unjudged"]
    assert replay.installed["pip"]


@pytest.mark.usefixtures("contained")
def test_a_blank_in_a_path_and_a_strict_umask_make_no_guide_broken(checkout: Path, tmp_path: Path, index: Path) -> None:
    checkout.rename(tmp_path / "a check-out")
    before = os.umask(0o077)
    try:
        replay, _, _ = played(tmp_path / "a check-out", tmp_path, index, HEALTHY)
    finally:
        os.umask(before)
    assert verdict(replay).kind == "works", [(one.step.text, one.reason, one.said) for one in replay.played]


@pytest.mark.usefixtures("contained")
def test_an_environment_named_by_a_path_is_inside_the_world_too(root: Path, tmp_path: Path, index: Path) -> None:
    place = tmp_path / "outside"
    text = f"```bash\nconda create -n ../../../../../..{place}\nconda activate {place}\npip install alpha==1.0\n```\n"
    replay, _, _ = played(root, tmp_path, index, text)
    assert not place.exists()
    assert outcomes(replay) == ["passed"] * 3


@pytest.mark.usefixtures("contained")
def test_what_is_printed_is_held_against_the_guide(root: Path, tmp_path: Path, index: Path) -> None:
    program = "```python\nimport alpha\nprint(alpha.two() + 1)\n```\n"
    text = f"```bash\npip install alpha\n```\n{program}The output is\n```\n2\n```\n"
    replay, found, _ = played(root, tmp_path, index, text)
    assert verdict(replay).kind == "broken"
    assert replay.first_break
    assert "says that it prints '2', and it prints '3'" in replay.first_break.reason
    assert found is not None
    assert found.found is None


@pytest.mark.usefixtures("contained")
def test_a_break_has_its_line_and_is_mended_by_what_its_message_says(root: Path, tmp_path: Path, index: Path) -> None:
    text = (
        "# A\n\n```bash\npip install alpha\n```\n\n```python\nimport alpha\nimport six\nprint(alpha.two())\n# 2\n```\n"
    )
    replay, found, change = played(root, tmp_path, index, text)
    assert verdict(replay).words == "broken at line 9: ModuleNotFoundError: No module named 'six'"
    assert found is not None
    assert [one.words for one in found.found or ()] == ["also six"]
    assert "-pip install alpha\n+pip install alpha six\n" in change
    assert [tried.works for tried in found.tried] == [True]


@pytest.mark.usefixtures("contained")
def test_every_program_that_breaks_alike_is_mended_alike(root: Path, tmp_path: Path, index: Path) -> None:
    text = "```bash\npip install beta==1.0\n```\n"
    for number in (1, 2):
        text += f"\n```python\nimport beta as tf\nprint({number}, tf.Old(3))\n```\n"
    replay, found, change = played(root, tmp_path, index, text)
    assert replay.first_break
    assert replay.first_break.line == 7
    assert found is not None
    wanted = [f"print({number}, tf.Old(3)) → print({number}, tf.compat.v1.Old(3))" for number in (1, 2)]
    assert [one.words for one in found.found or ()] == wanted
    assert change.count("+print(") == 2


@pytest.mark.usefixtures("contained")
def test_a_pin_that_the_index_lost_becomes_the_next_version(root: Path, tmp_path: Path, index: Path) -> None:
    _, found, change = played(root, tmp_path, index, "```bash\npip install alpha==0.9\n```\n")
    assert found is not None
    assert "+pip install alpha==1.0\n" in change


@pytest.mark.usefixtures("contained")
@pytest.mark.parametrize("command", ["pip install alpha==9.9", "conda create -n old python=3.8"])
def test_an_index_that_does_not_answer_is_no_break(root: Path, tmp_path: Path, command: str) -> None:
    if "3.8" in command and not setting(root, None, []).pythons.find(root, "3.8"):
        pytest.skip("Python 3.8, whose pip is had from the index, is not on this machine")
    replay, found, _ = played(root, tmp_path, None, f"```bash\n{command}\n```\n")
    assert verdict(replay).words == "could not look: no package index answers"
    assert found is None


@pytest.mark.usefixtures("contained")
def test_a_version_that_an_index_lacks_is_a_break(root: Path, tmp_path: Path, index: Path) -> None:
    replay, _, _ = played(root, tmp_path, index, "```bash\npip install alpha==9.9\n```\n")
    assert "No matching distribution found for alpha==9.9" in verdict(replay).words


@pytest.mark.usefixtures("contained")
@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("```bash\ndocker pull alpha\ndocker run --gpus all alpha\n```\n", "not judged: it needs a Docker engine"),
        ("```bash\npip install -r requirements.txt\n```\n", "not judged: it needs requirements.txt, which"),
        ("```python\nopen('data.csv').read()\n```\n```python\nprint(1)\n```\n", "not judged: it needs data.csv"),
        ("```python\nimport time\ninput('name? ')\n```\n", "not judged: it needs a person"),
        (
            "```python\nclass cuda:\n    is_available = staticmethod(lambda: False)\nprint(cuda.is_available())\n```\n"
            "It prints\n```\nTrue\n```\n",
            "not judged: it needs a GPU",
        ),
        ("# Words only\n\nnothing\n", "not judged: it has no step to carry out"),
    ],
)
def test_what_needs_something_else_is_neither_a_pass_nor_a_break(
    root: Path, tmp_path: Path, index: Path, text: str, words: str
) -> None:
    replay, _, _ = played(root, tmp_path, index, text)
    assert verdict(replay).words.startswith(words)


SPY = """\
import glob, os
for place in ("~", "/root", "/home/*"):
    for name in (".ssh/*", ".config/pip/pip.conf", ".pypirc", ".netrc", "secret-of-a-test"):
        print("seen", glob.glob(os.path.join(os.path.expanduser(place), name)))
for name in ("/etc/pip.conf", "/etc/shadow"):
    try:
        print("read", len(open(name).read()))
    except OSError:
        print("read 0")
print("told", [name for name in os.environ if "PIP" in name or "TOKEN" in name or "UV" in name])
try:
    open("/etc/written", "w")
except OSError as error:
    print("refused", error.errno)
"""


@pytest.mark.usefixtures("contained")
def test_nothing_of_this_machine_is_seen_from_inside(
    root: Path, tmp_path: Path, index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    (home / ".ssh").mkdir(parents=True)
    for name in (".ssh/id", "secret-of-a-test"):
        (home / name).write_text("secret", encoding="utf-8")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("MY_TOKEN", "secret")
    replay, _, _ = played(root, tmp_path, index, f"```python\n{SPY}```\n")
    said = replay.played[-1].said
    assert said.count("seen []") == 15, said
    assert said.count("read 0") == 2
    assert "told []" in said
    assert "refused" in said


def test_a_home_that_is_a_link_is_hidden_and_none_is_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    monkeypatch.setenv("HOME", str(tmp_path / "link"))
    assert str(tmp_path.resolve() / "real") in masked(Surroundings(writable=()))
    monkeypatch.setattr("os.path.expanduser", lambda name: name)  # a user without a home
    assert "/root" in masked(Surroundings(writable=()))


def test_a_limit_that_is_lower_already_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[tuple[int, int]] = []
    monkeypatch.setattr("resource.setrlimit", lambda kind, both: made.append(both))
    for hard, soft in ((500, 500), (5000, 2000), (resource.RLIM_INFINITY, 2000)):
        monkeypatch.setattr("resource.getrlimit", lambda kind, hard=hard: (hard, hard))
        limit(resource.RLIMIT_NPROC, 2000)
        assert made.pop() == (soft, soft)


def test_an_installation_that_was_lost_from_the_page_is_not_made_up(tmp_path: Path) -> None:
    """The guide has one, of which nobody can know what it installs: what follows is not judged."""
    (tmp_path / "guide.md").write_text(
        "```bash\npip install *** torch\n```\n\n```python\nimport numpy\nprint(numpy.pi)\n```\n", encoding="utf-8"
    )
    guide = read_guide(tmp_path / "guide.md")
    reading = read_steps(guide)
    assert [step.kind for step in reading.steps] == ["hole", "program"]
    assert with_implied(guide, reading) == reading.steps


@pytest.mark.parametrize(
    "option", [("--python", "banana"), ("--python", "../x"), ("--pip", "the newest"), ("--budget", "nan")]
)
def test_what_is_no_version_or_time_is_refused_by_its_name(tmp_path: Path, cli: Cli, option: tuple[str, str]) -> None:
    guide = tmp_path / "guide.md"
    guide.write_text("# A\n", encoding="utf-8")
    code, out, err = cli("replay", "--report", str(tmp_path / "r"), str(guide), *option)
    assert (code, out) == (2, "")
    assert f"{option[0]} {option[1]}: " in err
    assert not (tmp_path / "r").exists()


def test_a_report_that_cannot_be_written_is_refused_before_anything_runs(tmp_path: Path, cli: Cli) -> None:
    guide = tmp_path / "guide.md"
    guide.write_text("```bash\necho here\n```\n", encoding="utf-8")
    code, out, err = cli("replay", str(guide), "--report", "/proc/dlmatrix-report")
    assert code == 2
    assert "the report cannot be written there" in err or "no folder that can be written" in err
    assert "here" not in out


@pytest.mark.usefixtures("contained")
def test_the_password_of_an_index_is_for_installations_alone_and_never_shown(root: Path, tmp_path: Path) -> None:
    site = Site(index="http://someone:s3cret@127.0.0.1:9/simple")
    where = Setting(
        root=root, site=site, pythons=Pythons(site=site, uv=uv.find_uv_bin()), say=print, until=seconds_from_now(300)
    )
    text = "```bash\nenv | grep s3cret || echo none\npip install alpha || env\n```\n"
    (tmp_path / "guide.md").write_text(text, encoding="utf-8")
    guide = read_guide(tmp_path / "guide.md")
    with player(where, guide) as live:
        replay = live.play(read_steps(guide).steps, PYTHON, "")
    first, second = [one for one in replay.played if one.step.form == "shell"]
    assert first.said == "none"
    assert "s3cret" not in second.said
    assert "someone" not in second.said
    assert "PIP_INDEX_URL=http://guide:****@127.0.0.1:" in second.said


@pytest.mark.usefixtures("contained")
def test_the_password_of_a_proxy_is_for_installations_alone(root: Path, tmp_path: Path) -> None:
    site = Site(proxies={"https_proxy": "http://someone:s3cret@127.0.0.1:9", "no_proxy": "a@b.example"})
    pythons = Pythons(site=site, uv=uv.find_uv_bin())
    world = World(tmp_path / "world", root=root, site=site, pythons=pythons, say=print)
    show = 'echo "$https_proxy $no_proxy"'
    assert world.shell(show, 30).stdout == "http://127.0.0.1:9 a@b.example\n"
    assert "s3cret@" in world.shell(f"{show}; A=1", 30, index=True).stdout
    assert world.shell(f"{show}; echo $A", 30).stdout == "http://127.0.0.1:9 a@b.example\n1\n"


@pytest.mark.usefixtures("contained")
def test_the_certificates_of_the_site_are_seen_wherever_they_lie(root: Path, tmp_path: Path) -> None:
    bundle = tmp_path / "ca.pem"  # in /tmp, which is hidden as homes are
    bundle.write_text("a certificate", encoding="utf-8")
    site = Site(index="http://127.0.0.1:9/simple", ca_bundle=bundle)
    pythons = Pythons(site=site, uv=uv.find_uv_bin())
    world = World(tmp_path / "world", root=root, site=site, pythons=pythons, say=print)
    assert world.shell('cat "$SSL_CERT_FILE" "$PIP_CERT"', 30, index=True).stdout == "a certificate" * 2


@pytest.mark.usefixtures("contained")
def test_a_world_that_cannot_be_entered_is_no_step_that_fails(tmp_path: Path) -> None:
    with pytest.raises(SkippedEnv, match=r"could not look: .*(Permission denied|/nowhere/sh)"):  # root: 0700
        run_contained(
            ["/nowhere/sh"], cwd=tmp_path, environ={}, around=Surroundings(writable=(tmp_path,)), timeout_seconds=30
        )


@pytest.mark.usefixtures("contained")
def test_limits_end_all_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tmp_path.chmod(0o777)
    around = Surroundings(writable=(tmp_path,))
    environ = {"PATH": os.defpath}
    left = run_contained(
        ["/bin/sh", "-c", "setsid sleep 1234.5 & echo left"],
        cwd=tmp_path,
        environ=environ,
        around=around,
        timeout_seconds=60,
    )
    assert (left.exit_code, left.stdout) == (0, "left\n")
    long = run_contained(["/bin/sleep", "1234.5"], cwd=tmp_path, environ=environ, around=around, timeout_seconds=1)
    assert long.why == "it did not end in 1 s"
    monkeypatch.setattr("dlmatrix.guides.contained.MOST_OUTPUT", 1 << 20)
    loud = run_contained(["/bin/sh", "-c", "yes"], cwd=tmp_path, environ=environ, around=around, timeout_seconds=60)
    assert loud.why == "it printed more than 1 MB"
    assert len(loud.stdout) < 1_100_000
    running = [one.read_bytes() for one in Path("/proc").glob("[0-9]*/cmdline") if one.exists()]
    assert not [one for one in running if b"1234.5" in one]


@pytest.mark.usefixtures("contained")
def test_a_library_that_a_wheel_needs_is_a_break_and_no_missing_file(root: Path, tmp_path: Path, index: Path) -> None:
    said = "libcublas.so.9.0: cannot open shared object file: No such file or directory"
    replay, _, _ = played(root, tmp_path, index, f"```python\nraise ImportError({said!r})\n```\n")
    assert verdict(replay).words == f"broken at line 2: ImportError: {said}"


@pytest.mark.usefixtures("contained")
def test_cells_are_one_process_and_the_one_that_breaks_is_named(root: Path, tmp_path: Path, index: Path) -> None:
    sources = ["import os\nfirst = os.getpid()", "first == os.getpid()", "2 + 2", "nothing_of_that_name", "print(1)"]
    outputs = ["", "True", "4", "", ""]
    cells = [
        {"cell_type": "code", "source": one, "outputs": [{"data": {"text/plain": out}}]}
        for one, out in zip(sources, outputs, strict=True)
    ]
    replay, _, _ = played(root, tmp_path, index, json.dumps({"metadata": {}, "cells": cells}), "book.ipynb")
    assert outcomes(replay) == ["passed", "passed", "passed", "failed", "skipped"]
    assert replay.first_break
    assert replay.first_break.reason == "NameError: name 'nothing_of_that_name' is not defined"
    assert replay.played[0].seconds == 0.0 < replay.played[3].seconds


def test_a_try_that_cannot_be_made_loses_nothing(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(*_: object) -> None:
        raise BuildError("the guide's environment: no such pip")

    monkeypatch.setattr("dlmatrix.guides.search.player", refuses)
    (tmp_path / "guide.md").write_text("```bash\npip install alpha\n```\n", encoding="utf-8")
    guide = read_guide(tmp_path / "guide.md")
    steps = read_steps(guide).steps
    broken = Played(step=steps[0], outcome="failed", reason="so it was")
    first = Replay(played=(broken,), asked=PYTHON, python=PYTHON, pip="")
    world = cast(Player, None)  # not asked: an installation is tried in a new one
    work = Searching(setting=setting(root, None, []), guide=guide, steps=steps, first=first, pip="", live=world)
    edit = Edit(name="a name", words="beta", size=1, source="", texts={0: "pip install beta"})
    assert work.attempt((edit,)) is None
    assert [(one.words, one.works) for one in work.result.tried] == [("the guide's environment: no such pip", False)]
    assert work.result.tried[0].lost
    found = Outcome(
        guide=guide, steps=tuple(steps), replay=first, verdict=verdict(first), search=work.result, env=""
    )  # fmt: skip
    assert "could not be tried: beta" in list(outcome_lines(found))
    assert words_of(found) == "broken at line 2: so it was; nothing that could be tried mends it"


def test_names_are_those_that_indexes_compare(monkeypatch: pytest.MonkeyPatch) -> None:
    said = '[{"name": "ml_dtypes", "version": "0.5.1"}]'
    monkeypatch.setattr(World, "shell", lambda *_: Ended(exit_code=0, stdout=said, stderr="", seconds=0.0))
    assert World.installed(object.__new__(World)) == {"ml-dtypes": "0.5.1"}


def test_what_could_not_be_judged_stands_beside_what_works() -> None:
    done = Played(step=Step(text="pip install alpha", kind="install", line=3), outcome="passed")
    lost = Played(step=Step(text="model***", kind="hole", line=7, form="program"), outcome="unjudged")
    replay = Replay(played=(done,), asked=PYTHON, python=PYTHON, pip="")
    assert verdict(replay) == Verdict(kind="works", words="works")
    found = verdict(replace(replay, played=(done, lost)))
    assert found == Verdict(kind="works", words="works, but for what could not be judged at line 7")


def test_the_summary_holds_no_html_of_a_guide(tmp_path: Path) -> None:
    (tmp_path / "guide.md").write_text("```bash\n\npython a`b|c.py\n```\n", encoding="utf-8")
    step = Step(text="python a`b|c.py", kind="program", line=3)
    one = Played(step=step, outcome="failed", reason="ValueError: <img src=x> @somebody a|b")
    replay = Replay(played=(one,), asked=PYTHON, python=PYTHON, pip="24")
    found = Outcome(
        guide=read_guide(tmp_path / "guide.md"),
        steps=(step,),
        replay=replay,
        verdict=verdict(replay),
        search=None,
        env="",
    )
    text = summary(found)
    assert "<img" not in text
    assert "@somebody" not in text
    edit = Edit(name="a name", words="other", size=1, source="", texts={0: "python other.py"})
    mended = summary(replace(found, search=Search(found=(edit,))))
    assert mended.rstrip().rpartition("\n")[2] == "````"  # the guide has a fence of three
    assert "| 3 | `python a'b\\|c.py` | failed | ValueError: &lt;img src=x&gt; " in text


@pytest.mark.usefixtures("contained")
def test_a_replay_s_report_has_the_files_of_a_run_s(tmp_path: Path, cli: Cli) -> None:
    guide, folder = tmp_path / "guide.md", tmp_path / "r"
    guide.write_text("```bash\necho here\npython -c 'import math; math.alpha'\n```\n", encoding="utf-8")
    code, out, _ = cli("replay", str(guide), "--no-search", "--report", str(folder))
    assert code == 1
    assert "verdict: broken at line 3" in out
    assert {one.name for one in folder.iterdir()} == {
        *("result.json", "report.html", "summary.md", "junit.xml", "Dockerfile")
    }
    assert read_result(folder, (REPLAY,)).data["first_break"]["line"] == 3
    xmlschema.XMLSchema(Path(__file__).parents[1] / "report" / "junit.xsd").validate(folder / "junit.xml")
    (folder / "report.html").unlink()
    assert cli("page", str(folder))[0] == 0
    assert "math.alpha" in (folder / "report.html").read_text(encoding="utf-8")
    code, _, err = cli("compare", str(folder), str(folder))
    assert (code, "is of a guide's replay, not of a run" in err) == (2, True)


@pytest.mark.usefixtures("contained")
def test_a_file_of_the_home_is_there_by_its_short_name(root: Path, tmp_path: Path, index: Path) -> None:
    text = "```bash\necho alpha > ~/needs.txt\npip install -r ~/needs.txt\npip install -r ~/other.txt\n```\n"
    replay, _, _ = played(root, tmp_path, index, text)
    assert outcomes(replay) == ["passed", "passed", "unjudged"]
    assert replay.played[-1].reason == "it needs ~/other.txt, which the guide does not make"


def test_an_old_kernel_is_not_told_to_allow_namespaces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    jail = tmp_path / "jail.py"
    words = "no world of its own can be made: [Errno 38] mount_setattr /: Function not implemented"
    jail.write_text(f"import sys\nsys.stdin.readline()\nsys.stderr.write({words!r})\nsys.exit(125)\n", encoding="utf-8")
    monkeypatch.setattr("dlmatrix.guides.contained.__file__", str(tmp_path / "contained.py"))
    with pytest.raises(SkippedEnv) as raised:
        run_contained(
            ["/bin/true"], cwd=tmp_path, environ={}, around=Surroundings(writable=(tmp_path,)), timeout_seconds=30
        )
    assert raised.value.next_step == "use a machine whose kernel is Linux 5.12 or newer"


TRACE = 'Traceback (most recent call last):\n  File "<string>", line 1, in <module>\n'


@pytest.mark.parametrize(
    ("command", "printed", "stderr", "outcome"),
    [
        ('python -c "import no"; echo done', "done\n", f"{TRACE}ModuleNotFoundError: No module named 'no'\n", "failed"),
        ("python x.py 2>&1 | cat", f"1\n{TRACE}ZeroDivisionError: division by zero\n", "", "failed"),
        ("pip install no | tail", "", "ERROR: No matching distribution found for no\n[notice] upgrade pip\n", "failed"),
        ("python x.py | cat", "", f"{TRACE}urllib.error.URLError: <urlopen error timed out>\n", "unjudged"),
        ("pip install no || true", "", "ERROR: No matching distribution found for no\n", "passed"),
        ("python x.py | head -1", "1\n", f"{TRACE}BrokenPipeError: [Errno 32] Broken pipe\n", "passed"),
        ("python x.py | tee log", f"{TRACE}ValueError: told, and gone on\n2\n", "", "passed"),
        ('python -c "import a; print(1)"', f"{TRACE}ValueError: printed alone\n", "", "passed"),
    ],
)
def test_what_the_end_of_a_command_hides_is_found(command: str, printed: str, stderr: str, outcome: str) -> None:
    kind = "install" if command.startswith("pip") else "program"
    step = Step(line=1, kind=kind, form="shell", text=command)
    ended = Ended(exit_code=0, stdout=printed, stderr=stderr, seconds=1.0)
    found = judged(step, ended, printed, f"{printed}\n{stderr}".strip(), "guide.md", installs=True)
    assert found.outcome == outcome
