"""A run, or a replay, as JUnit XML, in the form that both Ant's and Jenkins' schema accept."""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

from dlmatrix.run.result import EnvResult

#: What XML 1.0 cannot hold, escaped or not (a framework colours its messages), what a terminal would obey, and what
#: turns a line around.
_UNSHOWN = re.compile("[^\t\n\r\u0020-\u007e\u00a0-\u2029\u202f-\u2065\u206a-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_TAGS = {"failed": "failure", "error": "error", "skipped": "skipped"}
_COUNTS = {"failures": "failed", "errors": "error", "skipped": "skipped"}


@dataclass(frozen=True, kw_only=True)
class Suite:
    """An env, or a guide: how it ended and why, its checks (id, outcome, reason, seconds), and how long they took."""

    name: str
    outcome: str
    reason: str
    checks: Sequence[Mapping[str, Any]]
    seconds: float


def junit(results: Sequence[EnvResult], started: datetime.datetime, host: str | None) -> ElementTree.Element:
    """One suite an env, one case a check; a skip stays a skip. ``host`` is the machine's name."""
    return suites([_suite(result) for result in results], started, host)


def suites(found: Sequence[Suite], started: datetime.datetime, host: str | None) -> ElementTree.Element:
    """The document of suites."""
    root = ElementTree.Element("testsuites")
    # The schema's timestamps have no zone; they are taken for UTC.
    timestamp = started.astimezone(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S")
    for number, one in enumerate(found):
        outcomes = [check["outcome"] for check in one.checks]
        attributes = {key: str(outcomes.count(word)) for key, word in _COUNTS.items()}
        name = clean(one.name)
        attributes |= {"id": str(number), "package": "dlmatrix", "name": name, "tests": str(len(one.checks))}
        # Ant's word where a machine has no name.
        attributes |= {"hostname": clean(host or "localhost"), "timestamp": timestamp, "time": f"{one.seconds:.3f}"}
        suite = ElementTree.SubElement(root, "testsuite", attributes)
        properties = ElementTree.SubElement(suite, "properties")
        for key, value in (("outcome", one.outcome), ("reason", one.reason)):
            ElementTree.SubElement(properties, "property", name=key, value=clean(value))
        for check in one.checks:
            case = ElementTree.SubElement(
                suite, "testcase", classname=name, name=clean(check["id"]), time=f"{check['seconds']:.3f}"
            )
            if tag := _TAGS.get(check["outcome"]):
                kind = {} if tag == "skipped" else {"type": clean(check.get("kind", "env"))}
                ElementTree.SubElement(case, tag, kind | {"message": clean(check.get("reason", ""))})
        ElementTree.SubElement(suite, "system-out")
        ElementTree.SubElement(suite, "system-err")
    return root


def _suite(result: EnvResult) -> Suite:
    checks: list[Mapping[str, Any]] = list((result.document or {}).get("checks", []))
    if not checks or result.outcome.value not in {c["outcome"] for c in checks}:
        checks.append({"id": "env", "outcome": result.outcome.value, "reason": result.reason, "seconds": 0.0})
    seconds = result.seconds.get("run") or sum(check["seconds"] for check in checks)
    return Suite(
        name=result.env.name, outcome=result.outcome.value, reason=result.reason, checks=checks, seconds=seconds
    )


def clean(text: str) -> str:
    """A text that XML 1.0 can hold, and whoever shows it shows as it is."""
    return _UNSHOWN.sub("\N{REPLACEMENT CHARACTER}", text)
