"""docker/make-base: what it copies of an interpreter, and what it refuses. No base is made here."""

from __future__ import annotations

import subprocess
import sys
import tarfile
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType

import pytest

EPOCH = 1_700_000_000


@pytest.fixture(scope="module")
def make_base(root: Path) -> ModuleType:
    """The script as a module; it has no suffix, as it is a program."""
    loader = SourceFileLoader("make_base", str(root / "docker" / "make-base"))
    spec = spec_from_loader("make_base", loader)
    assert spec is not None
    module = module_from_spec(spec)
    loader.exec_module(module)
    return module


def _prefix(folder: Path) -> Path:
    """A prefix with all that a real one mixes: the library, its tests, caches, and its owner's packages."""
    library = folder / "lib" / "python3.7"
    files = {
        folder / "bin" / "python3.7": "program",
        folder / "lib" / "libpython3.7m.so.1.0": "library",
        library / "os.py": "import sys\n",
        library / "_sysconfigdata_m_linux_x86_64-linux-gnu.py": f"prefix = '{folder}'\n",
        library / "json" / "__init__.py": "",
        library / "json" / "__pycache__" / "__init__.cpython-37.pyc": "stale",
        library / "test" / "test_os.py": "",
        library / "config-3.7m-x86_64-linux-gnu" / "libpython3.7m.a": "",
        library / "lib-dynload" / "math.cpython-37m-x86_64-linux-gnu.so": "",
        library / "lib-dynload" / "_tkinter.cpython-37m-x86_64-linux-gnu.so": "",
        library / "site-packages" / "owner.pth": "import secret\n",
    }
    for file, text in files.items():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    (folder / "bin" / "python3.7").chmod(0o755)
    return folder


def test_an_interpreter_is_copied_without_tests_caches_and_its_owners_packages(
    make_base: ModuleType, tmp_path: Path
) -> None:
    prefix = _prefix(tmp_path / "prefix")
    make_base.copy_interpreter(prefix, "3.7", EPOCH, tmp_path / "python.tar")
    with tarfile.open(tmp_path / "python.tar") as tar:
        assert tar.getnames() == [
            "bin/python3.7",
            "bin/python3",
            "lib/libpython3.7m.so.1.0",
            "lib/python3.7",
            "lib/python3.7/_sysconfigdata_m_linux_x86_64-linux-gnu.py",
            "lib/python3.7/json",
            "lib/python3.7/json/__init__.py",
            "lib/python3.7/lib-dynload",
            "lib/python3.7/lib-dynload/math.cpython-37m-x86_64-linux-gnu.so",
            "lib/python3.7/os.py",
            "lib/python3.7/site-packages",
        ]
        recorded = tar.extractfile("lib/python3.7/_sysconfigdata_m_linux_x86_64-linux-gnu.py")
        assert recorded is not None
        assert recorded.read() == b"prefix = '/usr/local'\n"
        assert {(member.mtime, member.uid, member.uname) for member in tar} == {(EPOCH, 0, "")}


def test_another_place_umask_and_date_give_the_same_tar(make_base: ModuleType, tmp_path: Path) -> None:
    first, second = _prefix(tmp_path / "one"), _prefix(tmp_path / "some" / "where" / "else")
    for file in second.rglob("*"):
        file.chmod(file.stat().st_mode & ~0o077)
    make_base.copy_interpreter(first, "3.7", EPOCH, tmp_path / "first.tar")
    make_base.copy_interpreter(second, "3.7", EPOCH, tmp_path / "second.tar")
    assert (tmp_path / "first.tar").read_bytes() == (tmp_path / "second.tar").read_bytes()


def test_a_prefix_without_that_python_is_refused_by_name(make_base: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(make_base.MakeBaseError, match=r"no Python 3\.7 under .*--python-prefix"):
        make_base.copy_interpreter(tmp_path, "3.7", EPOCH, tmp_path / "python.tar")


def test_a_version_that_is_none_is_a_usage_error(root: Path) -> None:
    words = ["--suite", "bookworm", "--python", "3.11; true", "--package", "python3", "--epoch", "1", "--tag", "t"]
    done = subprocess.run(
        [sys.executable, str(root / "docker" / "make-base"), *words], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "is no Python version such as 3.11" in done.stderr
