"""What of a lock lies in the find-links folders."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from dlmatrix.matrix.local import Local
from dlmatrix.matrix.model import Lock, LockEntry, Site
from dlmatrix.matrix.site import uv_config
from dlmatrix.system.files import sha256

DIGEST = hashlib.sha256(b"").hexdigest()


def lock(folder: Path, **pins: str) -> Lock:
    entries = tuple(LockEntry(name=name, version=version, hashes=(DIGEST,)) for name, version in pins.items())
    return Lock(file=folder / "locks" / "lock.txt", sha256="", entries=entries)


def folder_of(folder: Path, *names: str) -> Site:
    for name in names:
        (folder / name).touch()
    return Site(find_links=(folder,))


def test_local_files_are_those_the_lock_names_however_they_are_spelled(tmp_path: Path) -> None:
    names = ("PyYAML-6.0-py3-none-any.whl", "typing_extensions-4.1-py3-none-any.whl", "ruamel.yaml-1.tar.gz")
    site = folder_of(tmp_path, *names, "typing_extensions-4.2-py3-none-any.whl", "numpy-2-py3-none-any.whl", "x.whl")
    locked = lock(tmp_path, **{"pyyaml": "6.0", "typing-extensions": "4.1", "ruamel-yaml": "1"})
    assert {file.name for file in Local(site, locked, "3.11").files} == set(names)


@pytest.mark.parametrize(
    ("tag", "python", "fits"),
    [
        ("py3-none-any", "3.11", True),
        ("py2.py3-none-any", "3.7", True),
        ("cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64", "3.11", True),
        ("cp311-cp311-linux_x86_64", "3.11", True),
        ("cp37-cp37m-manylinux2010_x86_64", "3.7", True),
        ("cp38-abi3-manylinux_2_28_x86_64", "3.13", True),
        ("py3-none-manylinux2014_x86_64", "3.13", True),
        ("cp311-cp311-manylinux_2_28_x86_64", "3.10", False),
        ("cp313-cp313t-manylinux_2_28_x86_64", "3.13", False),
        ("cp311-cp311-musllinux_1_2_x86_64", "3.11", False),
        ("cp311-cp311-manylinux_2_28_aarch64", "3.11", False),
        ("cp311-cp311-win_amd64", "3.11", False),
        ("nothing", "3.11", False),
    ],
)
def test_a_wheel_counts_where_the_python_can_use_it(tmp_path: Path, tag: str, python: str, fits: bool) -> None:
    site = folder_of(tmp_path, f"numpy-2.0-{tag}.whl")
    assert Local(site, lock(tmp_path, numpy="2.0"), python).whole is fits


def test_a_source_counts_where_it_is_locked_what_to_build_it_with(tmp_path: Path) -> None:
    site = folder_of(tmp_path, "gast-0.2.2.tar.gz", "numpy-2.0-py3-none-any.whl", "wheel-1-py3-none-any.whl")
    locked = lock(tmp_path, gast="0.2.2", numpy="2.0")
    assert Local(site, locked, "3.7").lacking == ("gast==0.2.2",)
    locked.file.parent.mkdir()
    build = locked.file.with_suffix(".build.txt")
    build.write_text(f"wheel==1 --hash=sha256:{DIGEST}\nsetuptools==2 --hash=sha256:{DIGEST}\n")
    assert Local(site, locked, "3.7").lacking == ("setuptools==2",)
    folder_of(tmp_path, "setuptools-2-py3-none-any.whl")
    assert Local(site, locked, "3.7").whole


def test_a_file_with_other_bytes_is_named_unless_a_right_one_is_there_too(tmp_path: Path) -> None:
    site = folder_of(tmp_path, "numpy-2.0-1-py3-none-any.whl")
    wrong = tmp_path / "numpy-2.0-py3-none-any.whl"
    wrong.write_bytes(b"torn")
    locked = lock(tmp_path, numpy="2.0")
    assert Local(site, locked, "3.11").whole
    (tmp_path / "numpy-2.0-1-py3-none-any.whl").unlink()
    found = Local(site, locked, "3.11")
    assert (found.whole, found.altered, found.lacking) == (False, (wrong,), ())


def test_no_index_is_named_where_the_folders_have_all_of_it(tmp_path: Path) -> None:
    site = Site(find_links=(tmp_path,), index="https://mirror.example/simple")
    locked = lock(tmp_path, torch="2.13.0+cpu")
    assert "mirror.example" in uv_config(site, Local(site, locked, "3.11"))
    folder_of(tmp_path, "torch-2.13.0+cpu-cp311-cp311-manylinux_2_28_x86_64.whl")
    assert uv_config(site, Local(site, locked, "3.11")) == "no-index = true\n"
    assert "mirror.example" in uv_config(site, Local(site, locked, "3.12"))


def test_a_file_s_bytes_are_read_once_however_often_the_settings_are_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = folder_of(tmp_path, "numpy-2.0-py3-none-any.whl")
    read: list[Path] = []

    def counted(file: Path) -> str:
        read.append(file)
        return sha256(file)

    monkeypatch.setattr("dlmatrix.matrix.local.sha256", counted)
    local = Local(site, lock(tmp_path, numpy="2.0"), "3.11")
    for _ in range(2):
        assert uv_config(site, local) == "no-index = true\n"
    assert [file.name for file in read] == ["numpy-2.0-py3-none-any.whl"]
