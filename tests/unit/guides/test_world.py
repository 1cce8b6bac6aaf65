"""The world of a guide: what is seen of this machine from inside, what is told to whom, and what ends a step."""

from __future__ import annotations

import os
import resource
from pathlib import Path

import pytest
import uv

from dlmatrix.engines.pythons import Pythons
from dlmatrix.errors import SkippedEnv
from dlmatrix.guides.contained import Ended, Surroundings, masked, run_contained
from dlmatrix.guides.jail import limit
from dlmatrix.guides.read.guide import read_guide
from dlmatrix.guides.replay import Setting, player, seconds_from_now, verdict
from dlmatrix.guides.steps import read_steps
from dlmatrix.guides.world import World
from dlmatrix.matrix.model import Site
from tests.unit.guides.worlds import HEALTHY, PYTHON, outcomes, played


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


@pytest.mark.usefixtures("contained")
def test_the_password_of_an_index_is_for_installations_alone_and_never_shown(root: Path, tmp_path: Path) -> None:
    site = Site(index="http://someone:s3cret@127.0.0.1:9/simple")
    where = Setting(
        root=root, site=site, pythons=Pythons(site=site, uv=uv.find_uv_bin()), say=print, until=seconds_from_now(300)
    )
    text = "```bash\nenv | grep s3cret || echo none\npip install alpha || env\n```\n"
    (tmp_path / "guide.md").write_text(text, encoding="utf-8")
    guide = read_guide(tmp_path / "guide.md")
    with player(where, guide.file.name) as live:
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


def test_names_are_those_that_indexes_compare(monkeypatch: pytest.MonkeyPatch) -> None:
    said = '[{"name": "ml_dtypes", "version": "0.5.1"}]'
    monkeypatch.setattr(World, "shell", lambda *_: Ended(exit_code=0, stdout=said, stderr="", seconds=0.0))
    assert World.installed(object.__new__(World)) == {"ml-dtypes": "0.5.1"}


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
