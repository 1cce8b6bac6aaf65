"""An env put together of layers is the one that uv installs, and no state of the cache makes another."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dlmatrix.engines.docker.address import builder
from dlmatrix.engines.docker.engine import DockerEngine
from dlmatrix.engines.docker.staging import stage_sources
from dlmatrix.engines.docker.wheels import Workshop
from dlmatrix.inspection.filesystem import Stacked
from dlmatrix.inspection.layer import Entry
from dlmatrix.layers.cache import Cache, Kept
from dlmatrix.matrix.local import Local
from dlmatrix.matrix.plan import Plan
from dlmatrix.matrix.site import read_site
from dlmatrix.system.process import in_threads
from tests.image.support import ROOT, command, containers, environment, plan_of
from tests.image.tiny import NAME, add_tiny, site

PLAIN = ROOT / "tests" / "image" / "plain"


def plain_files(engine: DockerEngine, plan: Plan, folder: Path) -> list[str]:
    """The files that uv leaves of a lock in the base itself."""
    here = read_site(os.environ)
    local = Local(here, plan.lock, plan.env.python)
    contexts, secrets = stage_sources(plan, here, local, plan.lock.entries, folder)
    (folder / "locks" / "lock.txt").write_bytes(plan.lock.file.read_bytes())
    scripts = folder / "scripts"
    scripts.mkdir()
    for file in (PLAIN / "install", PLAIN / "list", ROOT / "docker" / "compile-bytecode"):
        (scripts / file.name).write_bytes(file.read_bytes())
    words = ["docker", "buildx", "build", "--builder", builder(), "--provenance=false", "--quiet"]
    for name, value in plan.build_args(engine.choose_base(plan.base)).items():
        words += ["--build-arg", f"{name}={value}"]
    for name, value in {**contexts, "scripts": str(scripts)}.items():
        words += ["--build-context", f"{name}={value}"]
    for name, value in secrets.items():
        words += ["--secret", f"id={name},src={value}"]
    subprocess.run([*words, "--output", f"type=local,dest={folder / 'out'}", str(PLAIN)], check=True)
    return (folder / "out" / "files").read_text().splitlines()


@pytest.mark.parametrize("name", ["cpu-torch-2.13", "cpu-tf2-2.21", "cpu-tf1-1.15"])
def test_the_files_are_those_that_uv_installs(engine: DockerEngine, tmp_path: Path, name: str) -> None:
    """Kind, mode, owner, date and content of each, in the image and as installed in one place."""
    plan = plan_of(ROOT, name)
    prepared = engine.prepare(plan, lambda line: None)
    wanted = plain_files(engine, plan, tmp_path)
    script = (PLAIN / "list").read_text()
    found = engine.images.look(prepared.what, "sh", "-euc", script).decode().splitlines()
    different = [line for line in sorted(set(wanted) ^ set(found)) if " /etc/ld.so.conf.d " not in line]
    assert different == []
    assert len(found) > 10_000


#: What a container has that is no file of its image.
OUTSIDE = re.compile(r"/(dev|proc|sys)(/.*)?|/\.dockerenv|/etc/(hosts|hostname|resolv\.conf|mtab)|/")


@pytest.mark.parametrize("name", ["cpu-torch-2.13", "cpu-tf2-2.21"])
def test_what_the_layers_make_is_what_a_container_has(engine: DockerEngine, name: str) -> None:
    """Kind, mode, owner and size of each path, and where each link leads."""
    plan = plan_of(ROOT, name)
    prepared = engine.prepare(plan, lambda line: None)
    printed = engine.images.look(prepared.what, "find", "/", "-xdev", "-printf", r"%y %m %U:%G %s %p\t%l\0").decode()
    wanted = {}
    for line in printed.split("\0")[:-1]:
        kind, mode, owner, size, there = line.split(" ", 4)
        path, _, target = there.partition("\t")
        wanted[path] = Entry(kind, int(mode, 8), owner, int(size) if kind == "f" else 0, target)
    filesystem = engine.place(plan).filesystem
    assert isinstance(filesystem, Stacked)
    found = filesystem.entries()
    for path, entry in found.items():
        if entry.kind == "h":
            found[path] = found[entry.target]
    different = {path for path in {*wanted, *found} if wanted.get(path) != found.get(path)}
    assert [path for path in sorted(different) if not OUTSIDE.fullmatch(path)] == []
    assert len(found) > 10_000


@pytest.fixture
def tiny(client: Any, checkout: Path, tmp_path: Path) -> DockerEngine:
    add_tiny(checkout, tmp_path / "wheels")
    return DockerEngine(client, site(tmp_path / "wheels"), "auto")


@pytest.fixture
def build(tiny: DockerEngine, checkout: Path, tmp_path: Path) -> Callable[[], str]:
    """Build the tiny env with a cache of the test's own: the image's digest."""

    def run(tag: str = "dlmatrix-test:layers") -> str:
        plan = plan_of(checkout, NAME)
        workshop = Workshop(cache=Cache(tmp_path / "cache"))
        try:
            tiny.build(plan, tiny.choose_base(plan.base), lambda line: None, tag=tag, workshop=workshop)
            return tiny.images.identity(tag).manifest
        finally:
            tiny.images.remove(tag)

    return run


def files(cache: Cache, kept: Kept) -> list[Path]:
    """Every file of the cache that a build may take."""
    return [file for file in cache.folder.rglob("*") if file.is_file() and file.name != "lock"]


def damage(file: Path, how: str) -> None:
    """Leave another file in the place of this one, or none."""
    data = file.read_bytes()
    file.unlink()  # it may be linked from elsewhere
    if how != "gone":
        flipped = data[:-1] + bytes([data[-1] ^ 1]) if data else b"x"
        file.write_bytes({"cut": data[: len(data) // 2], "flipped": flipped, "empty": b""}[how])


def test_whatever_is_damaged_in_the_cache_the_image_is_the_same(build: Callable[[], str], tmp_path: Path) -> None:
    cache, first = Cache(tmp_path / "cache"), build()
    for how in ("cut", "flipped", "empty", "gone"):
        (kept,) = cache.all()
        for file in files(cache, kept):
            damage(file, how)
        assert (how, build()) == (how, first)
        assert cache.find(kept.key) is not None


def test_two_builds_at_once_share_a_cache(build: Callable[..., str], tmp_path: Path) -> None:
    found: list[str] = []

    def job(number: int) -> None:
        found.append(build(f"dlmatrix-test:layers-{number}"))

    in_threads([lambda: job(1), lambda: job(2)], 2)
    assert len(set(found)) == 1
    assert len(Cache(tmp_path / "cache").all()) == 1


#: The command line, in which half a layer is all that comes to be.
HALF = """\
import errno, os, signal, sys
from dlmatrix.__main__ import main
from dlmatrix.engines.docker import assemble

