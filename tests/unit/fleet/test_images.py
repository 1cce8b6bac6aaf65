"""Images for machines: a layer is sent once, of whatever image, and there they are what the bundle had."""

from __future__ import annotations

import tarfile
from collections.abc import Iterable
from pathlib import Path

import pytest

from dlmatrix.engines.layout import Layout, bundled_layout
from dlmatrix.errors import UsageError
from dlmatrix.fleet import images
from dlmatrix.fleet.images import image_parts
from dlmatrix.fleet.machine import checks
from dlmatrix.fleet.order import Part
from dlmatrix.fleet.parts import smoke_part
from dlmatrix.fleet.site import Asked, make_order
from dlmatrix.matrix.load import load_matrix, select
from dlmatrix.matrix.model import Matrix
from tests.unit.layouts import layout

TORCH, TF = "cpu-torch-2.13", "cpu-tf2-2.21"


@pytest.fixture
def matrix(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> Matrix:
    """Of a checkout that is an unpacked bundle, with two images on one base; their layers count as large."""
    monkeypatch.setattr(images, "_LARGE", 2000)
    found = load_matrix(checkout)
    (env,) = select(found, [TORCH])
    folder = checkout / "bundle" / "images"
    folder.mkdir(parents=True)
    (checkout / "bundle" / "manifest.json").write_text("{}")
    layout(
        folder,
        {found.base(env.python).debian_tag: {}, f"dlmatrix:{TORCH}": {"dlmatrix.key": "1"}, f"dlmatrix:{TF}": {}},
    )
    return found


def unpacked(parts: Iterable[Part], folder: Path) -> Path:
    for part in parts:
        with tarfile.open(part.file) as tar:
            tar.extractall(folder / part.key)  # noqa: S202 - our own
    return folder / part.key


def test_on_the_machine_they_are_what_the_bundle_had(matrix: Matrix, tmp_path: Path) -> None:
    parts = image_parts(matrix, select(matrix, [TORCH, TF]), tmp_path)
    told = unpacked(parts, tmp_path / "parts")
    for _ in range(2):  # what an earlier run has put together is put together anew
        folder = checks.bundle(told, tmp_path)
    there, here = Layout(folder / "bundle" / "images"), bundled_layout(matrix.root)
    assert here
    tags = [f"dlmatrix:{TORCH}", f"dlmatrix:{TF}", matrix.base("3.11").debian_tag]
    for tag in tags:
        assert (there.identities(tag), there.labels(tag)) == (here.identities(tag), here.labels(tag))
    sent, had = there.files(tags), here.files(tags)
    assert sent.keys() == had.keys()
    blobs = {name: file for name, file in had.items() if isinstance(file, Path)}
    assert {name: Path(str(sent[name])).read_bytes() for name in blobs} == {
        name: file.read_bytes() for name, file in blobs.items()
    }


def test_a_layer_that_two_images_share_is_one_part_whoever_asks(matrix: Matrix, tmp_path: Path) -> None:
    def parts(*names: str) -> tuple[Part, ...]:
        return image_parts(matrix, select(matrix, names), tmp_path)

    of = {name: {part.key for part in parts(name)[:-1]} for name in (TORCH, TF)}
    both = parts(TORCH, TF)
    # The one that all share, the base's own, and one of each env.
    assert [len(of[TORCH]), len(of[TF]), len(of[TORCH] & of[TF]), len(both)] == [3, 3, 2, 5]
    assert {part.key for part in both[:-1]} == of[TORCH] | of[TF]


def test_a_machine_is_told_of_the_part_that_names_the_others(
    matrix: Matrix, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dlmatrix.fleet.site.tools_part", lambda root, folder, say: smoke_part(root, folder))
    order = make_order(matrix.root, Asked(envs=("cpu-torch",), engine="docker", images=True), tmp_path, print)
    words = list(order.command)
    assert words[words.index("run") - 2 : words.index("run") + 4] == [
        *("", f"{{base}}/parts/{order.parts[-1].key}", "run", TORCH, "--engine", "docker")
    ]
    assert [part.what.split()[0] for part in order.parts] == ["code", "smoke", "layer", "layer", "layer", "images"]


def test_what_the_bundle_has_not_is_named(matrix: Matrix, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no bundle is in use that has an image of") as raised:
        image_parts(matrix, select(matrix, [TORCH, "cpu-torch-2.11"]), tmp_path)
    assert raised.value.message.endswith("an image of cpu-torch-2.11")
    assert "bundle cpu-torch-2.11 --no-wheels --out FILE" in raised.value.next_step


def test_the_code_that_came_last_is_what_is_checked_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a cluster every run's code lies in a folder of the same name: a node went on with the checks of the first."""
    code = tmp_path / "code"
    for name in ("docker", "envs", "smoke"):
        (code / name).mkdir(parents=True)
    monkeypatch.setattr(checks, "CODE", code)
    for text in ("first", "second"):
        (code / "smoke" / "check.py").write_text(text)
        root = checks.checkout(tmp_path / "root")
        assert (root / "smoke" / "check.py").read_text() == text
    (root / "smoke" / "built").write_text("of the second")
    checks.checkout(tmp_path / "root")
    assert (root / "smoke" / "built").exists(), "it is the same: nothing is copied"
