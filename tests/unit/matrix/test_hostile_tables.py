"""Whatever stands in a file of TOML, in whichever key: it is understood, or refused in one message by file and key."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from dlmatrix.errors import ConfigError
from dlmatrix.inspection.digests import read_records
from dlmatrix.matrix.compatibility import load_compatibility
from dlmatrix.matrix.load import load_matrix, lock_of
from dlmatrix.matrix.model import Status
from dlmatrix.matrix.site import read_site, uv_config
from dlmatrix.system.toml import Table, read_toml
from tests.unit import hostile
from tests.unit.hostile import CONTENTS, VALUES

_SHA256 = "0" * 64
_WHEEL = {"file": "a-1-py3-none-any.whl", "sha256": _SHA256, "requires": ["numpy"]}
_CELL = {
    "status": "unverified",
    "reason": "never run",
    "requirements": ["torch==2.13.0+cpu", "numpy"],
    "constraints": ["numpy<3"],
    "build-requirements": ["setuptools"],
    "size-budget-mb": 1100,
    "wheels": [_WHEEL],
}
_ENV = {
    "series": "torch",
    "version": "2.13.0",
    "python": "3.11",
    "exclude-newer": "2026-11-01T00:00:00Z",
    "cpu": _CELL,
    "gpu": {"status": "impossible", "reason": "no wheels of it"},
}
_DEBIAN = {"suite": "bookworm", "packages": ["python3"], "copy-interpreter": True}
_BASES = {"python": {"3.11": {"image": f"python@sha256:{_SHA256}", "debian": _DEBIAN}}}
_LOCK = f"torch==2.13.0+cpu --hash=sha256:{_SHA256}\nnumpy==2.4.6 --hash=sha256:{_SHA256}\n"
_INDEX = {"url": "https://e.invalid/simple", "default": True}
_PIP = {"index-url": "https://e.invalid/1", "extra-index-url": ["https://e.invalid/2"], "find-links": ["wheels"]}
_UV = {**_PIP, "index": [_INDEX], "pip": _PIP}
#: What a terminal, a table or uv would obey: no key takes it.
_REFUSED = ("terminal escapes", "a zero byte", "a line turned around")


@dataclass(frozen=True, kw_only=True)
class Reader:
    """A reader of one file below a folder, and a sample of that with every key that it knows."""

    file: str
    sample: dict[str, Any]
    read: Callable[[Path], object]


def _read_envs(folder: Path) -> None:
    matrix = load_matrix(folder)
    for env in matrix.envs:
        if env.status is not Status.IMPOSSIBLE:
            lock_of(matrix, env)


def _read_gpus(folder: Path) -> None:
    load_compatibility(folder).capability_of("NVIDIA H100 80GB HBM3")


def _read_uv(folder: Path) -> None:
    environ = {"HOME": str(folder), "UV_CONFIG_FILE": str(folder / "uv.toml"), "PIP_CONFIG_FILE": "/dev/null"}
    site = read_site(environ)
    made = folder / "made.toml"
    made.write_text(uv_config(site, _Nothing()))  # type: ignore[arg-type]
    read_toml(made)


class _Nothing:
    """Nothing is at hand."""

    whole, lacking = False, ()


def _short(value: Any) -> Any:
    """Of each array of a real file the first two, which may be the ends of a range; of a table of texts as many."""
    if isinstance(value, dict):
        texts = all(isinstance(one, str) for one in value.values())
        return {key: _short(one) for key, one in list(value.items())[: 2 if texts else None]}
    return [_short(one) for one in value[:2]] if isinstance(value, list) else value


def _readers() -> dict[str, Reader]:
    envs = Path(__file__).parents[3] / "envs"
    records = read_toml(envs / "digests.toml")
    first = dict([min(records.items())])
    return {
        "env": Reader(file="envs/torch-2.13.toml", sample=_ENV, read=_read_envs),
        "bases": Reader(file="envs/bases.toml", sample=_BASES, read=_read_envs),
        "compatibility": Reader(
            file="envs/compatibility.toml", sample=_short(read_toml(envs / "compatibility.toml")), read=_read_gpus
        ),
        "digests": Reader(file="envs/digests.toml", sample=first, read=read_records),
        "uv": Reader(file="uv.toml", sample=_UV, read=_read_uv),
    }


READERS = _readers()
each_reader = pytest.mark.parametrize("reader", READERS.values(), ids=READERS.keys())


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "envs" / "locks").mkdir(parents=True)
    (tmp_path / "envs" / "bases.toml").write_text(hostile.toml(_BASES))
    (tmp_path / "envs" / "torch-2.13.toml").write_text(hostile.toml(_ENV))
    (tmp_path / "envs" / "locks" / "cpu-torch-2.13.txt").write_text(_LOCK)
    return tmp_path


@each_reader
def test_each_sample_is_right_and_has_every_key(reader: Reader, tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    taken = set()
    really = Table.take

    def take(table: Table, key: str, *more: Any) -> Any:
        if table.file == tree / reader.file:
            taken.add(re.sub(r'\[\d+]|"', "", f"{table.path}{key}"))
        return really(table, key, *more)

    monkeypatch.setattr(Table, "take", take)
    (tree / reader.file).write_text(hostile.toml(reader.sample))
    reader.read(tree)
    sampled = {".".join(str(key) for key in at if not isinstance(key, int)) for at in hostile.paths(reader.sample)}
    assert taken - sampled <= {"gpu.requirements", "gpu.size-budget-mb"}
    assert taken or reader.file == "uv.toml"


@each_reader
@pytest.mark.parametrize("kind", VALUES)
def test_a_value_of_another_kind_is_refused_by_its_key(reader: Reader, kind: str, tree: Path) -> None:
    wrong = []
    for at in hostile.paths(reader.sample):
        if at:
            (tree / reader.file).write_text(hostile.toml(hostile.changed(reader.sample, at, VALUES[kind])))
            key = next(str(one) for one in reversed(at) if isinstance(one, str))
            wrong += [(at, said) for said in _judged(reader, tree, key, refused=kind in _REFUSED)]
    assert wrong == []


@each_reader
@pytest.mark.parametrize("kind", ["terminal escapes", "a line turned around", "a long text", "no regular expression"])
def test_a_hostile_key_is_refused(reader: Reader, kind: str, tree: Path) -> None:
    key = VALUES.get(kind, "(")
    wrong = []
    for at in hostile.paths(reader.sample):
        for last in [at[-1]] if at and isinstance(at[-1], str) else []:
            made = hostile.changed(reader.sample, at, None)
            owner = made
            for above in at[:-1]:
                owner = owner[above]
            value = reader.sample
            for one in at:
                value = value[one]  # type: ignore[index]
            del owner[last]
            owner[key] = value
            (tree / reader.file).write_text(hostile.toml(made))
            wrong += [(at, said) for said in _judged(reader, tree, "", refused=False)]
    assert wrong == []


@each_reader
@pytest.mark.parametrize("kind", CONTENTS)
def test_a_file_that_is_none_is_refused(reader: Reader, kind: str, tree: Path) -> None:
    (tree / reader.file).write_bytes(CONTENTS[kind])
    assert _judged(reader, tree, "", refused=False) == []


@each_reader
def test_a_file_of_200_mb_is_refused_before_it_is_read_whole(reader: Reader, tree: Path) -> None:
    with (tree / reader.file).open("wb") as file:
        file.truncate(200_000_000)
    with pytest.raises(ConfigError, match="it has more than 10 MB"):
        reader.read(tree)


def _judged(reader: Reader, tree: Path, key: str, *, refused: bool) -> list[str]:
    """What is wrong with how a reader takes its file."""
    try:
        reader.read(tree)
    except ConfigError as error:
        named = error.message.startswith(f"{tree / reader.file}: ")
        if not (named and error.next_step and (key in error.message or "not valid TOML" in error.message)):
            return [f"it does not say where: {error}"]
        return ["there is no end to its message"] if len(str(error)) > 1500 else []
    except Exception as error:  # noqa: BLE001 - whatever it is, it is no answer
        return [f"a traceback: {error!r:.200}"]
    return ["it was taken"] if refused else []
