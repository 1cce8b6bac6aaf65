"""A lock holds exact, hashed pins and nothing else."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from dlmatrix.errors import ConfigError
from dlmatrix.matrix.locks import read_lock

ONE, TWO = "1" * 64, "2" * 64
RELOCK = ".venv/bin/nox -s lock -- cpu-x --write"


def lock(folder: Path, text: str) -> Path:
    file = folder / "cpu-x.txt"
    file.write_text(text)
    return file


def test_entries_hashes_and_digest(tmp_path: Path) -> None:
    text = (
        f"# a header\n\nTyping_Extensions==4.1 \\\n    --hash=sha256:{ONE} \\\n    --hash=sha256:{TWO}\n"
        f"    # via torch\ntorch[extra]==2.13.0+cpu ; python_version < '4' --hash=sha256:{TWO}  # why\n"
    )
    found = read_lock(lock(tmp_path, text), RELOCK)
    assert [(e.name, e.version, e.hashes) for e in found.entries] == [
        ("typing-extensions", "4.1", (ONE, TWO)),
        ("torch", "2.13.0+cpu", (TWO,)),
    ]
    assert found.sha256 == hashlib.sha256(text.encode()).hexdigest()
    assert (found.version_of("torch"), found.version_of("numpy")) == ("2.13.0+cpu", None)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("numpy==2.0", "numpy has no sha256"),
        ("numpy==2.0 --hash=sha256:123", "numpy has no sha256"),
        (f"numpy==2.0 --hash=md5:{ONE}", "numpy has no sha256"),
        (f"numpy>=2.0 --hash=sha256:{ONE}", "not an exact pin: numpy>=2.0"),
        (f"numpy==2.* --hash=sha256:{ONE}", "not an exact pin: numpy==2.*"),
        (f"numpy --hash=sha256:{ONE}", "not an exact pin"),
        (f"numpy==2.0 ; nonsense --hash=sha256:{ONE}", "not a marker: nonsense"),
        ("--index-url mirror", "only name==version entries belong in a lock"),
        ("-r other.txt", "only name==version entries belong in a lock"),
        (f"Idna==4 --hash=sha256:{ONE}", "idna is locked twice: in line 2, too"),
        (f"numpy @ https://mirror.example/numpy.whl --hash=sha256:{ONE}", "only name==version entries"),
    ],
)
def test_anything_else_is_refused_with_its_line(tmp_path: Path, line: str, says: str) -> None:
    file = lock(tmp_path, f"# header\nidna==3 --hash=sha256:{ONE}\n{line}\n")
    with pytest.raises(ConfigError) as refused:
        read_lock(file, RELOCK)
    assert refused.value.message.startswith(f"{file}:3: {says}")
    assert refused.value.next_step == f"regenerate it: {RELOCK}"


def test_a_version_for_each_python_is_no_second_lock(tmp_path: Path) -> None:
    text = "".join(
        f"idna=={n} ; python_version {sign} '3.11' --hash=sha256:{ONE}\n" for n, sign in ((3, "<"), (4, ">="))
    )
    assert [entry.version for entry in read_lock(lock(tmp_path, text), RELOCK).entries] == ["3", "4"]


def test_what_is_no_file_is_refused_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "cpu-x.txt").mkdir()
    with pytest.raises(ConfigError, match=r"cpu-x\.txt: Is a directory"):
        read_lock(tmp_path / "cpu-x.txt", RELOCK)


@pytest.mark.parametrize("text", ["", "# only a comment\n"])
def test_an_empty_lock_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match=r"cpu-x\.txt: the lock names no distribution"):
        read_lock(lock(tmp_path, text), RELOCK)


def test_a_missing_lock_names_the_command_that_makes_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cpu-x\.txt: there is no lock") as refused:
        read_lock(tmp_path / "cpu-x.txt", RELOCK)
    assert refused.value.next_step == f"generate it: {RELOCK}"
