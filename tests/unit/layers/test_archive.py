"""A layer's bytes are a function of its files alone."""

from __future__ import annotations

import hashlib
import os
import tarfile
from pathlib import Path

import pytest
import zstandard

from dlmatrix.layers.archive import Blob, write_layer
from dlmatrix.layers.installed import File

EPOCH = 1_700_000_000


def files(folder: Path) -> list[File]:
    noise = b"".join(hashlib.sha256(str(n).encode()).digest() for n in range(100_000))
    (folder / "big.so").write_bytes(noise + bytes(20_000_000))
    return [
        File(path="lib/big.so", content=folder / "big.so", executable=True),
        File(path="lib/" + "long/" * 40 + "x.py", content=b"1\n", executable=False),
        File(path="empty", content=None, executable=True),
    ]


def members(layer: Path) -> list[tarfile.TarInfo]:
    with layer.open("rb") as stream:
        plain = zstandard.ZstdDecompressor().stream_reader(stream).read()
    layer.with_suffix(".tar").write_bytes(plain)
    with tarfile.open(layer.with_suffix(".tar")) as tar:
        return tar.getmembers()


def test_all_in_it_has_one_date_one_owner_and_two_modes(tmp_path: Path) -> None:
    layer = tmp_path / "layer"
    blob = write_layer(files(tmp_path), [], layer, EPOCH)
    found = members(layer)
    plain = (tmp_path / "layer.tar").read_bytes()
    assert blob.diff_id == f"sha256:{hashlib.sha256(plain).hexdigest()}"
    assert blob.digest == f"sha256:{hashlib.sha256(layer.read_bytes()).hexdigest()}"
    assert (blob.size, blob.tar_size) == (layer.stat().st_size, len(plain))
    assert {(m.mtime, m.uid, m.gid, m.uname, m.gname) for m in found} == {(EPOCH, 0, 0, "", "")}
    modes = {m.name: (m.isdir(), m.mode) for m in found}
    assert modes["opt"] == modes["opt/venv"] == modes["opt/venv/empty"] == modes["opt/venv/lib"] == (True, 0o755)
    assert modes["opt/venv/lib/big.so"] == (False, 0o755)
    assert modes["opt/venv/lib/" + "long/" * 40 + "x.py"] == (False, 0o644)


def test_a_folder_comes_once_and_before_what_is_in_it(tmp_path: Path) -> None:
    write_layer(files(tmp_path), [], tmp_path / "layer", EPOCH)
    names = [m.name for m in members(tmp_path / "layer")]
    assert len(set(names)) == len(names)
    for number, name in enumerate(names):
        assert os.path.dirname(name) in ["", *names[:number]]


def test_bytecode_comes_last_and_in_the_place_of_a_wheels(tmp_path: Path) -> None:
    brought = [
        File(path=f"lib/{name}", content=b"brought", executable=False)
        for name in ("__pycache__/other.pyc", "__pycache__/x.pyc", "x.py", "z.py")
    ]
    compiled = [File(path="lib/__pycache__/x.pyc", content=b"compiled here", executable=False)]
    write_layer(brought, iter(compiled), tmp_path / "layer", EPOCH)
    found = [(m.name.removeprefix("opt/venv/lib/"), m.size) for m in members(tmp_path / "layer") if m.isfile()]
    assert found == [("x.py", 7), ("z.py", 7), ("__pycache__/x.pyc", 13), ("__pycache__/other.pyc", 7)]


@pytest.mark.parametrize("processors", [1, 2, 5, None])
def test_the_number_of_processors_the_order_and_the_place_change_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, processors: int | None
) -> None:
    listed = files(tmp_path)
    first = write_layer(listed, [], tmp_path / "layer", EPOCH)
    monkeypatch.setattr(os, "cpu_count", lambda: processors)
    os.utime(tmp_path / "big.so", (0, 0))
    assert write_layer(listed[::-1], [], tmp_path / "again", EPOCH) == first
    assert isinstance(first, Blob)
