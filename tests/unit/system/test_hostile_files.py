"""Whatever stands in the other files that people and programs hand over: one message of its kind, or it is taken."""

from __future__ import annotations

import hashlib
import json
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from dlmatrix.bundle import answers
from dlmatrix.bundle.manifest import manifest_of
from dlmatrix.document.result import RUN, read_result
from dlmatrix.engines.docker.address import address
from dlmatrix.engines.layout import Layout
from dlmatrix.errors import BundleError, ConfigError, DlmatrixError, EngineError, ReportError, UsageError
from dlmatrix.fleet import record
from dlmatrix.fleet.ansible.programs import machines
from dlmatrix.guides.read.guide import read_guide
from dlmatrix.matrix.locks import read_lock
from dlmatrix.matrix.site import read_site
from dlmatrix.report import history
from dlmatrix.system import state
from tests.unit import documents, hostile
from tests.unit.bundle import forge

_RESULT = documents.result(documents.env("cpu-torch-2.13", document=documents.document(documents.check("a"))))
_MANIFEST = json.loads(forge.manifest(forge.members(forge.FILES)).text())
_CELLS = [
    {"cell_type": "markdown", "source": ["# Title\n", "text"]},
    {
        "cell_type": "code",
        "source": "pip install x",
        "outputs": [{"output_type": "stream", "name": "stdout", "text": ["done\n"]}],
    },
]
_NOTEBOOK = {"cells": _CELLS, "metadata": {"kernelspec": {"language": "python"}}, "nbformat": 4}
_FAR = hashlib.sha256(b"far").hexdigest()


@dataclass(frozen=True, kw_only=True)
class Reader:
    """A reader of one file below a folder, a right sample of that, and the error of one that is not."""

    file: str
    sample: Any
    read: Callable[[Path], object]
    error: type[DlmatrixError]
    #: how the sample is written
    written: Callable[[Any], str] = json.dumps


def _docker(folder: Path) -> object:
    return address({"DOCKER_CONFIG": str(folder), "DOCKER_CONTEXT": "far"})


def _canonical(data: Any) -> str:
    return json.dumps(data, indent=0, sort_keys=True) + "\n"


