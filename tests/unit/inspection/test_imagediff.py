"""Two images that differ in one planted thing: it is found, named, and its cause with it."""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from dlmatrix.errors import ContractError
from dlmatrix.inspection.imagediff import CONFIG, ONE_ONLY, ORDER, TAR, compare, read_image

EPOCH = 1_700_000_000


@dataclasses.dataclass(frozen=True, kw_only=True)
class File:
    name: str
    content: bytes = b""
    type: bytes = tarfile.REGTYPE
    mode: int = 0o644
    uid: int = 0
    mtime: int = EPOCH
    link: str = ""
    xattr: str = ""


FILES = (
    File(name="opt", type=tarfile.DIRTYPE, mode=0o755),
    File(name="opt/venv", type=tarfile.DIRTYPE, mode=0o755),
    File(name="opt/venv/module.py", content=b"print()\n"),
    File(name="opt/venv/module.cpython-311.pyc", content=b"\x00bytecode"),
    File(name="opt/venv/python", type=tarfile.SYMTYPE, mode=0o777, link="/usr/bin/python3"),
    File(name="opt/venv/a.dist-info/RECORD", content=b"module.py,,\n"),
)
CREATED = {"created": "2023-11-14T22:13:20Z", "config": {"Env": ["A=1"]}}


def layer(files: Sequence[File]) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for file in files:
            member = tarfile.TarInfo(file.name)
            member.type, member.mode, member.uid, member.mtime = file.type, file.mode, file.uid, file.mtime
            member.linkname, member.size = file.link, len(file.content)
            member.pax_headers = {"SCHILY.xattr.security.capability": file.xattr} if file.xattr else {}
            tar.addfile(member, io.BytesIO(file.content))
    return stream.getvalue()


@pytest.fixture
def image(tmp_path: Path) -> Callable[..., Path]:
    """Write an image in OCI layout, with an attestation beside it as BuildKit does."""

    def write(*layers: bytes, config: object = CREATED, compress: bool = False) -> Path:
        blobs: dict[str, bytes] = {}

        def blob(content: bytes) -> dict[str, object]:
            digest = hashlib.sha256(content).hexdigest()
            blobs[f"blobs/sha256/{digest}"] = content
            return {"digest": f"sha256:{digest}", "size": len(content)}

        diff_ids = [f"sha256:{hashlib.sha256(content).hexdigest()}" for content in layers]
        stored = [gzip.compress(content, mtime=0) if compress else content for content in layers]
        document = {**dict(config), "rootfs": {"diff_ids": diff_ids}}  # type: ignore[call-overload]
        manifest = {"config": blob(json.dumps(document).encode()), "layers": [blob(content) for content in stored]}
        attestation = blob(b'{"layers": []}') | {"platform": {"os": "unknown", "architecture": "unknown"}}
        index = {"manifests": [attestation, blob(json.dumps(manifest).encode()) | {"platform": {"os": "linux"}}]}
        blobs["index.json"] = json.dumps(index).encode()
        file = tmp_path / f"{len(list(tmp_path.iterdir()))}.tar"
        with tarfile.open(file, "w") as tar:
            for name, content in blobs.items():
                member = tarfile.TarInfo(name)
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
        return file

    return write


def changed(name: str, **changes: object) -> list[File]:
    """The files, one of them changed."""
    return [dataclasses.replace(f, **changes) if f.name == name else f for f in FILES]  # type: ignore[arg-type]


PLANTED = [
    ("opt/venv/module.py", "content", changed("opt/venv/module.py", content=b"print(1)\n"), "not a known one"),
    ("opt/venv/module.cpython-311.pyc", "content", changed("opt/venv/module.cpython-311.pyc", content=b"x"), "PEP 552"),
    ("opt/venv/a.dist-info/RECORD", "content", changed("opt/venv/a.dist-info/RECORD", content=b"x"), "the installer's"),
    ("opt/venv/module.py", "mode", changed("opt/venv/module.py", mode=0o600), "umask"),
    ("opt/venv/module.py", "owner", changed("opt/venv/module.py", uid=1000), "--chown"),
    ("opt/venv/module.py", "mtime", changed("opt/venv/module.py", mtime=EPOCH + 7), "SOURCE_DATE_EPOCH"),
    ("opt/", "mtime", changed("opt", mtime=EPOCH + 7), "parent folder"),
    ("opt/venv/python", "link target", changed("opt/venv/python", link="/home/me/python"), "place of the machine"),
    ("opt/venv/module.py", "xattr", changed("opt/venv/module.py", xattr="cap"), "extended attributes"),
    ("opt/venv/module.py", "type", changed("opt/venv/module.py", type=tarfile.SYMTYPE, content=b"", link="x"), ""),
    ("var/log/dpkg.log", ONE_ONLY, [*FILES, File(name="var/log/dpkg.log")], "log, list or cache"),
    ("etc/shadow", ONE_ONLY, [*FILES, File(name="etc/shadow")], "useradd"),
    ("opt/a.dist-info/METADATA", ONE_ONLY, [*FILES, File(name="opt/a.dist-info/METADATA")], "hashed lock"),
    ("opt/venv/module.py", ORDER, [*FILES[:2], FILES[3], FILES[2], *FILES[4:]], "order"),
]


