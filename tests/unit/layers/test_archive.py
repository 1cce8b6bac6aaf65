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


def test_all_in_it_has_one_date_one_owner_and_two_modes(tmp_path: Path) -> None:
    blob = write_layer(files(tmp_path), tmp_path / "layer", EPOCH)
    with (tmp_path / "layer").open("rb") as stream:
        plain = zstandard.ZstdDecompressor().stream_reader(stream).read()
    assert blob.diff_id == f"sha256:{hashlib.sha256(plain).hexdigest()}"
    assert blob.digest == f"sha256:{hashlib.sha256((tmp_path / 'layer').read_bytes()).hexdigest()}"
    assert (blob.size, blob.tar_size) == ((tmp_path / "layer").stat().st_size, len(plain))
    (tmp_path / "plain").write_bytes(plain)
    with tarfile.open(tmp_path / "plain") as tar:
        members = tar.getmembers()
    assert {(m.mtime, m.uid, m.gid, m.uname, m.gname) for m in members} == {(EPOCH, 0, 0, "", "")}
    modes = {m.name: (m.isdir(), m.mode) for m in members}
    assert modes["opt"] == modes["opt/venv"] == modes["opt/venv/empty"] == modes["opt/venv/lib"] == (True, 0o755)
    assert modes["opt/venv/lib/big.so"] == (False, 0o755)
    assert modes["opt/venv/lib/" + "long/" * 40 + "x.py"] == (False, 0o644)
    assert [m.name for m in members] == sorted(m.name for m in members)


@pytest.mark.parametrize("processors", [1, 2, 5, None])
def test_the_number_of_processors_the_order_and_the_place_change_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, processors: int | None
) -> None:
    listed = files(tmp_path)
    first = write_layer(listed, tmp_path / "layer", EPOCH)
    monkeypatch.setattr(os, "cpu_count", lambda: processors)
    os.utime(tmp_path / "big.so", (0, 0))
    assert write_layer(listed[::-1], tmp_path / "again", EPOCH) == first
    assert isinstance(first, Blob)
