"""Images of a bundle: which of a layout's files an engine is given, when, and what is remembered of it."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from dlmatrix.bundle.images import Pictured
from dlmatrix.bundle.write import write_bundle
from dlmatrix.engines.docker.bundled import load_bundled
from dlmatrix.engines.layout import Layout
from dlmatrix.errors import BuildError, BundleError, EngineError
from dlmatrix.matrix.load import load_matrix, lock_of, select
from dlmatrix.matrix.model import Base
from dlmatrix.matrix.plan import ChosenBase, Limits, Plan, debian, make_plan, official
from dlmatrix.system.state import recall
from tests.unit.bundle.test_writing import BEGUN, whole
from tests.unit.layouts import layout

KEY = "dlmatrix.key"


class Engine:
    """An engine that knows images by the digests of their manifests, and says what it was given."""

    def __init__(self, layout: Layout | None = None, which: int = 0) -> None:
        self.layout, self.which, self.images = layout, which, self
        self.ids: dict[str, str] = {}
        self.loaded: list[str] = []
        self.fresh: str | None = None

    def image_id(self, tag: str) -> str | None:
        return self.ids.get(tag)

    def load(self, files: dict[str, Any]) -> None:
        for one in json.loads(files["index.json"])["manifests"]:
            tag = one["annotations"]["dlmatrix.tag"]
            self.loaded.append(tag)
            assert self.layout
            both = self.layout.identities(tag)
            self.ids[tag] = one["digest"] if self.which == 0 else next(iter(both - {one["digest"]}))

    def choose_base(self, base: Base) -> ChosenBase:
        found = self.ids.get(base.debian_tag)
        return debian(base, found) if found else official(base)

    def up_to_date(self, plan: Plan, base: ChosenBase) -> str | None:
        return self.fresh


@pytest.fixture
def plan(checkout: Path) -> Plan:
    matrix = load_matrix(checkout)
    (env,) = select(matrix, ["cpu-torch-2.13"])
    return make_plan(matrix, env, lock_of(matrix, env), "1", Limits())


def bundle_with(plan: Plan, key: str | None = None) -> Layout:
    """The checkout is an unpacked bundle, whose image has a key, by default that of the plan on its base."""
    folder = plan.root / "bundle"
    (folder / "images").mkdir(parents=True)
    (folder / "manifest.json").write_text("{}")
    base = layout(folder / "images", {plan.base.debian_tag: {}})
    digest = json.loads((base / "index.json").read_text())["manifests"][0]["digest"]
    own = {KEY: key or plan.key(debian(plan.base, digest))}
    return Layout(layout(folder / "images", {plan.base.debian_tag: {}, plan.env.tag: own, "dlmatrix:other": {}}))


def test_base_and_image_are_loaded_and_count_as_built_here(plan: Plan) -> None:
    engine = Engine(bundle_with(plan))
    load_bundled(engine, plan, lambda line: None)  # type: ignore[arg-type]
    assert engine.loaded == [plan.base.debian_tag, plan.env.tag]
    known = recall(plan.root, "docker", plan.env.name)
    assert known["image"] == engine.ids[plan.env.tag]
    assert known["key"] == plan.key(engine.choose_base(plan.base))
    load_bundled(engine, plan, lambda line: None)  # type: ignore[arg-type]
    assert len(engine.loaded) == 2, "they are there"


def test_an_image_of_another_state_of_the_checkout_is_left(plan: Plan) -> None:
    engine, said = Engine(bundle_with(plan, key="another")), list[str]()
    load_bundled(engine, plan, said.append)  # type: ignore[arg-type]
    assert engine.loaded == [plan.base.debian_tag]
    assert "it is built of the wheels" in said[-1]
    assert recall(plan.root, "docker", plan.env.name) == {}


def test_an_image_that_is_up_to_date_is_left(plan: Plan) -> None:
    engine = Engine(bundle_with(plan))
    engine.ids[plan.base.debian_tag], engine.fresh = "mine", "mine too"
    load_bundled(engine, plan, lambda line: None)  # type: ignore[arg-type]
    assert engine.loaded == []


def test_a_classic_store_s_image_is_another_and_is_not_remembered(plan: Plan) -> None:
    """It knows the base by its configuration, so that an image on it has another key: it is built."""
    engine = Engine(bundle_with(plan), which=1)
    load_bundled(engine, plan, lambda line: None)  # type: ignore[arg-type]
    assert engine.loaded == [plan.base.debian_tag]
    assert recall(plan.root, "docker", plan.env.name) == {}


def test_without_a_bundle_nothing_is_done(plan: Plan) -> None:
    load_bundled(Engine(), plan, lambda line: None)  # type: ignore[arg-type]
    (plan.root / "bundle").mkdir()
    (plan.root / "bundle" / "manifest.json").write_text("{}")
    load_bundled(Engine(), plan, lambda line: None)  # type: ignore[arg-type]


def test_only_what_is_wanted_is_given_to_the_engine_and_each_layer_once(tmp_path: Path) -> None:
    found = Layout(layout(tmp_path, {f"dlmatrix:{name}": {} for name in "abc"}))
    files = found.files(["dlmatrix:a", "dlmatrix:b"])
    names = [one["annotations"]["dlmatrix.tag"] for one in json.loads(files["index.json"])["manifests"]]  # type: ignore[arg-type]
    assert names == ["dlmatrix:a", "dlmatrix:b"]
    assert [one["RepoTags"] for one in json.loads(files["manifest.json"])] == [["dlmatrix:a"], ["dlmatrix:b"]]  # type: ignore[arg-type]
    assert len([name for name in files if name.startswith("blobs/")]) == 2 * 3 + 1
    assert "dlmatrix:c" in found


def test_what_is_no_layout_is_told(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="is no layout of a bundle"):
        Layout(tmp_path)


def renamed(folder: Path, change: Any) -> None:
    for name in ("index.json", "manifest.json"):
        file = folder / name
        found = json.loads(file.read_text())
        change(found["manifests"] if name == "index.json" else found, name)
        file.write_text(json.dumps(found))


HOSTILE = {
    "a name of another's image": lambda found, name: (
        name == "manifest.json" and found[0]["RepoTags"].append("python:3.11")
    ),
    "the same for containerd": lambda found, name: (
        name == "index.json" and found[0]["annotations"].update({"io.containerd.image.name": "x/library/python:3.11"})
    ),
    "a digest that leads out": lambda found, name: name == "index.json" and found[0].update(digest="sha256:../../../x"),
    "a digest of nothing": lambda found, name: name == "index.json" and found[0].update(digest=f"sha256:{'0' * 64}"),
    "no names": lambda found, name: found[0].pop("annotations" if name == "index.json" else "RepoTags"),
    "nothing at all": lambda found, name: found.append(None),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_a_layout_that_would_reach_other_files_or_other_images_is_refused(what: str, tmp_path: Path) -> None:
    folder = layout(tmp_path / "images", {"dlmatrix:a": {}})
    Layout(folder)
    renamed(folder, HOSTILE[what])
    with pytest.raises(BundleError, match="is no layout of a bundle"):
        Layout(folder)


class Saving:
    """An engine that writes a layout as docker save does: sorted, once each, with more said of each image."""

    def __init__(self, folder: Path, leave_out: str = "") -> None:
        self.folder, self.images, self.leave_out = folder, self, leave_out

    @contextmanager
    def saved(self, tags: Sequence[str]) -> Iterator[tarfile.TarFile]:
        made = io.BytesIO()
        with tarfile.open(fileobj=made, mode="w") as tar:
            for file in sorted(self.folder.rglob("*"), key=str):
                if file.name != self.leave_out:
                    tar.add(file, file.relative_to(self.folder), recursive=False)
        made.seek(0)
        with tarfile.open(fileobj=made, mode="r|") as tar:
            yield tar


def written(tmp_path: Path, name: str, tags: Sequence[str], said: str, leave_out: str = "") -> Path:
    folder = layout(tmp_path / f"{name}-layout", {tag: {} for tag in tags})
    index = json.loads((folder / "index.json").read_text())
    for one in index["manifests"]:
        tag = one["annotations"].pop("dlmatrix.tag")
        one["annotations"] = {"io.containerd.image.name": f"registry.example.org/library/{tag}", "said": said}
        one["platform"] = {"os": said}
    (folder / "index.json").write_text(json.dumps(index))
    engine: Any = Saving(folder, leave_out)
    pictured = Pictured(engine=engine, tags=tuple(tags), size=0, facts={}, bills={})
    file = tmp_path / name
    write_bundle(file, pictured.sources(), BEGUN, volume=None, about=0, progress=lambda done, all_of: None)
    return file


def test_images_are_equal_to_the_bit_whatever_the_engine_says_of_them(tmp_path: Path) -> None:
    one = written(tmp_path, "one", ["a:1", "b:1"], "today")
    two = written(tmp_path, "two", ["b:1", "a:1"], "tomorrow")
    assert whole(one) == whole(two)


def test_a_layout_that_lacks_its_index_is_no_bundle(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"docker save wrote no index\.json"):
        written(tmp_path, "one", ["a:1"], "today", leave_out="index.json")
    assert not (tmp_path / "one").exists()


def test_a_blob_that_is_not_its_digest_is_refused(tmp_path: Path) -> None:
    folder = layout(tmp_path / "layout", {"a:1": {}})
    file = next((folder / "blobs" / "sha256").iterdir())
    file.write_bytes(file.read_bytes()[:-1] + b"?")
    engine: Any = Saving(folder)
    pictured = Pictured(engine=engine, tags=("a:1",), size=0, facts={}, bills={})
    with pytest.raises(BuildError, match="changed while the bundle was made"):
        write_bundle(
            tmp_path / "x", pictured.sources(), BEGUN, volume=None, about=0, progress=lambda done, all_of: None
        )
    assert not (tmp_path / "x").exists()
