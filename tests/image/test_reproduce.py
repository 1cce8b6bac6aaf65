"""Rebuilding from nothing, on a real engine: the same, not the same, and not to be compared."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dlmatrix.__main__ import main
from dlmatrix.inspection.digests import read_records
from tests.image.support import containers
from tests.image.tiny import NAME, add_tiny

Reproduce = Callable[..., tuple[int, str]]


@pytest.fixture
def rebuild(
    client: Any, checkout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Reproduce:
    """The command, in a checkout with the tiny env: exit code and what it printed."""
    add_tiny(checkout, tmp_path / "wheels")
    monkeypatch.setenv("UV_FIND_LINKS", str(tmp_path / "wheels"))
    monkeypatch.chdir(checkout)

    def run(*arguments: str, env: str = NAME) -> tuple[int, str]:
        before = signal.getsignal(signal.SIGTERM)
        try:
            code = main(["reproduce", env, *arguments])
        finally:
            signal.signal(signal.SIGTERM, before)
        assert left_behind(client, checkout) == []
        return code, capsys.readouterr().out

    return run


def left_behind(client: Any, checkout: Path) -> list[str]:
    """Containers, images, cache mounts and folders of a reproduction that are still there."""
    images = [tag for image in client.images.list() for tag in image.tags if tag.startswith("dlmatrix-reproduce")]
    caches = subprocess.run(
        ["docker", "buildx", "du", "--builder", "default", "--filter", "description~=dlmatrix-reproduce", "--verbose"],
        capture_output=True,
        text=True,
        check=True,
    )
    mounts = [line for line in caches.stdout.splitlines() if line.startswith("Description")]
    folders = [str(path) for path in (checkout / ".dlmatrix").glob("tmp-*")]
    return containers(client, checkout) + images + mounts + folders


def test_the_same_twice_recorded_and_found_again(rebuild: Reproduce, checkout: Path) -> None:
    code, said = rebuild("--write")
    assert code == 0, said
    assert f"{NAME}: same twice: sha256:" in said
    assert "not recorded" in said
    record = read_records(checkout)[NAME]
    assert record.identity.manifest in said
    assert record.identity.config.startswith("sha256:")
    assert len(record.identity.layers) == 5

    code, said = rebuild("--against-record")
    assert code == 0, said
    assert f"{NAME}: same as recorded: manifest digest, config digest, layers" in said


def test_a_record_that_is_another_is_told_and_one_of_other_circumstances_is_not_compared(
    rebuild: Reproduce, checkout: Path
) -> None:
    code, said = rebuild("--against-record")
    assert (code, f"{NAME}: not recorded" in said) == (77, True), said
    rebuild("--write")
    file = checkout / "envs" / "digests.toml"
    text, last = file.read_text(), read_records(checkout)[NAME].identity.layers[-1]
    file.write_text(text.replace(last, "sha256:" + "0" * 64))
    code, said = rebuild("--against-record")
    assert (code, f"{NAME}: differs: layer 5 of 5" in said) == (1, True), said

    buildkit = read_records(checkout)[NAME].made.buildkit
    file.write_text(file.read_text().replace(buildkit, "v0.1.0"))
    code, said = rebuild("--against-record")
    assert (code, f"not comparable: BuildKit {buildkit} here, v0.1.0 there" in said) == (77, True), said

    with (checkout / "smoke" / "__init__.py").open("a") as stream:
        stream.write("# changed\n")
    code, said = rebuild("--against-record")
    assert (code, "not comparable: changed since it was recorded: smoke" in said) == (77, True), said


#: Steps that are not the same twice; what is said of the path, and of the cause.
UNSTEADY = (
    ("date +%N >/stamp && touch -d @0 /stamp", "layer 5: /stamp: content:", "not a known one"),
    (
        "mkdir -p /var/log/x && date +%N >/var/log/x/y && touch -d @0 /var/log/x/y",
        "/var/log/x/: mtime",
        "the day's date",
    ),
    (
        "echo >/log && touch -d @$(cat /proc/uptime | cut -d. -f1) /log",
        "layer 5: /log: mtime:",
        "SOURCE_DATE_EPOCH",
    ),
)


def test_a_recipe_that_is_not_reproducible_is_explained(rebuild: Reproduce, checkout: Path) -> None:
    dockerfile = checkout / "docker" / "Dockerfile"
    steps = " && ".join(step for step, _, _ in UNSTEADY)
    dockerfile.write_text(dockerfile.read_text().replace("USER 65532", f"RUN {steps}\nUSER 65532"))
    code, said = rebuild()
    assert code == 1, said
    assert f"{NAME}: differs: layer 5 of 6" in said
    for _, path, cause in UNSTEADY:
        (line,) = (line for line in said.splitlines() if path in line)
        assert cause in line


def test_what_cannot_be_built_is_skipped_with_its_reason(rebuild: Reproduce) -> None:
    code, said = rebuild(env="gpu-torch-1.0")
    assert (code, "gpu-torch-1.0: skipped: a test's env" in said) == (77, True), said
