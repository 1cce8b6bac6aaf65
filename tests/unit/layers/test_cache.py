"""A cache of layers is never believed: what is damaged, exchanged or half there is made anew."""

from __future__ import annotations

import errno
import json
import os
import shutil
from pathlib import Path

import pytest

from dlmatrix.errors import BuildError, DiskFullError
from dlmatrix.layers.archive import write_layer
from dlmatrix.layers.cache import Cache, Kept, cache_folder
from dlmatrix.layers.installed import File
from dlmatrix.layers.layout import Layer, assemble, sound_manifest


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


def keep(cache: Cache, key: str, content: bytes = b"content") -> Kept:
    with cache.scratch() as folder:
        blob = write_layer([File(path="x", content=content, executable=False)], [], folder / "layer", 1)
        return cache.keep(key, blob, folder / "layer", (f"{key}==1",))


def test_what_was_kept_is_found(cache: Cache) -> None:
    kept = keep(cache, "one")
    found = cache.find("one")
    assert found is not None
    assert (found.key, found.blob, found.holds) == ("one", kept.blob, ("one==1",))
    assert cache.find("two") is None


def truncated(cache: Cache, kept: Kept) -> None:
    os.truncate(cache.file(kept.blob), kept.blob.size - 1)


def flipped(cache: Cache, kept: Kept) -> None:
    data = bytearray(cache.file(kept.blob).read_bytes())
    data[-1] ^= 1
    cache.file(kept.blob).write_bytes(data)


def exchanged(cache: Cache, kept: Kept) -> None:
    other = keep(cache, "other", b"another")
    shutil.copy(cache.file(other.blob), cache.file(kept.blob))


def of_another_key(cache: Cache, kept: Kept) -> None:
    keep(cache, "other", b"another")
    shutil.copy(cache.folder / "layers" / "other.json", cache.folder / "layers" / f"{kept.key}.json")


def of_another_version(cache: Cache, kept: Kept) -> None:
    (cache.folder / "layers" / f"{kept.key}.json").write_text(json.dumps({"layer": kept.blob.digest}))


def cut_record(cache: Cache, kept: Kept) -> None:
    file = cache.folder / "layers" / f"{kept.key}.json"
    file.write_text(file.read_text()[:-9])


def no_blob(cache: Cache, kept: Kept) -> None:
    cache.file(kept.blob).unlink()


@pytest.mark.parametrize(
    "damage", [truncated, flipped, exchanged, of_another_key, of_another_version, cut_record, no_blob]
)
def test_what_is_damaged_is_not_there_and_is_taken_in_anew(cache: Cache, damage: object) -> None:
    kept = keep(cache, "one")
    damage(cache, kept)  # type: ignore[operator]
    assert cache.find("one") is None
    assert keep(cache, "one").blob == kept.blob
    assert cache.find("one") is not None


def test_a_note_that_was_exchanged_is_none(cache: Cache) -> None:
    cache.note("a", {"bytes": 1})
    cache.note("b", {"bytes": 2})
    assert cache.fact("a") == {"bytes": 1}
    shutil.copy(cache.folder / "facts" / "b.json", cache.folder / "facts" / "a.json")
    assert cache.fact("a") is None


def test_what_was_found_in_a_layer_is_known_to_the_code_that_found_it_and_goes_with_the_layer(cache: Cache) -> None:
    old, new = (keep(cache, key, key.encode()) for key in ("old", "new"))
    for number, key in enumerate(("old", "new")):
        os.utime(cache.folder / "layers" / f"{key}.json", (number + 2, number + 2))
    looks = {"old": old.blob.diff_id, "new": new.blob.diff_id, "base": "sha256:base", "gone": "sha256:gone"}
    for name, diff_id in looks.items():
        cache.note_look(diff_id, "code", {"found": name})
    assert cache.looked("sha256:base", "other code") is None
    os.utime(cache.folder / "looked" / "gone.json", (1, 1))

    def known() -> set[str]:
        return {name for name, diff_id in looks.items() if cache.looked(diff_id, "code") == {"found": name}}

    cache.prune(new.blob.size)
    assert known() == {"new", "base"}
    cache.prune(0)
    assert known() == set()


def test_the_longest_unused_goes_first_and_what_a_killed_run_left_goes_too(cache: Cache) -> None:
    for number, key in enumerate(("old", "new")):
        keep(cache, key, key.encode())
        os.utime(cache.folder / "layers" / f"{key}.json", (number + 1, number + 1))
    (cache.folder / "tmp-1-x").mkdir()
    (cache.folder / "tmp-1-x" / "layer").write_bytes(b"half")
    (cache.folder / "blobs" / "nobodys").write_bytes(b"x")
    assert [kept.key for kept in cache.all()] == ["old", "new"]
    size = cache.all()[1].blob.size
    freed = cache.prune(size)
    assert freed is not None
    assert freed > 0
    assert [kept.key for kept in cache.all()] == ["new"]
    assert cache.find("new") is not None
    assert len(list((cache.folder / "blobs").iterdir())) == 1
    assert not list(cache.folder.glob("tmp-*"))


def test_a_layer_that_is_used_stays_longer(cache: Cache) -> None:
    for number, key in enumerate(("a", "b")):
        keep(cache, key, key.encode())
        os.utime(cache.folder / "layers" / f"{key}.json", (number + 1, number + 1))
    cache.find("a")
    assert [kept.key for kept in cache.all()] == ["b", "a"]


