"""A guide's replay as result.json, and the folder with all that shows it."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from dlmatrix import __version__
from dlmatrix.document.result import REPLAY, SCHEMA_VERSION, VERDICTS
from dlmatrix.guides.classify import NEEDS, RUN
from dlmatrix.guides.outcome import Outcome, as_data, summary
from dlmatrix.report.junit import Suite, suites
from dlmatrix.report.write import dumps, write_files

#: Characters of a step that name it.
_NAME = 100


def replay_data(
    outcome: Outcome, engine: Mapping[str, str], started: datetime.datetime, host: Mapping[str, Any]
) -> dict[str, Any]:
    """The whole replay for machines: the form is that of document/replay.schema.json."""
    finished = datetime.datetime.now(datetime.timezone.utc)
    return {
        "schema_version": SCHEMA_VERSION,
        "kind": REPLAY,
        "dlmatrix": __version__,
        "started": started.astimezone(datetime.timezone.utc).isoformat(timespec="seconds"),
        "finished": finished.isoformat(timespec="seconds"),
        "engine": dict(engine),
        "host": dict(host),
        **as_data(outcome),
    }


def write_replay(root: Path, folder: Path, outcome: Outcome, data: Mapping[str, Any]) -> Path:
    """Write the files of a replay's report, the result first; ``data`` is what ``replay_data`` made of it.

    Raises DiskFullError where one cannot be written.
    """
    from dlmatrix.report.page import replay_html  # noqa: PLC0415 - what draws is not to delay the start of a replay

    text = dumps(data)

    def others() -> Iterator[tuple[str, str | bytes]]:
        yield "summary.md", summary(outcome).encode("utf-8", "replace")
        found = suites([_suite(data)], datetime.datetime.fromisoformat(data["started"]), data["host"].get("name"))
        yield "junit.xml", ElementTree.tostring(found, encoding="utf-8", xml_declaration=True)
        yield "report.html", replay_html(text)
        for name, key in (("Dockerfile", "dockerfile"), ("env.toml", "env_file"), ("guide.diff", "diff")):
            if data[key]:
                yield name, data[key].encode("utf-8", "replace")

    return write_files(root, folder, text, others())


def _suite(data: Mapping[str, Any]) -> Suite:
    """The guide as a suite: a case for each step that its reader carries out."""
    steps = [step for step in data["steps"] if step["kind"] in RUN or step["kind"] in NEEDS]
    checks = [
        {
            "id": f"line {step['line']}: {' '.join(step['text'].split())[:_NAME]}",
            "kind": step["kind"],
            "outcome": "skipped" if step["outcome"] == "unjudged" else step["outcome"],  # JUnit knows no other word
            "reason": step["reason"],
            "seconds": step["seconds"],
        }
        for step in steps
    ]
    outcome = VERDICTS[data["verdict"]]
    if outcome not in {check["outcome"] for check in checks}:
        checks.append({"id": "guide", "kind": "guide", "outcome": outcome, "reason": data["words"], "seconds": 0.0})
    seconds = sum(check["seconds"] for check in checks)
    return Suite(name=data["guide"]["file"], outcome=outcome, reason=data["words"], checks=checks, seconds=seconds)
