"""Known vulnerabilities of what a lock names, as pip-audit reports them. Nothing depends on the answer."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dlmatrix.errors import SkippedEnv
from dlmatrix.matrix.model import Lock, Site, normal_name
from dlmatrix.system.process import run_lines

#: An advisory source answers in seconds, or is not there.
_SECONDS = 300


@dataclass(frozen=True, kw_only=True)
class Audit:
    """What is known of each distribution of a lock; those not audited are named, so that nothing is cleared unseen."""

    #: {"name version": its advisories} of those that have some
    found: dict[str, tuple[str, ...]]
    #: {"name version": the version asked for} of local versions (2.13.0+cpu), which no advisory source knows
    as_public: dict[str, str]
    #: {"name version": why} of those of which nothing is known
    unknown: dict[str, str]
    audited: int


def audit(lock: Lock, site: Site, environ: Mapping[str, str]) -> Audit:
    """Ask for each distribution of a lock, by its public version.

    Raises SkippedEnv where pip-audit is not installed, or its source cannot be reached or knows none of them.
    """
    beside = str(Path(sys.executable).parent)
    program = shutil.which("pip-audit", path=os.pathsep.join([beside, environ.get("PATH", "")]))
    if program is None:
        raise SkippedEnv("pip-audit is not installed", "uv tool install pip-audit")
    ca = {"REQUESTS_CA_BUNDLE": str(site.ca_bundle)} if site.ca_bundle else {}
    with tempfile.TemporaryDirectory(prefix="dlmatrix-audit-") as folder:
        asked = Path(folder) / "requirements.txt"
        lines = (f"{entry.name}=={_public(entry.version)}\n" for entry in lock.entries)
        asked.write_text("".join(lines), encoding="utf-8")
        command = [program, "--requirement", str(asked), "--no-deps", "--disable-pip", "--format", "json"]
        done = run_lines(
            [*command, "--progress-spinner", "off"],
            say=lambda line: None,
            environ={**environ, **site.proxies, **ca},
            timeout_seconds=_SECONDS,
        )
    try:
        # Its exit code is 1 for a vulnerability and for a failure; only with the former it answers.
        answers = {normal_name(part["name"]): part for part in json.loads(done.stdout)["dependencies"]}
        told = _told(lock, answers)
    except (ValueError, KeyError, TypeError, AttributeError):
        last = (done.said.strip().splitlines() or ["it said nothing"])[-1]
        raise SkippedEnv(f"pip-audit got no answer from its advisory source: {last}") from None
    if not told.audited:
        why = next((part["skip_reason"] for part in answers.values()), "it answered nothing")
        raise SkippedEnv(f"pip-audit's advisory source knows none of it: {why}")
    return told


def _told(lock: Lock, answers: Mapping[str, Any]) -> Audit:
    found, unknown, as_public, audited = {}, {}, {}, 0
    for entry in lock.entries:
        name, answer = f"{entry.name} {entry.version}", answers.get(entry.name)
        if answer is None:
            unknown[name] = "pip-audit left it out"
        elif "skip_reason" in answer:
            unknown[name] = str(answer["skip_reason"])
        else:
            audited += 1
            if ids := tuple(sorted({str(known["id"]) for known in answer["vulns"]})):
                found[name] = ids
            if _public(entry.version) != entry.version:
                as_public[name] = _public(entry.version)
    return Audit(found=found, as_public=as_public, unknown=unknown, audited=audited)


def _public(version: str) -> str:
    return version.partition("+")[0]
