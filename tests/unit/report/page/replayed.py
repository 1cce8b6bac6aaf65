"""A replay's result.json for tests: every kind of verdict, format and step."""

from __future__ import annotations

from typing import Any

from tests.unit.report.page.sample import HOSTILE

Json = dict[str, Any]


def step(line: int, text: str, outcome: str, **more: Any) -> Json:
    """A step as it was played."""
    plain = {"kind": "program", "form": "program", "why": "", "expected": None, "session": 0, "path": []}
    return plain | {"line": line, "text": text, "outcome": outcome, "reason": "", "seconds": 0.0, "notes": [],
                    "said": ""} | more  # fmt: skip


def replay(**more: Any) -> Json:
    """A guide that broke and was mended, with text in it that would like to be more than text."""
    steps = [
        step(4, "pip install alpha", "passed", kind="install", form="shell", seconds=3.2,
             notes=["-i https://dead.example: it does not answer; this site's index takes its place"]),
        step(8, "import alpha\nprint(alpha.two())", "failed", expected="2", seconds=0.4, said=HOSTILE,
             reason=f"AttributeError: {HOSTILE}"),
        step(12, "nvidia-smi", "unjudged", kind="gpu", form="shell", reason="it needs a GPU"),
        step(14, "brew install alpha", "skipped", kind="other system", form="shell",
             reason="for another operating system or shell"),
        step(20, "2", "skipped", kind="output", form="output", reason="what something prints"),
    ]  # fmt: skip
    return {
        "schema_version": 1,
        "kind": "replay",
        "dlmatrix": "0.1.0",
        "started": "2026-11-28T00:48:12+00:00",
        "finished": "2026-11-28T00:49:01+00:00",
        "engine": {"engine": "venv"},
        "host": {"name": "gpu07", "cpus": 8, "cpu": "a processor", "memory_bytes": 33_000_000_000, "kernel": "6.1"},
        "guide": {"file": "guide<b>.md", "format": "markdown", "encoding": "utf-8", "language": "zh",
                  "date": "2019-06-30"},
        "verdict": "broken, mended",
        "words": "broken at line 8: AttributeError: two; mended by alpha → alpha==2.0",
        "python": "3.11",
        "pip": "23.2.1",
        "env": "cpu-torch-2.13",
        "as_of": "2019-06-30",
        "as_written": [{"env": "cpu-tf1-1.15", "works": True, "words": "works"}],
        "branches": [
            {"line": 16, "step": "pip install alpha-gpu", "works": True, "words": "alpha-gpu 1.0; 3 packages"},
            {"line": 17, "step": "pip install beta", "works": False, "words": "no wheels of it for Python 3.11"},
            {"line": 18, "step": "pip install -f x y", "works": None, "words": "it asks another index, or for files"},
        ],
        "first_break": {"line": 8, "step": "import alpha\nprint(alpha.two())", "reason": f"AttributeError: {HOSTILE}"},
        "substitution": [{"words": "alpha → alpha==2.0", "name": "a pin", "source": "the message itself",
                          "python": ""}],
        "diff": f"--- guide.md\n+++ guide.md\n@@ -4 +4 @@\n-pip install alpha\n+pip install alpha==2.0 {HOSTILE}\n",
        "tried": [{"words": "Python 3.9", "works": False, "lost": True,
                   "said": "not judged: less than 1 GB of disk is left"},
                  {"words": "Python 3.10", "works": False, "said": "could not look: no package index answers"},
                  {"words": "alpha → alpha==2.0", "works": True, "said": "works"}],
        "steps": steps,
        "repairs": [{"line": 2, "what": "line breaks restored", "before": "a b", "after": "a\nb"}],
        "installed": {"alpha": "1.0", "pip": "23.2.1"},
        "dockerfile": "FROM python:3.11-slim\n",
        "env_file": 'series = "torch"\n',
    } | more  # fmt: skip
