"""Damaged and hostile bundles: each is refused with one message that names it, and nothing is left."""

from __future__ import annotations

import tarfile
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dlmatrix.bundle import archive, unpack
from dlmatrix.bundle.manifest import LONGEST
from dlmatrix.errors import BundleError
from tests.unit.bundle.forge import (
    FILES,
    MAIN,
    body,
    flipped,
    manifest,
    members,
    sound,
    tail,
    with_header,
    with_manifest,
    with_paths,
    with_zip,
)

Cli = Callable[..., tuple[int, str, str]]
LISTED = members(FILES)
CONTENTS = list(FILES.values())
FIRST = archive.extent(LISTED[0])


def deep(found: dict[str, Any]) -> None:
    levels: Any = "x"
    for _ in range(300):
        levels = [levels]
    found["envs"] = {"cpu-x-1": levels}


def bomb(packed: zipfile.ZipFile, text: bytes) -> None:
    packed.writestr("__main__.py", MAIN["__main__.py"])
    packed.writestr(archive.INSIDE, text + b" " * 10_000_000, zipfile.ZIP_DEFLATED)


def squeezed(packed: zipfile.ZipFile, text: bytes) -> None:
    packed.writestr("__main__.py", MAIN["__main__.py"], zipfile.ZIP_DEFLATED)
    packed.writestr(archive.INSIDE, text)


def twice(packed: zipfile.ZipFile, text: bytes) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for data in (b"print('another')", MAIN["__main__.py"]):
            packed.writestr("__main__.py", data)
    packed.writestr(archive.INSIDE, text)


def without_manifest(packed: zipfile.ZipFile, text: bytes) -> None:
    packed.writestr("__main__.py", MAIN["__main__.py"])


def other_local_header() -> bytes:
    """The zip's directory says one name, the header before the data another of the same length."""
    data, own = sound(), tail(manifest(LISTED).text())
    place = len(data) - len(own) + own.index(b"__main__.py")
    return data[:place] + b"__mean__.py" + data[place + 11 :]


def huge_manifest() -> bytes:
    """Its end says that the zip has a gigabyte."""
    data = sound()
    return data[:-10] + (1 << 30).to_bytes(4, "little") + data[-6:]


def swapped() -> bytes:
    return body(LISTED, [CONTENTS[0], CONTENTS[2], CONTENTS[1]]) + tail(manifest(LISTED).text())


def larger(found: dict[str, Any]) -> None:
    found["members"][1]["size"] = 1 << 40


def same_key() -> bytes:
    text = manifest(LISTED).text().replace(b'"format": 1', b'"format": 1,\n"format": 1')
    return body(LISTED, CONTENTS) + tail(text)


def digits() -> bytes:
    text = manifest(LISTED).text().replace(b'"size": 2000', b'"size": ' + b"9" * 100_000, 1)
    return body(LISTED, CONTENTS) + tail(text)


def unlisted() -> bytes:
    more = members({**FILES, "bundle/extra": b"x"})
    return body(more, [*CONTENTS, b"x"]) + tail(manifest(LISTED).text())


