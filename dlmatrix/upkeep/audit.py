"""Known vulnerabilities of what a lock names, as pip-audit reports them. Nothing depends on the answer."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from dlmatrix.errors import SkippedEnv
from dlmatrix.matrix.model import Lock, Site
from dlmatrix.system.process import run_lines

#: An advisory source answers in seconds, or is not there.
_SECONDS = 300


def audit(lock: Lock, site: Site, environ: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """The advisories of each distribution that has some, under ``name version``.

    Raises SkippedEnv where pip-audit is not installed, or its source cannot be reached or knows none of them.
    """
    beside = str(Path(sys.executable).parent)
    program = shutil.which("pip-audit", path=os.pathsep.join([beside, environ.get("PATH", "")]))
    if program is None:
        raise SkippedEnv("pip-audit is not installed", "uv tool install pip-audit")
    command = [program, "--requirement", str(lock.file), "--disable-pip", "--format", "json"]
    ca = {"REQUESTS_CA_BUNDLE": str(site.ca_bundle)} if site.ca_bundle else {}
    done = run_lines(
        [*command, "--progress-spinner", "off"],
        say=lambda line: None,
        environ={**environ, **site.proxies, **ca},
        timeout_seconds=_SECONDS,
    )
    try:
        # Its exit code is 1 for a vulnerability and for a failure; only with the former it answers.
        answered = list(json.loads(done.stdout)["dependencies"])
        known = [part for part in answered if "skip_reason" not in part]
        found = {
            f"{part['name']} {part['version']}": tuple(sorted(v["id"] for v in part["vulns"]))
            for part in known
            if part["vulns"]
        }
    except (ValueError, KeyError, TypeError):
        last = (done.said.strip().splitlines() or ["it said nothing"])[-1]
        raise SkippedEnv(f"pip-audit got no answer from its advisory source: {last}") from None
    if answered and not known:
        raise SkippedEnv(f"pip-audit's advisory source knows none of it: {answered[0]['skip_reason']}")
    return found
