"""An env put together of layers is the one that uv installs, and the one that a container has."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from dlmatrix.engines.docker.address import builder
from dlmatrix.engines.docker.engine import DockerEngine
from dlmatrix.engines.docker.staging import stage_sources
from dlmatrix.inspection.filesystem import Stacked
from dlmatrix.inspection.layer import Entry
from dlmatrix.matrix.local import Local
from dlmatrix.matrix.plan import Plan
from dlmatrix.matrix.site import read_site
from tests.image.support import ROOT, plan_of

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