HOSTILE: dict[str, tuple[bytes, str]] = {
    "a path out of the folder": (with_paths("../out"), "'../out' is refused: the path leads out"),
    "a path out of the folder, from within": (with_paths("bundle/../../out"), "the path leads out"),
    "an absolute path": (with_paths("/etc/passwd"), "'/etc/passwd' is refused: the path is absolute"),
    "an empty part": (with_paths("bundle//x"), "an empty part"),
    "a folder for a file": (with_paths("bundle/"), "an empty part"),
    "a backslash": (with_paths("bundle\\..\\x"), "a sign that none may have"),
    "an escape sequence": (with_paths("bundle/\x1b[2J"), "a sign that none may have"),
    "half a sign": (with_manifest(lambda m: m["members"][0].update(path="x\ud800")), "a sign that none may have"),
    "a very long path": (with_paths("x/" * 200 + "x"), "too long"),
    "git's own folder": (with_paths(".git/hooks/post-checkout"), "no bundle's to write"),
    "the manifest's own place": (with_paths("bundle/Manifest.json"), "no bundle's to write"),
    "a name twice": (with_paths("README.md", "README.md"), "'README.md' is there twice"),
    "names that differ in case": (with_paths("README.md", "Readme.md"), "are one name to many file systems"),
    "folders that differ in case": (with_paths("a/x", "A/y"), "are one to many file systems"),
    "a name in another form of Unicode": (with_paths("caf\u0065\u0301"), "normal form C"),
    "names that Unicode counts as one": (with_paths("file", "\ufb01le"), "are one name to many file systems"),
    "a file that is a folder too": (with_paths("bundle/x", "bundle/x/y"), "is a file and a folder"),
    "a symbolic link": (with_header(tarfile.SYMTYPE, "/etc"), "stands a symbolic link"),
    "a hard link": (with_header(tarfile.LNKTYPE, "/etc/passwd"), "stands a hard link"),
    "a device node": (with_header(tarfile.CHRTYPE), "stands a device node"),
    "a pipe": (with_header(tarfile.FIFOTYPE), "stands a pipe"),
    "a folder's header": (with_header(tarfile.DIRTYPE), "stands a folder"),
    "a member that is not in the manifest": (unlisted(), "its members take"),
    "a member that is missing": (body(LISTED[:2], CONTENTS[:2]) + tail(manifest(LISTED).text()), "its members take"),
    "members exchanged": (swapped(), "'bundle/wheels/one-1.whl' is damaged"),
    "one bit of a member": (flipped(sound(), FIRST + 512 + 7), "'bundle/wheels/one-1.whl' is damaged"),
    "one bit of the last member": (flipped(sound(), 2 * FIRST), "is damaged"),
    "one bit of a header": (flipped(sound(), FIRST + 3), "in the place of its member"),
    "one bit behind a member": (flipped(sound(), FIRST - 1), "something stands behind its member 'README.md'"),
    "one bit behind the last member": (
        flipped(sound(), sum(map(archive.extent, LISTED)) + 9),
        "behind its last member",
    ),
    "one bit of the manifest": (flipped(sound(), sound().rindex(b'"dlmatrix": "1"') + 13), "its end is damaged"),
    "one bit of the zip's directory": (flipped(sound(), len(sound()) - 60), ""),
    "cut in a member": (sound()[: FIRST + 700], "no whole bundle"),
    "cut in the manifest": (sound()[:-700], "no whole bundle"),
    "cut by one byte": (sound()[:-1], "no whole bundle"),
    "its beginning is missing": (sound()[512:], "its members take"),
    "only its end": (sound()[-300:], "its beginning is missing"),
    "something behind it": (sound() + b"x", "something stands behind it"),
    "nothing": (b"", "no whole bundle"),
    "another file": (b"#!/bin/sh\n" * 999, "no whole bundle"),
    "sizes that are not there": (with_manifest(larger), "its manifest declares"),
    "a bomb": (with_zip(bomb), "a bomb"),
    "a compressed end": (with_zip(squeezed), "disagree"),
    "a name twice at its end": (with_zip(twice), "disagree"),
    "a directory that disagrees with its headers": (other_local_header(), "its end is damaged"),
    "no manifest": (with_zip(without_manifest), "it has no manifest"),
    "a manifest of a gigabyte": (huge_manifest(), f"none has more than {LONGEST:,}"),
    "a manifest without end": (body(LISTED, CONTENTS) + tail(b"[" * 100_000), "not understood"),
    "a manifest that is none": (body(LISTED, CONTENTS) + tail(b"\xff\xfe"), "not understood"),
    "a manifest that is a list": (body(LISTED, CONTENTS) + tail(b"[]\n"), "names no format"),
    "a key of the manifest twice": (same_key(), "not written as one is"),
    "a number of 100,000 digits": (digits(), "not understood"),
    "levels where a text belongs": (with_manifest(deep), "not understood"),
    "a key that nobody knows": (with_manifest(lambda m: m.update(more="")), "its keys are"),
    "a key too few": (with_manifest(lambda m: m.pop("versions")), "its keys are"),
    "a size that is a text": (with_manifest(lambda m: m["members"][0].update(size="7")), "size of README.md is no int"),
    "a size below nothing": (with_manifest(lambda m: m["members"][0].update(size=-7)), "size or sha256 of README.md"),
    "no sha256": (with_manifest(lambda m: m["members"][0].update(sha256="x")), "size or sha256 of README.md"),
    "another format": (with_manifest(lambda m: m.update(format=2)), "a bundle of another format than 1"),
    "another program to start": (
        body(LISTED, CONTENTS) + tail(manifest(LISTED).text(), {"__main__.py": b"print('hostile')\n"}),
        "what `python3 FILE` would run",
    ),
    "one program more to start": (
        body(LISTED, CONTENTS) + tail(manifest(LISTED).text(), {**MAIN, "os.py": b""}),
        "what `python3 FILE` would run",
    ),
}


