"""Whatever the state of the cache of layers, and however a run ends: the same image, or none."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dlmatrix.engines.docker.engine import DockerEngine
from dlmatrix.engines.docker.wheels import Workshop
from dlmatrix.layers.cache import Cache, Kept
from dlmatrix.system.process import in_threads
from tests.image.support import command, containers, environment, plan_of
from tests.image.tiny import NAME, add_tiny, site


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
