"""Whatever stands in the other files that people and programs hand over: one message of its kind, or it is taken."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from dlmatrix.bundle.manifest import read_manifest
from dlmatrix.document.result import RUN, read_result
from dlmatrix.engines.docker.address import address
from dlmatrix.errors import BundleError, DlmatrixError, EngineError, ReportError, UsageError
from dlmatrix.fleet.ansible.programs import machines
from dlmatrix.guides.read.guide import read_guide
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
        read=lambda folder: read_manifest((folder / "manifest.json").read_bytes(), "manifest.json"),
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