@pytest.mark.parametrize("what", HOSTILE)
def test_is_refused_with_one_message_and_nothing_is_left(what: str, tmp_path: Path, cli: Cli) -> None:
    data, message = HOSTILE[what]
    (tmp_path / "here").mkdir()
    file = tmp_path / "here" / "x.bundle"
    file.write_bytes(data)
    code, _, err = cli("unbundle", str(file), str(tmp_path / "here" / "new"))
    assert (code, err.count("dlmatrix:")) == (BundleError.exit_code, 1)
    assert message in err
    assert str(file) in err
    assert err.count("\n") == 2, "one line, and the next step"
    assert [one.name for one in (tmp_path / "here").iterdir()] == ["x.bundle"]
    assert sorted(one.name for one in tmp_path.iterdir()) == ["here"]


def test_a_sound_one_is_taken(tmp_path: Path, cli: Cli) -> None:
    (tmp_path / "x.bundle").write_bytes(sound())
    code, _, _ = cli("unbundle", str(tmp_path / "x.bundle"), str(tmp_path / "new"))
    assert code == 0
    found = {
        p.relative_to(tmp_path / "new").as_posix(): p.read_bytes() for p in (tmp_path / "new").rglob("*") if p.is_file()
    }
    assert found.pop("bundle/manifest.json") == manifest(LISTED).text()
    assert found == FILES
    assert sorted(one.name for one in tmp_path.iterdir()) == ["new", "x.bundle"]


def test_every_single_byte_counts(tmp_path: Path) -> None:
    """Whichever byte is another, the bundle is refused."""
    from dlmatrix.bundle.reader import Bundle

    data = sound({"a": b"12", "bundle/b": b"345"})
    file = tmp_path / "x.bundle"
    taken = []
    for place in range(len(data)):
        file.write_bytes(flipped(data, place))
        try:
            with Bundle(file) as bundle:
                bundle.verify()
            taken.append(place)
        except BundleError:
            pass
    assert taken == []


@pytest.mark.parametrize("number", range(len(FILES)))
def test_a_disk_that_is_full_at_a_member(
    number: int, tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = list(FILES)[number]
    write = unpack._write

    def full(folder: Path, member: Any, pieces: Any) -> None:
        if member.path == path:
            write(folder, member, iter([b"half"]))
            raise OSError(28, "No space left on device")
        write(folder, member, pieces)

    monkeypatch.setattr(unpack, "_write", full)
    (tmp_path / "x.bundle").write_bytes(sound())
    code, _, err = cli("unbundle", str(tmp_path / "x.bundle"), str(tmp_path / "new"))
    assert code == 9
    assert "No space left on device" in err
    assert [one.name for one in tmp_path.iterdir()] == ["x.bundle"]


def test_no_room_for_all_of_it_is_said_before_anything_is_written(
    tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unpack, "_SPARE", 1 << 60)
    (tmp_path / "x.bundle").write_bytes(sound())
    code, _, err = cli("unbundle", str(tmp_path / "x.bundle"), str(tmp_path / "new"))
    assert code == 9
    assert "are needed" in err
    assert [one.name for one in tmp_path.iterdir()] == ["x.bundle"]


@pytest.mark.parametrize("what", ["a file", "a folder with something", "a link"])
def test_what_is_there_is_left_alone(what: str, tmp_path: Path, cli: Cli) -> None:
    (tmp_path / "x.bundle").write_bytes(sound())
    new = tmp_path / "new"
    if what == "a file":
        new.write_text("mine")
    elif what == "a link":
        new.symlink_to("elsewhere")
    else:
        new.mkdir()
        (new / "mine").write_text("mine")
    code, _, err = cli("unbundle", str(tmp_path / "x.bundle"), str(new))
    assert (code, "is there already" in err) == (2, True)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["new", "x.bundle"]
