"""Looking into real images: what is planted is found, what is built passes, and nothing is looked at twice."""

from __future__ import annotations

import dataclasses
import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dlmatrix.engines.docker.engine import DockerEngine
from dlmatrix.inspection.examine import Examined, Examiner
from dlmatrix.layers.cache import Cache
from dlmatrix.matrix.model import Site
from tests.image.support import containers, plan_of
from tests.image.tiny import NAME, add_tiny, site

KEY = "-----BEGIN PRIVATE KEY-----"


@pytest.fixture
def tiny(client: Any, checkout: Path, tmp_path: Path) -> DockerEngine:
    """An engine for a checkout with the tiny env, and a certificate that only this machine has."""
    add_tiny(checkout, tmp_path / "wheels")
    (tmp_path / "ca.pem").write_text(f"-----BEGIN CERTIFICATE-----\n{LINES}\n-----END CERTIFICATE-----\n")
    return DockerEngine(client, site(tmp_path / "wheels"), "auto")


LINES = "\n".join(letter * 64 for letter in "ABCDEFG")

Look = Callable[..., Examined]


@pytest.fixture
def look(tiny: DockerEngine, client: Any, checkout: Path, tmp_path: Path) -> Iterator[Look]:
    """Build the tiny env, add some Dockerfile lines to its image, and examine what came out."""
    tags = []

    def run(*lines: str, budget: int = 400) -> Examined:
        plan = plan_of(checkout, NAME)
        plan = dataclasses.replace(plan, env=dataclasses.replace(plan.env, size_budget_mb=budget))
        tiny.prepare(plan, lambda line: None)
        tag = plan.env.tag
        if lines:
            tags.append(tag := f"dlmatrix-more:{len(tags)}")
            (tmp_path / "Dockerfile").write_text("\n".join([f"FROM {plan.env.tag}", "USER 0", *lines]) + "\n")
            command = ["docker", "buildx", "build", "--builder", "default", "--quiet", "--tag", tag, "--file"]
            subprocess.run([*command, str(tmp_path / "Dockerfile"), str(checkout / "docker")], check=True)
        private = Site(ca_bundle=tmp_path / "ca.pem")
        examiner = Examiner(images=tiny.images, site=private, cache=Cache(tmp_path / "cache"))
        return examiner.examine(plan, tiny.choose_base(plan.base), client.images.get(tag).id)

    yield run
    for tag in [*tags, plan_of(checkout, NAME).env.tag]:
        client.images.remove(tag)


def outcomes(found: Examined) -> dict[str, tuple[str, str]]:
    return {c["id"]: (c["outcome"], c["reason"]) for c in found.checks if c["id"] != "image-record"}


#: What is planted by a line of a Dockerfile, the check that has to say so, and in which words.
PLANTED = (
    ("RUN mkdir -p /opt/venv/.cache/pip && echo >/opt/venv/.cache/pip/x", "image-caches", "/opt/venv/.cache/pip/x"),
    ("RUN echo >/opt/venv/.pypirc", "image-secrets", "/opt/venv/.pypirc (its name)"),
    (f"RUN echo 'key = \"{KEY}\"' >/srv/smoke/notes.txt", "image-secrets", "/srv/smoke/notes.txt"),
    (f"RUN printf '{LINES.encode('unicode_escape').decode()}' >/opt/venv/ca.txt", "image-certificates", "ca.txt"),
    ("RUN echo >/etc/motd.new", "image-root", "/etc/motd.new"),
    ("RUN chmod u-s /bin/su", "image-root", "/usr/bin/su"),
    ("RUN cp /usr/bin/id /opt/venv/bin/ && chmod 4755 /opt/venv/bin/id", "image-permissions", "id (mode 4755)"),
    ("RUN touch /opt/venv/x && chmod 666 /opt/venv/x", "image-permissions", "/opt/venv/x (mode 0666)"),
    ("RUN touch /opt/venv/y && chown 65532 /opt/venv/y", "image-permissions", "/opt/venv/y (owner 65532:0)"),
)


def test_what_is_planted_is_found(look: Look) -> None:
    """All in one image, each by its own check: as built, no check fails (below)."""
    found = outcomes(look(*(line for line, _, _ in PLANTED)))
    missed = [
        line for line, failing, shown in PLANTED if found[failing][0] != "failed" or shown not in found[failing][1]
    ]
    assert missed == []
    assert {check for check, (outcome, _) in found.items() if outcome == "failed"} == {each[1] for each in PLANTED}
    assert KEY not in json.dumps(found)


def test_an_image_as_it_is_built_passes_and_is_looked_at_once(
    look: Look, client: Any, checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = look()
    assert set(outcomes(first).values()) == {("passed", "")}
    assert containers(client, checkout) == []
    parts = {part["purl"] for part in json.loads(first.sbom)["components"]}
    assert "pkg:pypi/dlmatrix-tiny@1.0.0" in parts
    assert any(part.startswith("pkg:deb/debian/libc6@") for part in parts)

    with monkeypatch.context() as patch:
        patch.setattr("dlmatrix.engines.docker.images.Images.look", None)
        again = look()
    assert again.sbom == first.sbom
    assert outcomes(again) == outcomes(first)


def test_an_image_over_its_budget_names_its_largest_folders(look: Look) -> None:
    outcome, reason = outcomes(look(budget=10))["image-size"]
    assert outcome == "failed"
    assert "budget 10 MB; largest: /usr/lib " in reason


def test_a_run_holds_and_shows_what_was_found(tiny: DockerEngine, checkout: Path, client: Any) -> None:
    plan = plan_of(checkout, NAME)
    prepared = tiny.prepare(plan, lambda line: None)
    assert prepared.built
    assert {c["id"] for c in prepared.checks} >= {"image-size", "image-root", "image-record"}
    assert {c["kind"] for c in prepared.checks} == {"image"}
    (record,) = (c for c in prepared.checks if c["id"] == "image-record")
    assert (record["outcome"], record["reason"].partition(":")[0]) == ("skipped", "not recorded")
    assert json.loads(prepared.sbom)["metadata"]["component"]["version"] == prepared.what
    client.images.remove(plan.env.tag)