def test_nothing_is_removed_while_a_run_uses_the_cache(cache: Cache) -> None:
    keep(cache, "one")
    with Cache(cache.folder).in_use():
        assert cache.prune(0) is None
    assert cache.find("one") is not None
    assert cache.prune(0)
    assert cache.all() == []


def base(cache: Cache, name: str) -> Path:
    """A base's layout that was taken in, and named."""
    with cache.scratch() as folder:
        bare(folder / "layout", name)
        cache.keep_base(folder / "layout", cache.folder / "bases" / "key")
    return cache.folder / "bases" / "key"


def test_a_base_stays_whatever_is_removed(cache: Cache) -> None:
    kept = base(cache, "A=b")
    keep(cache, "one")
    before = sound_manifest(kept)
    assert cache.prune(0)
    assert cache.all() == []
    assert sound_manifest(kept) == before != ""


@pytest.mark.parametrize("damage", [True, False])
def test_a_base_gives_way_only_where_it_is_damaged(cache: Cache, damage: bool) -> None:
    """One that is sound is that of a run that was faster, and may just be read."""
    kept = base(cache, "A=b")
    before = sound_manifest(kept)
    if damage:
        next((kept / "blobs" / "sha256").iterdir()).write_bytes(b"?")
    assert (sound_manifest(base(cache, "A=c")) == before) is not damage
    assert sound_manifest(kept) != ""
    assert not list(cache.folder.glob("tmp-*"))


def test_where_it_is() -> None:
    assert cache_folder({"XDG_CACHE_HOME": "/x", "HOME": "/h"}) == Path("/x/dlmatrix/layers")
    assert cache_folder({"DLMATRIX_CACHE_DIR": "/y", "XDG_CACHE_HOME": "/x"}) == Path("/y/layers")
    assert cache_folder({"XDG_CACHE_HOME": "relative", "HOME": "/h"}) == Path("/h/.cache/dlmatrix/layers")


def test_layers_upon_a_base_are_an_image_of_one_digest(cache: Cache, tmp_path: Path) -> None:
    kept = keep(cache, "one")
    layers = [Layer(blob=kept.blob, file=cache.file(kept.blob), word="wheels one==1")]
    below = tmp_path / "base"
    bare(below)
    digests = {assemble(tmp_path / name, below, layers, 1_700_000_000) for name in ("a", "b")}
    (digest,) = digests
    assert sound_manifest(tmp_path / "a") == digest
    blobs = tmp_path / "a" / "blobs" / "sha256"
    manifest = json.loads((blobs / digest.removeprefix("sha256:")).read_text())
    assert [layer["digest"] for layer in manifest["layers"]][1:] == [kept.blob.digest]
    config = json.loads((blobs / manifest["config"]["digest"].removeprefix("sha256:")).read_text())
    assert config["rootfs"]["diff_ids"][1:] == [kept.blob.diff_id]
    assert config["config"] == {"Env": ["A=b"]}
    (blobs / kept.blob.digest.removeprefix("sha256:")).unlink()
    assert sound_manifest(tmp_path / "a") == ""


def bare(folder: Path, env: str = "A=b") -> None:
    """A base of one layer."""
    import hashlib

    def put(data: bytes) -> dict[str, object]:
        name = hashlib.sha256(data).hexdigest()
        (folder / "blobs" / "sha256").mkdir(parents=True, exist_ok=True)
        (folder / "blobs" / "sha256" / name).write_bytes(data)
        return {"digest": f"sha256:{name}", "size": len(data)}

    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Env": [env]},
        "rootfs": {"type": "layers", "diff_ids": ["sha256:" + "0" * 64]},
        "history": [{"created_by": "ADD rootfs.tar /"}],
    }
    manifest = {"schemaVersion": 2, "config": put(json.dumps(config).encode()), "layers": [put(b"layer")]}
    (folder / "index.json").write_text(json.dumps({"manifests": [put(json.dumps(manifest).encode())]}))


def test_what_a_killed_run_left_is_removed_and_not_while_another_run_uses_the_cache(cache: Cache) -> None:
    cache.remove_left()  # there is no folder yet
    assert not cache.folder.exists()
    kept, left = keep(cache, "one"), cache.folder / "tmp-1-x"
    left.mkdir()
    with cache.in_use():
        cache.remove_left()
        assert left.is_dir()
    cache.remove_left()
    assert not left.exists()
    assert cache.file(kept.blob).is_file()


@pytest.mark.parametrize(
    ("error", "wanted", "says"),
    [
        (PermissionError(errno.EACCES, "Permission denied", "{cache}/lock"), DiskFullError, "DLMATRIX_CACHE_DIR"),
        (FileNotFoundError(errno.ENOENT, "No such file", "{cache}/tmp-1/0"), BuildError, "removed meanwhile"),
        (PermissionError(errno.EACCES, "Permission denied", "/elsewhere"), PermissionError, "/elsewhere"),
        (FileNotFoundError(errno.ENOENT, "No such file"), FileNotFoundError, "No such file"),
    ],
)
def test_what_befalls_the_folder_while_layers_are_made_is_said_of_it(
    cache: Cache, error: OSError, wanted: type[Exception], says: str
) -> None:
    if error.filename:
        error.filename = error.filename.format(cache=cache.folder)
    with pytest.raises(wanted, match=says), cache.in_use():
        raise error
