"""The doctor's tree while it grows: each layer as its witness answers, the framework started once."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from dlmatrix.cli.doctor import doctor
from dlmatrix.gpu import show
from dlmatrix.gpu.follow import Following
from smoke.detect.collect import collect
from tests.lab.machine import HEALTHY, build, merged

TORCH = {"name": "torch", "version": "2.11.0+cu130", "built_cuda": "13.0", "arch_list": ["sm_80"], "count": 1}
#: A layer of each witness, in the order in which they are told.
TOLD = {"kernel": "hardware", "nvml": "driver library", "cuda": "cuInit", "framework": "torch 2.11.0+cu130"}


class Witness:
    """Stands in for a child process and writes down when it is started and when it is waited for."""

    events: list[str]

    def __init__(self, name: str, *_rest: Any) -> None:
        self.name = name
        self.events.append(f"start {name}")

    def answer(self) -> dict[str, Any]:
        self.events.append(f"wait for {self.name}")
        return {"witness": {"status": "ok", "pid": 1}, "messages": []}


def test_the_framework_is_started_once_when_the_others_have_been_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[str] = []
    monkeypatch.setattr(Witness, "events", events, raising=False)
    monkeypatch.setattr(sys.modules[collect.__module__], "Inquiry", Witness)
    collect(str(tmp_path), "torch", answered=lambda name, _facts: events.append(f"tell {name}"))
    first = ["start kernel", "start nvml", "start cuda"]  # at once: none waits for another's start
    told = [f"{word} {name}" for name in ("kernel", "nvml", "cuda") for word in ("wait for", "tell")]
    assert events == [*first, *told, "start framework", "wait for framework", "tell framework"]


def test_each_answer_is_a_line_of_stderr_and_the_document_is_alone_on_stdout(stubs: Path, tmp_path: Path) -> None:
    place = build(merged(HEALTHY, {"framework": TORCH}), tmp_path, stubs)
    command = [sys.executable, "-m", "smoke.detect", "--follow", "--root", str(place.root), "--framework", "torch"]
    with place.entered():
        os.environ["PYTHONPATH"] += os.pathsep + str(Path(__file__).parents[2])
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    document = json.loads(done.stdout)
    news = [json.loads(line) for line in done.stderr.splitlines()]
    assert [line["witness"] for line in news] == list(TOLD)
    assert all(line["facts"] == document[line["witness"]] for line in news)


def test_a_terminal_shows_each_layer_when_it_is_heard_of_and_no_other(stubs: Path, tmp_path: Path) -> None:
    place = build(merged(HEALTHY, {"framework": TORCH}), tmp_path, stubs)
    out, heard = io.StringIO(), []
    with Following(Console(file=out, force_terminal=True, width=100), "this machine") as following:

        def tell(name: str, facts: dict[str, Any]) -> None:
            assert TOLD[name] not in out.getvalue()
            following.hear("host", json.dumps({"witness": name, "facts": facts}))
            assert TOLD[name] in out.getvalue()
            heard.append(name)

        with place.entered():
            collect(str(place.root), "torch", answered=tell)
        for line in ("a library's own words", "[]", '{"witness": {}}', '{"witness": "kernel", "facts": 7}'):
            following.hear("host", line)
    assert heard == list(TOLD)


def test_the_doctor_imports_the_framework_once_and_tells_it_last(
    stubs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = build(merged(HEALTHY, {"framework": TORCH}), tmp_path, stubs)
    wrapper = tmp_path / "python"  # the doctor's children get no PYTHONPATH of ours
    wrapper.write_text(
        f'#!/bin/sh\nPYTHONPATH="$PYTHONPATH:{tmp_path}/packages" exec "{sys.executable}" "$@"\n', encoding="utf-8"
    )
    wrapper.chmod(0o755)
    fake = tmp_path / "packages" / "torch.py"
    counted = f"open({str(tmp_path / 'imports')!r}, 'a').write('once\\n')\n"
    fake.write_text(counted + fake.read_text(encoding="utf-8"), encoding="utf-8")
    out = io.StringIO()
    monkeypatch.setattr(show, "doctors_console", lambda: Console(file=out, force_terminal=True, width=160))
    with place.entered():
        doctor(env="gpu-torch-2.11", engine="host", python=wrapper, gpus=None, json=False)
    assert (tmp_path / "imports").read_text(encoding="utf-8") == "once\n"
    seen = [out.getvalue().index(word) for word in TOLD.values()]
    assert seen == sorted(seen)
    assert out.getvalue().index("looking") < seen[0]
