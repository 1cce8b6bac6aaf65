"""A local environment that was changed by hand is found, whatever was done to it."""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dlmatrix.engines.venv import VenvEngine
from dlmatrix.errors import BuildError
from dlmatrix.inspection import installed
from dlmatrix.inspection.installed import changed
from dlmatrix.matrix.load import load_matrix, lock_of, select
from dlmatrix.matrix.model import Lock, LockEntry, Site
from dlmatrix.matrix.plan import Limits, Plan, make_plan
from dlmatrix.system.interpreters import find_python

LOCK = Lock(
    file=Path("lock.txt"),
    sha256="0",
    entries=tuple(LockEntry(name=n, version=v, hashes=()) for n, v in (("numpy", "2.4.6"), ("typing-extensions", "4"))),
)


SOURCE = b"x = 1\n"


def install(site: Path, name: str, version: str) -> None:
    module = site / f"{name}.py"
    module.parent.mkdir(parents=True, exist_ok=True)
    module.write_bytes(SOURCE)
    folder = site / f"{name}-{version}.dist-info"
    folder.mkdir()
    digest = base64.urlsafe_b64encode(hashlib.sha256(SOURCE).digest()).decode().rstrip("=")
    lines = [f"{name}.py,sha256={digest},6", f"{folder.name}/RECORD,,"]
    (folder / "RECORD").write_text("\n".join(lines), encoding="utf-8")


@pytest.fixture
def site(tmp_path: Path) -> Path:
    install(tmp_path / "site-packages", "numpy", "2.4.6")
    install(tmp_path / "site-packages", "typing_extensions", "4")
    return tmp_path / "site-packages"


def upgraded(site: Path) -> None:
    shutil.rmtree(site / "numpy-2.4.6.dist-info")
    install(site, "numpy", "2.5.0")


def recorded(text: bytes) -> Callable[[Path], object]:
    return lambda site: (site / "numpy-2.4.6.dist-info" / "RECORD").write_bytes(text)


def endless(site: Path) -> None:
    with (site / "numpy-2.4.6.dist-info" / "RECORD").open("wb") as file:
        file.truncate(200_000_000)


CHANGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "another version": (upgraded, "numpy is 2.5.0, and 2.4.6 locked"),
    "removed": (lambda s: shutil.rmtree(s / "numpy-2.4.6.dist-info"), "numpy is gone, and 2.4.6 locked"),
    "one more": (lambda s: install(s, "scipy", "1"), "scipy is 1, and not locked"),
    "a file deleted": (lambda s: (s / "numpy.py").unlink(), "numpy.py is gone"),
    "a file edited": (lambda s: (s / "numpy.py").write_text("x = 12\n"), "numpy.py has 7 bytes instead of 6"),
    "edited, as long as before": (
        lambda s: (s / "numpy.py").write_text("x = 2\n"),
        "numpy.py has other bytes than it came with",
    ),
    "no RECORD": (lambda s: (s / "numpy-2.4.6.dist-info" / "RECORD").unlink(), "numpy-2.4.6.dist-info has no RECORD"),
    "bytes that are no text": (recorded(b"\xff\xfe"), "numpy-2.4.6.dist-info has a RECORD that is none"),
    "a RECORD of 200 MB": (endless, "numpy-2.4.6.dist-info has a RECORD that is none"),
    "a field without end": (recorded(b"x" * 200_000), "numpy-2.4.6.dist-info has a RECORD that is none"),
    "a size that is none": (recorded(b"numpy.py,,six\n"), "numpy.py has 6 bytes instead of six"),
    "a size of many digits": (
        recorded(b"numpy.py,,%s\n" % (b"6" * 9000)),
        f"numpy.py has 6 bytes instead of {'6' * 240}",
    ),
    "a path that none can be": (recorded(b"%s,,1\n" % (b"a" * 5000)), f"{'a' * 240} is gone"),
    "nothing but line ends": (recorded(b"\n\n\n"), ""),
    "all of it": (shutil.rmtree, "numpy is gone, and 2.4.6 locked"),
}


def test_what_is_as_locked_is_left_alone(site: Path) -> None:
    assert changed(site, LOCK, 0) == ""


@pytest.mark.parametrize("change", CHANGES)
def test_what_was_changed_by_hand_is_named(site: Path, change: str) -> None:
    do, says = CHANGES[change]
    do(site)
    assert changed(site, LOCK, 0) == says


