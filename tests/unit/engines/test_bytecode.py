"""The bytecode in an image is a function of its source alone."""

from __future__ import annotations

import importlib.util
import io
import marshal
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

SOURCE = (
    "import os\nVALUE = 'first'\n\n\ndef join(paths, get=None):\n    return os.path.join(*paths), get, 'join', 1.5\n"
)


@pytest.fixture
def compiled(root: Path, tmp_path: Path) -> Path:
    """A folder with a package and a module, and their bytecode, as images have them."""
    (tmp_path / "package" / "sub").mkdir(parents=True)
    for name in ("package/__init__.py", "package/sub/__init__.py", "alone.py"):
        (tmp_path / name).write_text(SOURCE)
    (tmp_path / "package" / "template.py").write_text("{{ no Python }}\n")
    (tmp_path / "package" / "null.py").write_bytes(b"\0")
    compile_folder(root, tmp_path)
    return tmp_path


def compile_folder(root: Path, folder: Path) -> None:
    sources = io.BytesIO()
    with tarfile.open(fileobj=sources, mode="w") as tar:
        for file in sorted(folder.rglob("*.py")):
            tar.add(file, f"0/{file.relative_to(folder)}")
    command = [sys.executable, "-S", "-W", "ignore", str(root / "docker" / "compile-bytecode")]
    done = subprocess.run(command, input=sources.getvalue(), capture_output=True, check=True)
    assert done.stderr == b""
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as tar:
        for member in tar:
            target = folder / member.name.removeprefix("0/")
            target.parent.mkdir(exist_ok=True)
            target.write_bytes(tar.extractfile(member).read())  # type: ignore[union-attr]


def cached(file: Path) -> Path:
    return Path(importlib.util.cache_from_source(str(file)))


def bytecode(source: str, name: str) -> bytes:
    code = compile(source, name, "exec", dont_inherit=True)
    head = importlib.util.MAGIC_NUMBER + b"\1\0\0\0" + importlib.util.source_hash(source.encode())
    return head + marshal.dumps(code, 2)


@pytest.mark.parametrize("name", ["package/__init__.py", "package/sub/__init__.py", "alone.py"])
def test_another_process_makes_the_same_bytes(compiled: Path, name: str) -> None:
    # This one refers to `join`, `get` and much else, which the format's later versions would mark.
    assert cached(compiled / name).read_bytes() == bytecode(SOURCE, name)


def test_it_is_what_an_import_takes_without_looking_at_the_source(compiled: Path) -> None:
    (compiled / "alone.py").write_text("VALUE = 'second'\n")
    command = [sys.executable, "-c", "import alone; print(alone.VALUE, alone.join(['a', 'b']))"]
    done = subprocess.run(command, cwd=compiled, capture_output=True, text=True, check=True)
    assert done.stdout == "first ('a/b', None, 'join', 1.5)\n"


def test_what_is_no_python_has_none(compiled: Path) -> None:
    assert sorted(p.name.split(".")[0] for p in compiled.rglob("*.pyc")) == ["__init__", "__init__", "alone"]


def test_another_source_and_another_place_are_compiled(root: Path, compiled: Path) -> None:
    (compiled / "package/__init__.py").write_text("MORE = 1\n")
    compile_folder(root, compiled)
    for name, source in (("package/__init__.py", "MORE = 1\n"), ("package/sub/__init__.py", SOURCE)):
        assert cached(compiled / name).read_bytes() == bytecode(source, name)
