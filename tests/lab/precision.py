"""Run other tools on the lab's machines and keep what each said: `python -m tests.lab.precision VENV`.

VENV is a throw-away virtual environment with a CUDA build of torch, env-doctor, cuda-doctor and ai-infradr. Every tool
gets the stub drivers, a stand-in for nvidia-smi that speaks in the real one's words, and the framework of the scenario
(a stand-in where the scenario has one, else the real torch). Writes peers.json, from which docs/gpu-causes.md is made.
"""

from __future__ import annotations

import datetime
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tests.lab.machine import Place, build, compile_stubs, host_of, inside_of
from tests.lab.scenario import NAMES, load

HERE = Path(__file__).parent
RESULTS = HERE / "peers.json"
TOOLS = {
    "collect_env": ["python", "-m", "torch.utils.collect_env"],
    "env-doctor": ["env-doctor", "check", "--json"],
    "cuda-doctor": ["cuda-doctor", "diagnose", "--format", "json"],
    "ai-infradr": ["ai-infradr", "--json"],
}
#: Seconds for one tool on one machine; a tool that hangs with the driver is recorded as such.
_LIMIT = 60
#: Rows up to this one come from the issues and documents that they name; later ones were found in the lab.
_PUBLISHED = 64
_REFUSALS = range(14, 25)


def findings(tool: str, text: str) -> list[str]:
    """What a tool complains of, as short lines; collect_env complains of nothing and only states facts."""
    if tool == "collect_env":
        wanted = (
            r"^(Is CUDA available|Nvidia driver version|CUDA used to build PyTorch|GPU models and configuration): .*$"
        )
        return [match[0] for match in re.finditer(wanted, text, re.M)]
    start = text.find("{")
    try:
        document, _ = json.JSONDecoder().raw_decode(text[start:]) if start >= 0 else ({}, 0)
    except ValueError:
        return ["no JSON: " + (text.strip().splitlines() or [""])[-1][:200]]
    if tool == "env-doctor":
        checks = document.get("checks", {})
        tables = [check for check in checks.values() if isinstance(check, dict)]
        parts = [part for check in tables for part in (check, *(check.get("libraries") or {}).values())]
        return [str(line) for part in parts for key in ("issues", "recommendations") for line in part.get(key, [])]
    return [line for line in _issues(document) if line]


def _issues(value: Any) -> list[str]:
    """Every table with a code and a title in it, with what it explains and the evidence it gives."""
    if isinstance(value, list):
        return [line for item in value for line in _issues(item)]
    if not isinstance(value, Mapping):
        return []
    code, lines = value.get("code"), []
    if code and value.get("title"):
        said = [value.get(key) for key in ("title", "description", "summary", "cause_class")]
        said += [item.get("value", "") if isinstance(item, Mapping) else item for item in value.get("evidence", [])]
        lines = [f"{code}: " + "; ".join(str(words) for words in said if words)]
    return lines + [line for item in value.values() for line in _issues(item)]


def look(name: str, stubs: Path, venv: Path) -> dict[str, list[str]]:
    """The findings of each tool on the machine of one scenario: inside the container where it has one."""
    scenario = load(name)
    with tempfile.TemporaryDirectory() as folder:
        spec = inside_of(scenario) if "inside" in scenario else host_of(scenario)
        place = build(spec, Path(folder), stubs)
        programs = Path(folder) / "bin"
        programs.mkdir()
        if "nvml" in spec["libraries"] or spec["driver"]:
            smi = programs / "nvidia-smi"
            smi.write_text(f"#!{sys.executable}\n" + (HERE / "nvidia_smi.py").read_text(encoding="utf-8"))
            smi.chmod(0o755)
        return {tool: _said(tool, place, programs, venv) for tool in TOOLS}


def _said(tool: str, place: Place, programs: Path, venv: Path) -> list[str]:
    home = programs.with_name("home")  # some tools leave a file there
    home.mkdir(exist_ok=True)
    environ = {**os.environ, **place.variables, "PATH": f"{programs}:{venv}/bin:/usr/bin:/bin", "HOME": str(home)}
    command = [shutil.which(TOOLS[tool][0], path=f"{venv}/bin") or TOOLS[tool][0], *TOOLS[tool][1:]]
    try:
        done = subprocess.run(
            command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=_LIMIT, check=False
        )
    except subprocess.TimeoutExpired:
        return [f"(hung with the driver: stopped after {_LIMIT} s)"]
    text = done.stdout.decode("utf-8", "replace")
    if done.returncode < 0:
        return [f"(died with the driver: signal {-done.returncode})"]
    return findings(tool, text) or []


def compared() -> list[str]:
    """One machine for each row of the published catalogue that a program on the machine can see, and a healthy one.

    Rows 14 to 24 are the engine's refusals, which none of these tools reads.
    """
    first: dict[int, str] = {}
    for name in NAMES:
        scenario = load(name)
        if scenario.get("row", 99) <= _PUBLISHED and scenario["row"] not in _REFUSALS:
            first.setdefault(scenario["row"], name)
    return ["healthy-one-gpu", *first.values()]


def versions(venv: Path) -> dict[str, str]:
    """The versions of the tools."""
    names = ["torch", "env-doctor", "cuda-doctor", "ai-infradr"]
    code = f"import importlib.metadata as m, json; print(json.dumps({{n: m.version(n) for n in {names}}}))"
    shown = subprocess.run([venv / "bin" / "python", "-c", code], capture_output=True, text=True, check=True).stdout
    return dict(json.loads(shown))


def main() -> int:
    """Run every tool on every machine, two at a time."""
    venv = Path(sys.argv[1]).absolute()
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(2) as pool:
        stubs = compile_stubs(Path(folder))
        wanted = compared()
        said = dict(zip(wanted, pool.map(lambda name: look(name, stubs, venv), wanted), strict=True))
    today = datetime.datetime.now(datetime.timezone.utc).date().isoformat()
    document = {"measured": today, "versions": versions(venv), "said": said}
    RESULTS.write_text(json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