@pytest.fixture
def plan(root: Path, tmp_path: Path) -> Plan:
    for folder in ("docker", "envs", "smoke"):
        shutil.copytree(root / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    matrix = load_matrix(tmp_path)
    (env,) = select(matrix, ["cpu-torch-2.13"])
    if find_python(env.python) is None:
        pytest.skip(f"Python {env.python} is not on this machine")
    return make_plan(matrix, env, lock_of(matrix, env), "0", Limits())


@pytest.fixture
def engine(plan: Plan, monkeypatch: pytest.MonkeyPatch) -> VenvEngine:
    """The engine, with an installer that makes the files of an environment and not their contents."""

    def make(_self: VenvEngine, _plan: object, python: Path, folder: Path, _say: object, *_more: str) -> None:
        (folder / "bin").mkdir(parents=True)
        (folder / "bin" / "python").symlink_to(python)
        site = folder / "lib" / f"python{plan.env.python}" / "site-packages"
        for entry in plan.lock.entries:
            install(site, entry.name.replace("-", "_"), entry.version)

    monkeypatch.setattr(VenvEngine, "_install", make)
    return VenvEngine(Site(), "uv")


def site_of(plan: Plan) -> Path:
    return next((plan.root / ".dlmatrix" / "venvs" / plan.env.name).glob("lib/*/site-packages"))


def test_an_environment_that_was_changed_is_made_again(plan: Plan, engine: VenvEngine) -> None:
    said: list[str] = []
    assert [engine.prepare(plan, said.append).built for _ in range(2)] == [True, False]
    (site_of(plan) / "numpy.py").unlink()
    assert [engine.prepare(plan, said.append).built for _ in range(2)] == [True, False]
    assert said == ["made again: numpy.py is gone"]


def test_what_was_edited_and_is_as_long_as_before_is_made_again(plan: Plan, engine: VenvEngine) -> None:
    said: list[str] = []
    engine.prepare(plan, said.append)
    engine.prepare(plan, said.append)
    (site_of(plan) / "numpy.py").write_text("x = 2\n")
    assert [engine.prepare(plan, said.append).built for _ in range(2)] == [True, False]
    assert said == ["made again: numpy.py has other bytes than it came with"]
    assert (site_of(plan) / "numpy.py").read_bytes() == SOURCE


def test_what_was_only_touched_is_looked_at_once(
    plan: Plan, engine: VenvEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another environment with the same file of uv's cache, by a hard link, changes the time of its inode."""
    engine.prepare(plan, print)
    read: list[Path] = []
    really = installed.sha256
    monkeypatch.setattr(installed, "sha256", lambda file: read.append(file) or really(file))
    file, moment = site_of(plan) / "numpy.py", tmp_path / "moment"
    os.utime(file)
    assert not engine.prepare(plan, print).built
    assert file in read
    moment.touch()
    while moment.stat().st_mtime_ns <= file.stat().st_ctime_ns:  # the file system's clock goes in ticks
        moment.touch()
    engine.prepare(plan, print)
    read.clear()
    assert not engine.prepare(plan, print).built
    assert read == []


def test_where_uv_s_cache_was_edited_with_it_it_is_installed_without(
    plan: Plan, engine: VenvEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An environment's files are the cache's own, by hard links."""
    make, asked = VenvEngine._install, []

    def poisoned(self: VenvEngine, plan: Plan, python: Path, folder: Path, say: Any, *more: str) -> None:
        make(self, plan, python, folder, say)
        asked.append(more)
        if not more:
            (site / "numpy.py").write_text("x = 3\n")

    site = plan.root / ".dlmatrix" / "venvs" / plan.env.name / "lib" / f"python{plan.env.python}" / "site-packages"
    monkeypatch.setattr(VenvEngine, "_install", poisoned)
    said: list[str] = []
    assert engine.prepare(plan, said.append).built
    assert asked == [(), ("--no-cache",)]
    assert (site / "numpy.py").read_bytes() == SOURCE
    assert said == ["installed again, without uv's cache: numpy.py has other bytes than it came with"]


@pytest.mark.parametrize("end", [BuildError("no such wheel", ""), KeyboardInterrupt()])
def test_what_works_stays_until_its_successor_is_whole(
    plan: Plan, engine: VenvEngine, monkeypatch: pytest.MonkeyPatch, end: BaseException
) -> None:
    engine.prepare(plan, lambda line: None)

    def fail(_self: VenvEngine, _plan: object, _python: Path, folder: Path, _say: object, *_more: str) -> None:
        (folder / "bin").mkdir(parents=True)
        raise end

    other = replace(plan, lock=replace(plan.lock, sha256="another"))
    with monkeypatch.context() as patched:
        patched.setattr(VenvEngine, "_install", fail)
        with pytest.raises(type(end)):
            engine.prepare(other, lambda line: None)
    assert (site_of(plan) / "numpy.py").exists()
    assert [path.name for path in (plan.root / ".dlmatrix" / "venvs").iterdir()] == [plan.env.name]
    assert not engine.prepare(plan, lambda line: None).built


def test_what_a_killed_run_put_aside_comes_back(plan: Plan, engine: VenvEngine) -> None:
    engine.prepare(plan, lambda line: None)
    folder = plan.root / ".dlmatrix" / "venvs" / plan.env.name
    folder.rename(folder.with_name(f".{folder.name}.old"))
    (folder / "bin").mkdir(parents=True)
    assert not engine.prepare(plan, lambda line: None).built
    assert (site_of(plan) / "numpy.py").exists()


def test_what_a_killed_run_had_half_removed_does_not_come_back(
    plan: Plan, engine: VenvEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine.prepare(plan, print)
    folder = plan.root / ".dlmatrix" / "venvs" / plan.env.name
    (folder / "bin" / "python").unlink()
    really = shutil.rmtree

    def killed(path: Path, **options: bool) -> None:
        if path.name.startswith("."):
            if path.exists():
                raise KeyboardInterrupt
            return
        really(path, **options)

    monkeypatch.setattr(shutil, "rmtree", killed)
    with pytest.raises(KeyboardInterrupt):
        engine.prepare(plan, print)
    monkeypatch.undo()
    assert (folder / "bin" / "python").exists()
    engine.prepare(plan, print)
    assert [one.name for one in folder.parent.iterdir()] == [plan.env.name]