def half(files, bytecode, target, epoch):
    target.write_bytes(b"half")
    if sys.argv[1] == "ENOSPC":
        raise OSError(errno.ENOSPC, "No space left on device", str(target))
    os.kill(os.getpid(), getattr(signal, sys.argv[1]))

assemble.write_layer = half
sys.exit(main(sys.argv[2:]))
"""


@pytest.mark.parametrize(("how", "code"), [("SIGKILL", -9), ("SIGINT", 130), ("ENOSPC", 9)])
def test_a_run_that_ends_while_it_makes_a_layer_leaves_nothing_wrong(
    checkout: Path, tmp_path: Path, client: Any, how: str, code: int
) -> None:
    add_tiny(checkout, tmp_path / "wheels")
    environ = environment(UV_FIND_LINKS=str(tmp_path / "wheels"), DLMATRIX_CACHE_DIR=str(tmp_path / "cache"))
    cache = Cache(tmp_path / "cache" / "layers")
    arguments = command("run", NAME, "--engine", "docker")
    ended = subprocess.run(
        [sys.executable, "-c", HALF, how, *arguments[3:], "--report", str(checkout / "ended")],
        cwd=checkout,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == code, ended.stdout + ended.stderr
    assert "Traceback" not in ended.stderr
    assert cache.all() == []
    if how != "SIGKILL":
        assert not list(cache.folder.glob("tmp-*"))
    again = [*arguments, "--report", str(checkout / "again")]
    subprocess.run(again, cwd=checkout, env=environ, capture_output=True, check=False)
    client.images.remove(plan_of(checkout, NAME).env.tag)
    assert len(cache.all()) == 1
    assert not list(cache.folder.glob("tmp-*"))
    assert containers(client, checkout) == []
