"""An env, whole: built, run, reported, found up to date, rebuilt to the same digest. `.ci/run` has every cpu env."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from dlmatrix.engines.docker.engine import DockerEngine
from dlmatrix.engines.docker.wheels import own_workshop
from dlmatrix.matrix.plan import Measuring
from tests.image.support import ROOT, Dlmatrix, containers, outcomes, plan_of, result

CELL = "cpu-torch-2.13"


def test_a_cell_passes_and_leaves_only_its_image_and_one_report(
    dlmatrix: Dlmatrix, client: Any, engine: DockerEngine, tmp_path: Path
) -> None:
    ran = dlmatrix("run", CELL, "--quick", "--engine", "docker", "--report", str(tmp_path / "report"))
    assert ran.code == 0, ran.out + ran.err
    assert containers(client) == []
    assert outcomes(tmp_path / "report") == [(CELL, "passed")]
    (suite,) = ElementTree.parse(tmp_path / "report" / "junit.xml").getroot().findall("testsuite")
    (row,) = result(tmp_path / "report")["envs"]
    document = row["document"]
    assert document["training"]["parameters"] == 225_034
    assert document["training"]["test_accuracy"] >= 0.95
    measured = document["throughput"]["rows"]
    assert [(found["kind"], found["outcome"]) for found in measured] == [("train", "measured"), ("infer", "measured")]
    assert all(found["samples"] for found in measured)
    assert {c["outcome"] for c in document["checks"]} <= {"passed", "skipped"}
    assert int(suite.attrib["tests"]) == len(document["checks"])
    assert CELL in (tmp_path / "report" / "summary.md").read_text()
    assert CELL in ran.out

    assert not engine.prepare(plan_of(ROOT, CELL), lambda line: None).built
    assert client.images.get(f"dlmatrix:{CELL}").labels["dlmatrix.env"] == CELL


def test_what_an_image_has_no_compiler_for_is_skipped_and_says_so(engine: DockerEngine) -> None:
    row = "cnn/train/compiled/128/fp32/device"
    measuring = Measuring(seconds=30.0, processes=1, rows=(row,), only=True)
    plan = replace(plan_of(ROOT, CELL), measuring=measuring)
    prepared = engine.prepare(plan, lambda line: None)
    completed = engine.run(plan, prepared, lambda line: None)
    (found,) = json.loads(completed.stdout)["throughput"]["rows"]
    assert (completed.exit_code, found["outcome"]) == (0, "skipped")
    assert found["reason"].startswith("torch.compile needs a C++ compiler, which is not here: ")


def test_a_changed_check_rebuilds_the_last_layer_alone(engine: DockerEngine, client: Any, checkout: Path) -> None:
    before = plan_of(checkout, CELL)
    engine.prepare(before, lambda line: None)
    layers = client.images.get(before.env.tag).attrs["RootFS"]["Layers"]
    with (checkout / "smoke" / "checks" / "__init__.py").open("a") as file:
        file.write("# changed\n")
    after = plan_of(checkout, CELL)
    assert engine.prepare(after, lambda line: None).built
    changed = client.images.get(after.env.tag).attrs["RootFS"]["Layers"]
    assert changed[:-1] == layers[:-1]
    assert changed[-1] != layers[-1]


def test_a_checkouts_modes_and_dates_do_not_show(engine: DockerEngine, client: Any, checkout: Path) -> None:
    plan = plan_of(checkout, CELL)
    base = engine.choose_base(plan.base)
    anew = replace(own_workshop(), extra=("--no-cache-filter", "checks"))
    ids = []
    for mode in (0o644, 0o600):
        for file in (checkout / "smoke").rglob("*.py"):
            file.chmod(mode)
            shutil.copystat(file, file)
        engine.build(plan, base, lambda line: None, workshop=anew)
        ids.append(client.images.get(plan.env.tag).id)
    assert ids[0] == ids[1]


def test_a_label_that_lies_does_not_make_an_image_up_to_date(
    engine: DockerEngine, client: Any, checkout: Path, tmp_path: Path
) -> None:
    plan = plan_of(checkout, CELL)
    base = engine.choose_base(plan.base)
    engine.prepare(plan, lambda line: None)
    true_id = client.images.get(plan.env.tag).id
    folder = tmp_path / "liar"
    folder.mkdir()
    (folder / "Dockerfile").write_text(f"FROM {base.ref}\nLABEL dlmatrix.key={plan.key(base)}\n")
    subprocess.run(
        ["docker", "buildx", "build", "--builder", "default", "--quiet", "--tag", plan.env.tag, str(folder)], check=True
    )
    liar = client.images.get(plan.env.tag)
    assert liar.labels["dlmatrix.key"] == plan.key(base)
    assert engine.up_to_date(plan, base) is None
    assert engine.prepare(plan, lambda line: None).built
    assert client.images.get(plan.env.tag).id == true_id


def test_the_image_holds_no_trace_of_this_machine(engine: DockerEngine, client: Any) -> None:
    plan = plan_of(ROOT, CELL)
    engine.prepare(plan, lambda line: None)
    image = client.images.get(plan.env.tag)
    history = client.api.history(plan.env.tag)
    said = repr(image.attrs["Config"]) + repr(history)
    for trace in (str(ROOT), "SSL_CERT", "uvconfig=", "http://", "https://"):
        assert trace not in said
    assert image.attrs["Config"]["User"] == "65532:65532"