READERS = {
    "result": Reader(
        file="result.json", sample=_RESULT, error=ReportError, read=lambda folder: read_result(folder, (RUN,))
    ),
    "manifest": Reader(
        file="manifest.json",
        sample=_MANIFEST,
        error=BundleError,
        written=_canonical,
        read=lambda folder: manifest_of(folder / "manifest.json"),
    ),
    "notebook": Reader(
        file="guide.ipynb", sample=_NOTEBOOK, error=UsageError, read=lambda folder: read_guide(folder / "guide.ipynb")
    ),
    "context": Reader(
        file=f"contexts/meta/{_FAR}/meta.json",
        sample={"Name": "far", "Endpoints": {"docker": {"Host": "unix:///x.sock", "SkipTLSVerify": False}}},
        error=EngineError,
        read=_docker,
    ),
    "docker": Reader(
        file="config.json",
        sample={"auths": {}, "currentContext": "default"},
        error=EngineError,
        read=lambda folder: address({"DOCKER_CONFIG": str(folder)}),
    ),
    "inventory": Reader(
        file="found.json",
        sample={"_meta": {"hostvars": {}}, "all": {"children": ["lab"]}, "lab": {"hosts": ["gpu01"]}},
        error=UsageError,
        read=lambda folder: machines(folder / "lab.ini", "", ()),
    ),
}
each_reader = pytest.mark.parametrize("reader", READERS.values(), ids=READERS.keys())


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where each reader's file is to be; what Ansible finds in an inventory is what stands in found.json."""
    (tmp_path / "contexts" / "meta" / _FAR).mkdir(parents=True)
    (tmp_path / "lab.ini").write_text("gpu01\n")
    (program := tmp_path / "ansible-inventory").write_text(f"#!/bin/sh\ncat {tmp_path}/found.json\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return tmp_path


def judged(reader: Reader, folder: Path) -> list[str]:
    """What is wrong with how a reader takes its file."""
    try:
        reader.read(folder)
    except reader.error as error:
        return [] if error.next_step and len(str(error)) < 1500 else [f"no clear message: {error}"[:300]]
    except Exception as error:  # noqa: BLE001 - whatever it is, it is no answer
        return [f"a traceback: {error!r:.200}"]
    return []


@each_reader
def test_the_sample_is_right(reader: Reader, folder: Path) -> None:
    (folder / reader.file).write_text(reader.written(reader.sample))
    assert reader.read(folder) is not None


@each_reader
@pytest.mark.parametrize("kind", hostile.KINDS)
def test_a_value_of_another_kind_is_taken_or_refused(reader: Reader, kind: str, folder: Path) -> None:
    value = {**hostile.VALUES, **hostile.JSON_ONLY}[kind]
    places = list(hostile.paths(reader.sample))
    # Ansible is a process for each: there only what names machines.
    for at in places if reader.file != "found.json" else [(), ("lab",), ("lab", "hosts"), ("lab", "hosts", 0)]:
        (folder / reader.file).write_text(reader.written(hostile.changed(reader.sample, at, value)))
        assert judged(reader, folder) == [], at


@each_reader
@pytest.mark.parametrize("kind", hostile.CONTENTS)
def test_a_file_that_is_none_is_refused(reader: Reader, kind: str, folder: Path) -> None:
    (folder / reader.file).write_bytes(hostile.CONTENTS[kind])
    assert judged(reader, folder) == []


def _state(folder: Path) -> object:
    return state.recall(folder, "venv", "cpu-x")


#: What else reads a file that may have any size, and where it is: with the error of its kind, or as if there were none.
ENDLESS: dict[str, tuple[str, Callable[[Path], object], type[DlmatrixError] | None]] = {
    **{name: (one.file, one.read, one.error) for name, one in READERS.items() if name != "docker"},
    "docker": ("config.json", READERS["docker"].read, None),
    "an inventory's own file": ("lab.ini", lambda folder: machines(folder / "lab.ini", "", ()), UsageError),
    "a folder of inventories": ("lab/lab.ini", lambda folder: machines(folder / "lab", "", ()), UsageError),
    "a guide": ("guide.md", lambda folder: read_guide(folder / "guide.md"), UsageError),
    "a lock": ("lock.txt", lambda folder: read_lock(folder / "lock.txt", "nox -s lock"), ConfigError),
    "a fleet's record": ("fleet.json", record.read, ReportError),
    "the history": ("reports/history/1.json", lambda folder: history.read(folder).entries, None),
    "what a build left": (".dlmatrix/built/venv/cpu-x.json", _state, None),
    "an answer of uv's": ("answers.json", lambda folder: answers.recall(folder / "answers.json"), None),
    "an image in a bundle": ("index.json", Layout, BundleError),
    "pip's settings": (
        "pip.conf",
        lambda folder: read_site({"PIP_CONFIG_FILE": str(folder / "pip.conf"), "HOME": str(folder)}),
        ConfigError,
    ),
}


@pytest.mark.parametrize("name", ENDLESS)
def test_of_200_mb_nothing_is_read_into_memory(name: str, folder: Path) -> None:
    file, read, error = ENDLESS[name]
    place = folder / file
    place.parent.mkdir(parents=True, exist_ok=True)
    with place.open("wb") as stream:
        stream.truncate(200_000_000)
    tracemalloc.start()
    try:
        if error:
            with pytest.raises(error) as refused:
                read(folder)
            assert refused.value.next_step
            assert len(str(refused.value)) < 1500
        else:
            assert not read(folder) or name == "docker"
        assert tracemalloc.get_traced_memory()[1] < 150_000_000
    finally:
        tracemalloc.stop()