@pytest.mark.parametrize(("path", "what", "files", "cause"), PLANTED, ids=[f"{p[1]} of {p[0]}" for p in PLANTED])
def test_a_planted_difference_is_named(
    image: Callable[..., Path], path: str, what: str, files: Sequence[File], cause: str
) -> None:
    same = layer([File(name="etc/os-release", content=b"Debian")])
    found = compare(read_image(image(same, layer(FILES))), read_image(image(same, layer(files))))
    first = found[0]
    assert (first.layer, first.path, first.what) == (2, path, what)
    assert cause in first.cause
    assert first.left != first.right
    assert f"layer 2: /{path}: {what}:" in str(first)


def test_the_first_differing_layer_is_the_one_told(image: Callable[..., Path]) -> None:
    one, two = layer(FILES), layer(changed("opt", mtime=1))
    found = compare(read_image(image(one, one, one)), read_image(image(one, two, two)))
    assert {difference.layer for difference in found} == {2}


def test_every_property_of_a_path_and_every_path_is_told(image: Callable[..., Path]) -> None:
    files = changed("opt/venv/module.py", mode=0o600, mtime=5)
    found = compare(read_image(image(layer(FILES))), read_image(image(layer([*files, File(name="zz")]))))
    assert [(d.path, d.what) for d in found] == [
        ("opt/venv/module.py", "mode"),
        ("opt/venv/module.py", "mtime"),
        ("zz", ONE_ONLY),
    ]


def test_equal_images_however_compressed(image: Callable[..., Path]) -> None:
    one = layer(FILES)
    assert compare(read_image(image(one)), read_image(image(one, compress=True))) == []


def test_equal_files_in_another_encoding(image: Callable[..., Path]) -> None:
    padded = layer(FILES) + b"\0" * tarfile.RECORDSIZE
    (found,) = compare(read_image(image(layer(FILES))), read_image(image(padded)))
    assert (found.layer, found.what) == (1, TAR)
    assert "BuildKit" in found.cause


def test_a_layer_more(image: Callable[..., Path]) -> None:
    one = layer(FILES)
    (found,) = compare(read_image(image(one)), read_image(image(one, one)))
    assert (found.layer, found.what, found.left, found.right) == (2, ONE_ONLY, "1 layers", "2 layers")


@pytest.mark.parametrize(
    ("config", "path", "cause"),
    [
        ({**CREATED, "created": "2026-11-24T00:00:00Z"}, "config.created", "SOURCE_DATE_EPOCH"),
        ({**CREATED, "config": {"Env": ["A=2"]}}, "config.config.Env", "build arguments"),
        ({**CREATED, "history": []}, "config.history", "Dockerfile"),
    ],
)
def test_a_differing_config(image: Callable[..., Path], config: object, path: str, cause: str) -> None:
    one = layer(FILES)
    (found,) = compare(read_image(image(one)), read_image(image(one, config=config)))
    assert (found.layer, found.path, found.what) == (0, path, CONFIG)
    assert cause in found.cause


@pytest.mark.parametrize("content", [b"", b"no tar"])
def test_what_is_no_image_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.tar").write_bytes(content)
    with pytest.raises(ContractError, match=r"x\.tar: no image layout"):
        read_image(tmp_path / "x.tar")


def test_a_zstd_layer_is_refused_with_what_to_do(image: Callable[..., Path]) -> None:
    with pytest.raises(ContractError) as raised:
        read_image(image(b"\x28\xb5\x2f\xfd" + b"\0" * 600))
    assert "compression=uncompressed" in raised.value.next_step
