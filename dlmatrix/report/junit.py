"""The run as JUnit XML, in the form that both Ant's and Jenkins' schema accept."""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping, Sequence
from typing import Any
from xml.etree import ElementTree

from dlmatrix.run.result import EnvResult

#: What XML 1.0 cannot hold, escaped or not (a framework colours its messages), and what a terminal would obey.
_NOT_IN_XML = re.compile("[^\t\n\r\u0020-\u007e\u00a0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_TAGS = {"failed": "failure", "error": "error", "skipped": "skipped"}
_COUNTS = {"failures": "failed", "errors": "error", "skipped": "skipped"}


def junit(results: Sequence[EnvResult], started: datetime.datetime, host: str | None) -> ElementTree.Element:
    """One suite an env, one case a check; a skip stays a skip. ``host`` is the machine's name."""
    root = ElementTree.Element("testsuites")
    # The schema's timestamps have no zone; they are taken for UTC.
    timestamp = started.astimezone(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S")
    for number, result in enumerate(results):
        checks: list[Mapping[str, Any]] = list((result.document or {}).get("checks", []))
        if not checks or result.outcome.value not in {c["outcome"] for c in checks}:
            checks.append({"id": "env", "outcome": result.outcome.value, "reason": result.reason, "seconds": 0.0})
        outcomes = [c["outcome"] for c in checks]
        attributes = {key: str(outcomes.count(word)) for key, word in _COUNTS.items()}
        attributes |= {"id": str(number), "package": "dlmatrix", "name": result.env.name, "tests": str(len(checks))}
        # Ant's word where a machine has no name.
        attributes |= {
            "hostname": clean(host or "localhost"),
            "timestamp": timestamp,
            "time": _seconds(result, checks),
        }
        suite = ElementTree.SubElement(root, "testsuite", attributes)
        properties = ElementTree.SubElement(suite, "properties")
        for name, value in (("outcome", result.outcome.value), ("reason", result.reason)):
            ElementTree.SubElement(properties, "property", name=name, value=clean(value))
        for check in checks:
            case = ElementTree.SubElement(
                suite, "testcase", classname=result.env.name, name=clean(check["id"]), time=f"{check['seconds']:.3f}"
            )
            if tag := _TAGS.get(check["outcome"]):
                kind = {} if tag == "skipped" else {"type": clean(check.get("kind", "env"))}
                ElementTree.SubElement(case, tag, kind | {"message": clean(check.get("reason", ""))})
        ElementTree.SubElement(suite, "system-out")
        ElementTree.SubElement(suite, "system-err")
    return root


def _seconds(result: EnvResult, checks: Sequence[Mapping[str, Any]]) -> str:
    """How long an env's checks took: what the run's clock says, else their sum."""
    return f"{result.seconds.get('run') or sum(check['seconds'] for check in checks):.3f}"


def clean(text: str) -> str:
    """A text that XML 1.0 can hold."""
    return _NOT_IN_XML.sub("\N{REPLACEMENT CHARACTER}", text)
