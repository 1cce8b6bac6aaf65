"""Faults in the real frameworks, planted inside the real images, and containers that are open on purpose."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import uv

from dlmatrix.engines.docker.container import container_options
from dlmatrix.engines.docker.engine import DockerEngine
from dlmatrix.matrix.plan import Plan
from dlmatrix.matrix.site import read_site, uv_environment
from tests.image.support import ROOT, plan_of

CELLS = ("cpu-torch-2.13", "cpu-tf2-2.21", "cpu-tf1-1.15", "cpu-tf1-compat-2.15")
MUTATIONS = (Path(__file__).parent / "mutations.py").read_text(encoding="utf-8")
#: Runs one check that needs no framework, and prints its entry.
ONE = """
import json, sys
from smoke import catalog, child
from smoke.context import Context
check = next(check for check in catalog.every() if check.id == sys.argv[1])
print(json.dumps(child.plain(child.one(check, Context("torch", {"hermetic": True}, 1, "/tmp", None)))))
"""

Python = Callable[..., tuple[int, str, str]]


@pytest.fixture
def python(client: Any) -> Iterator[Python]:
    """Run a program under the options of a run: exit code, stdout, stderr."""
    made = []

    def start(plan: Plan, program: str, *arguments: str, **changes: Any) -> tuple[int, str, str]:
        options = container_options(plan) | {"log_config": {"Type": "json-file"}} | changes
        options |= {"entrypoint": ["python", "-c", program], "command": list(arguments)}
        made.append(container := client.containers.create(**options))
        container.start()
        code = container.wait()["StatusCode"]
        streams = [container.logs(stdout=out, stderr=not out).decode() for out in (True, False)]
        return code, streams[0], streams[1]

    yield start
    for container in made:
        container.remove(force=True, v=True)


@pytest.mark.parametrize("cell", CELLS)
def test_every_planted_fault_is_caught_by_its_check(cell: str, engine: DockerEngine, python: Python) -> None:
    plan = plan_of(ROOT, cell)
    engine.prepare(plan, lambda line: None)
    code, out, err = python(plan, MUTATIONS, plan.env.framework)
    assert out, err[-4000:]
    rows = json.loads(out)["faults"]
    missed = [f"{r['fault']}: {r['check']} {r['mutated']} (clean: {r['clean']})" for r in rows if not r["caught"]]
    assert missed == []
    assert code == 0
    assert len(rows) >= 30
    assert len({row["fault"] for row in rows}) == len(rows)


@pytest.mark.parametrize(
    ("check", "changes", "words"),
    [
        ("hermetic", {}, ""),
        ("hermetic", {"network_mode": "bridge"}, "a network interface"),
        ("hermetic", {"read_only": False}, "a writable root"),
        ("hermetic", {"user": "0:0"}, "the user root"),
        ("hermetic", {"user": "0:0", "cap_drop": []}, "capabilities"),
        ("hermetic", {"security_opt": []}, "new privileges"),
        ("shared-memory", {}, ""),
        ("shared-memory", {"shm_size": 2**20}, "has 1 MiB"),
        ("cpu-guard", {}, ""),
    ],
)
def test_an_open_container_and_a_tiny_shared_memory_are_seen(
    check: str, changes: dict[str, Any], words: str, engine: DockerEngine, python: Python
) -> None:
    plan = plan_of(ROOT, "cpu-torch-2.13")
    engine.prepare(plan, lambda line: None)
    code, out, err = python(plan, ONE, check, **changes)
    assert code == 0, err
    entry = json.loads(out)
    assert entry["outcome"] == ("failed" if words else "passed"), entry
    assert words in entry["reason"]


def test_numpy_2_under_a_torch_compiled_for_numpy_1(client: Any, python: Python, tmp_path: Path) -> None:
    """The real pair, of which only the CUDA build of torch 2.2.2 is on the default index."""
    plan = plan_of(ROOT, "gpu-torch-2.2")
    if not client.images.list(plan.env.tag):
        pytest.skip(f"{plan.env.tag} is not on this engine; build it: python -m dlmatrix run {plan.env.name}")
    code, out, err = python(plan, ONE, "numpy-abi")
    assert json.loads(out)["outcome"] == "passed", err
    install = [uv.find_uv_bin(), "pip", "install", "--target", str(tmp_path / "numpy2"), "--no-build", "numpy==2.1.3"]
    install += ["--python-version", plan.env.python, "--python-platform", "x86_64-manylinux_2_28"]
    subprocess.run(install, check=True, capture_output=True, env=uv_environment(read_site(os.environ), os.environ))
    (tmp_path / "Dockerfile").write_text(f"FROM {plan.env.tag}\nCOPY numpy2 /numpy2\nENV PYTHONPATH=/numpy2\n")
    tag = "dlmatrix-numpy2:test"
    subprocess.run(
        ["docker", "buildx", "build", "--builder", "default", "--quiet", "--tag", tag, str(tmp_path)], check=True
    )
    try:
        code, out, err = python(plan, ONE, "numpy-abi", image=tag)
    finally:
        client.images.remove(tag, force=True)
    entry = json.loads(out)
    assert (code, entry["outcome"]) == (0, "failed"), entry
    assert "numpy<2" in entry["reason"]
    assert entry["expected"] == "numpy 2.1.3 works"
