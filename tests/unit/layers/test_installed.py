"""An installation taken apart: each file goes with its distribution, as it is to be in an image."""

from __future__ import annotations

import base64
import hashlib
import os
import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from dlmatrix.errors import BuildError
from dlmatrix.layers.installed import File, Installed, all_files, take_apart

BODY = b"# -*- coding: utf-8 -*-\nimport sys\n"


class Installing:
    """What uv leaves of wheels: links to what it has unpacked, and files of its own."""

    def __init__(self, folder: Path) -> None:
        self.venv, self._cache = folder / "venv", folder / "cache"
        self.packages = self.venv / "lib" / "python3.12" / "site-packages"
        self.packages.mkdir(parents=True)
        (self.venv / "bin").mkdir()
        (self.venv / "bin" / "python").write_text("")
        self.before = frozenset(all_files(self.venv))

    def wheel(self, name: str, files: Mapping[str, bytes], *, listed: Mapping[str, bytes] | None = None) -> Path:
        """Install one; ``listed`` is what its RECORD has beside its files, ``None`` for the same."""
        root, info = self._cache / name, f"{name}-1.0.dist-info"
        for path, content in {**files, f"{info}/METADATA": b"Name: x\n"}.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_bytes(content)
            target = self.packages / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.unlink(missing_ok=True)
            target.symlink_to(root / path)
        rows = [row(path, content) for path, content in (files if listed is None else listed).items()]
        record = self.packages / info / "RECORD"
        record.write_text("".join([*rows, row(f"{info}/METADATA", b"Name: x\n"), f"{info}/RECORD,,\n"]))
        return record

    def script(self, record: Path, name: str, head: str) -> None:
        content = head.encode() + BODY
        (self.venv / "bin" / name).write_bytes(content)
        (self.venv / "bin" / name).chmod(0o755)
        record.write_text(row(f"../../../bin/{name}", content) + record.read_text())

    def apart(self) -> dict[str, Installed]:
        return take_apart(self.venv, self.before, "3.7")


def row(path: str, content: bytes) -> str:
    digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
    return f"{path},sha256={digest},{len(content)}\n"


def by_path(installed: Installed) -> dict[str, File]:
    return {file.path.removeprefix("lib/python3.7/site-packages/"): file for file in installed.files}


@pytest.fixture
def installing(tmp_path: Path) -> Installing:
    return Installing(tmp_path)


def test_files_go_with_their_distribution_and_to_the_images_python(installing: Installing) -> None:
    installing.wheel("one", {"one/__init__.py": b"1\n"})
    installing.wheel("two_more", {"two.py": b"2\n"})
    found = installing.apart()
    assert set(by_path(found["one"])) == {"one/__init__.py", "one-1.0.dist-info/METADATA", "one-1.0.dist-info/RECORD"}
    assert by_path(found["two_more"])["two.py"].read() == b"2\n"
    assert {file.path.partition("/site-packages/")[0] for file in found["one"].files} == {"lib/python3.7"}


@pytest.mark.parametrize(
    "head", ["#!{0}/bin/python\n", "#!/bin/sh\n'''exec' \"{0}/bin/python\" \"$0\" \"$@\"\n' '''\n"]
)
def test_a_script_names_the_images_interpreter_and_its_record_says_so(installing: Installing, head: str) -> None:
    record = installing.wheel("one", {"one.py": b"1\n"})
    installing.script(record, "tool", head.format(installing.venv))
    found = by_path(installing.apart()["one"])
    content = b"#!/opt/venv/bin/python\n" + BODY
    assert (found["bin/tool"].read(), found["bin/tool"].executable) == (content, True)
    assert found["one-1.0.dist-info/RECORD"].read().decode().startswith(row("../../../bin/tool", content))


def test_what_uv_notes_for_itself_is_left_out(installing: Installing) -> None:
    record = installing.wheel("one", {"one.py": b"1\n"})
    (record.parent / "uv_cache.json").write_text("{}")
    record.write_text(row("one-1.0.dist-info/uv_cache.json", b"{}") + record.read_text())
    (installing.venv / ".lock").touch()
    found = by_path(installing.apart()["one"])
    assert "one-1.0.dist-info/uv_cache.json" not in found
    assert "uv_cache" not in found["one-1.0.dist-info/RECORD"].read().decode()


def test_what_no_record_lists_goes_with_the_wheel_that_it_came_from(installing: Installing) -> None:
    installing.wheel("one", {"one.py": b"1\n", "one/unlisted.txt": b"?"}, listed={"one.py": b"1\n"})
    installing.wheel("two", {"two.py": b"2\n"})
    assert by_path(installing.apart()["one"])["one/unlisted.txt"].read() == b"?"


def test_an_empty_folder_is_kept(installing: Installing) -> None:
    record = installing.wheel("one", {"one.py": b"1\n", "one.libs/x": b""}, listed={"one.py": b"1\n"})
    (record.parents[1] / "one.libs" / "x").unlink()
    assert by_path(installing.apart()["one"])["one.libs"].content is None


def test_a_file_of_nobody_stops_it(installing: Installing) -> None:
    installing.wheel("one", {"one.py": b"1\n"})
    (installing.packages / "stray.py").write_text("?")
    with pytest.raises(BuildError, match=r"stray\.py"):
        installing.apart()


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        (b"\xff\xfe\n", "its RECORD cannot be read"),
        (b"x" * 200_000, "its RECORD cannot be read: field larger"),
        (b"../../../../secret,sha256=x,6\n", "RECORD names '../../../../secret', which is not in the environment"),
        (b"%s/secret,sha256=x,6\n", "/secret', which is not in the environment"),
        (b"a\0b,,\n", "RECORD"),
    ],
)
def test_a_record_that_means_harm_stops_it(installing: Installing, tmp_path: Path, lines: bytes, says: str) -> None:
    (tmp_path / "secret").write_text("secret")
    record = installing.wheel("one", {"one.py": b"1"})
    record.write_bytes(record.read_bytes() + (lines % os.fsencode(tmp_path) if b"%s" in lines else lines))
    with pytest.raises(BuildError, match=re.escape(says)):
        installing.apart()


def test_a_line_of_a_record_that_is_empty_is_passed_over(installing: Installing) -> None:
    record = installing.wheel("one", {"one.py": b"1"})
    record.write_bytes(b"\n" + record.read_bytes() + b"\n\n")
    assert "one.py" in by_path(installing.apart()["one"])


def test_what_was_there_before_is_no_distributions(installing: Installing) -> None:
    record = installing.wheel("one", {"one.py": b"1"})
    record.write_text("../../../bin/python,,\n" + record.read_text())
    assert not any("bin/python" in path for path in by_path(installing.apart()["one"]))


def test_of_two_that_bring_one_path_each_keeps_its_own(installing: Installing) -> None:
    installing.wheel("one", {"shared.py": b"1\n"})
    installing.wheel("two", {"shared.py": b"2\n"})
    found = installing.apart()
    assert [by_path(found[name])["shared.py"].read() for name in ("one", "two")] == [b"1\n", b"2\n"]
    assert len({found[name].sums["lib/python3.7/site-packages/shared.py"] for name in ("one", "two")}) == 2
