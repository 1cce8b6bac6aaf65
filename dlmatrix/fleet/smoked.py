"""A result of what smoke wrote on a machine that was sent nothing else of ours, of the interpreter that is there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from dlmatrix import __version__
from dlmatrix.document.result import FILE, SCHEMA_VERSION, parsed, wrong_in
from dlmatrix.errors import ReportError
from dlmatrix.fleet.row import Row
from dlmatrix.run.verdict import read_schema, verdict
from dlmatrix.system.bounded import DOCUMENT as LARGEST
from dlmatrix.system.checkout import find_root
from dlmatrix.system.files import replace

DOCUMENT = "document.json"


def command(framework: str, variant: str, python: str, key: str, measuring: list[str]) -> list[str]:
    """What checks an interpreter there with the smoke/ of a part; no version is expected of it."""
    expect = {"env": f"{variant}-{framework}", "variant": variant, "gpu": variant == "gpu", "hermetic": False}
    checks = ["-m", "smoke", "--framework", framework, "--json", f"{{folder}}/{DOCUMENT}", *measuring]
    return ["env", "-C", f"{{base}}/parts/{key}", python, *checks, "--expect", json.dumps(expect)]


def check_document(document: Any, place: str) -> None:
    """Hold a document that arrived against the form that smoke was sent with. Raises ReportError naming ``place``."""
    if wrong := wrong_in(document, read_schema(find_root())):
        where = "/".join(map(str, wrong.absolute_path))
        raise ReportError(f"{place}: {where}: {wrong.message[:200]}", "see its log")


def write_result(folder: Path, row: Row, code: Any) -> None:
    """Write result.json beside a document that arrived. Raises ReportError for what is no document."""
    file = folder / DOCUMENT
    try:
        if file.stat().st_size > LARGEST:
            raise ValueError(f"more than {LARGEST >> 20} MiB")
        document = parsed(file.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise ReportError(f"{DOCUMENT}: is no document of smoke: {error}", "see its log") from None
    check_document(document, DOCUMENT)
    variant = str(document["expect"].get("variant", "cpu"))
    outcome, exit_code, reason = verdict(variant, document, code if isinstance(code, int) else 1)
    machine = (document.get("throughput") or {}).get("machine") or {}
    env = {
        "name": str(document["expect"].get("env") or document["framework"]),
        "outcome": outcome.value,
        "exit_code": exit_code,
        "reason": reason,
        "next_step": "",
        "status": "supported",
        "built": None,
        "facts": {},
        "layers": [],
        "seconds": {"run": document["seconds"]},
        "document": document,
    }
    result = {
        "schema_version": SCHEMA_VERSION,
        "dlmatrix": __version__,
        "started": "",
        "engine": {"engine": "host"},
        "host": {"name": row.name, "id": row.machine or None, "cpu": machine.get("cpu")},
        "envs": [env],
    }
    replace(folder / FILE, json.dumps(result, indent=1) + "\n")
