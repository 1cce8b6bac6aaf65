"""The install commands of installation guides, resolved today: what each of them would really install.

pip itself answers, in a clean environment and with its dry-run report, so that no gigabytes are fetched.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uv

from dlmatrix.guides.signs import CONTROL
from dlmatrix.matrix.compatibility import is_cuda
from dlmatrix.system.process import run_lines

#: Seconds for one resolution; torch with its CUDA wheels' metadata takes about 40.
TIMEOUT_SECONDS = 300.0
#: The distributions that a finding names.
_NAMED = ("tensorflow", "torch", "torchvision")
#: What pip and uv say when no index answers.
_OFFLINE = re.compile(
    r"NewConnectionError|NameResolutionError|ConnectTimeout|ConnectionError|ProxyError|dns error|failed to lookup"
    r"|Connection refused|error sending request",
    re.I,
)
#: What pip says of a project without a file for this Python, and of an index that does not answer alike.
_NONE = "from versions: none"


@dataclass(frozen=True, kw_only=True)
class Install:
    """A guide's install command, what it is known to bring (cpu, cuda or refused), and why."""

    text: str
    arguments: tuple[str, ...]
    brings: str
    explanation: str


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One command's outcome: passed where it does what is known of it, failed where that has changed."""

    command: str
    outcome: str
    reason: str
    expected: str
    found: str
    distributions: Mapping[str, str]


INSTALLS = (
    Install(
        text="pip install tensorflow",
        arguments=("tensorflow",),
        brings="cpu",
        explanation="the wheel is built for CUDA and brings no CUDA library: it computes on the CPU until "
        "tensorflow[and-cuda] is installed",
    ),
    Install(
        text="pip install tensorflow[and-cuda]",
        arguments=("tensorflow[and-cuda]",),
        brings="cuda",
        explanation="the extra brings the nvidia-* wheels that the build looks for",
    ),
    Install(
        text="pip install tensorflow-gpu",
        arguments=("tensorflow-gpu",),
        brings="refused",
        explanation="the name was given up in 2022: its last release is a source archive whose one requirement is "
        "written in a form that setuptools no longer reads; install tensorflow[and-cuda]",
    ),
    Install(
        text="pip install torch torchvision",
        arguments=("torch", "torchvision"),
        brings="cuda",
        explanation="on Linux x86-64 the default index holds the CUDA build, although guides call this the CPU "
        "command; the CPU build comes from PyTorch's own index",
    ),
)


@dataclass(frozen=True, kw_only=True)
class Resolution:
    """What pip would install, or why it would not."""

    distributions: Mapping[str, str]
    said: str
    offline: bool


def check_installs(python: str, installs: Sequence[Install] = INSTALLS) -> tuple[Finding, ...]:
    """Resolve every command for a Python version (``3.11``); skipped with the reason where no index answers."""
    with tempfile.TemporaryDirectory(prefix="dlmatrix-guides-") as folder:
        home = Path(folder)
        pip, problem = _clean_environment(home, python)
        if pip is None:
            return tuple(_skipped(install, problem) for install in installs)
        return tuple(judge(install, resolve(pip, install.arguments, home)) for install in installs)


def judge(install: Install, resolution: Resolution) -> Finding:
    """Hold what pip answered against what is known of the command."""
    if resolution.offline:
        return _skipped(install, "no package index answers")
    found = kind(resolution)
    named = [f"{name} {resolution.distributions[name]}" for name in _NAMED if name in resolution.distributions]
    detail = resolution.said if found == "refused" else ", ".join(named)
    agrees = found == install.brings
    return Finding(
        command=install.text,
        outcome="passed" if agrees else "failed",
        reason=install.explanation if agrees else f"no longer true: {install.explanation}",
        expected=install.brings,
        found=f"{found}: {detail}",
        distributions=resolution.distributions,
    )


def kind(resolution: Resolution) -> str:
    """cuda where CUDA libraries come along or the version says so, refused where pip installs nothing, else cpu."""
    if not resolution.distributions:
        return "refused"
    names = resolution.distributions
    if any(is_cuda(name) for name in names) or "+cu" in names.get("torch", ""):
        return "cuda"
    return "cpu"


def resolve(pip: Sequence[str], arguments: Sequence[str], home: Path) -> Resolution:
    """Ask pip what it would install, with its dry-run report."""
    report = home / "report.json"
    report.unlink(missing_ok=True)
    command = [*pip, "install", "--dry-run", "--ignore-installed", "--no-cache-dir", "--quiet", "--no-input"]
    done = run_lines(
        [*command, "--report", str(report), *arguments],
        say=lambda line: None,
        environ=_environment(home),
        timeout_seconds=TIMEOUT_SECONDS,
    )
    text = done.said + done.stdout.decode("utf-8", "replace")
    if done.exit_code != 0 or not report.exists():
        said = "pip did not finish in time" if done.timed_out else _why(text)
        offline = done.timed_out or bool(_OFFLINE.search(text))
        if _NONE in text and not offline and CONTROL not in arguments:
            options = [
                one for n, one in enumerate(arguments) if one.startswith("-") or arguments[n - 1].startswith("-")
            ]
            offline = not resolve(pip, [CONTROL, *options], home).distributions
        return Resolution(distributions={}, said=said, offline=offline)
    entries: list[dict[str, Any]] = json.loads(report.read_text(encoding="utf-8"))["install"]
    found = {_normalised(entry["metadata"]["name"]): str(entry["metadata"]["version"]) for entry in entries}
    return Resolution(distributions=found, said="", offline=False)


def check_extra_index(python: str) -> tuple[Finding, ...]:
    """Show with pip itself, on two small local indexes, that an extra index is no preference.

    pip takes the highest version of all indexes, and a local part (+cpu) counts as higher: which build comes
    depends on which index is ahead that day.
    """
    cases = (("the extra index is behind", "2.14.0", "2.13.0+cpu", "2.14.0"),
             ("both hold the same version", "2.14.0", "2.14.0+cpu", "2.14.0+cpu"))  # fmt: skip
    findings = []
    with tempfile.TemporaryDirectory(prefix="dlmatrix-guides-") as folder:
        home = Path(folder)
        pip, problem = _clean_environment(home, python)
        for number, (name, default, extra, expected) in enumerate(cases):
            command = f"pip install torch --extra-index-url … ({name})"
            if pip is None:
                findings.append(_skipped(Install(text=command, arguments=(), brings=expected, explanation=""), problem))
                continue
            urls = [_index(home / f"{number}-{role}", version) for role, version in (("d", default), ("e", extra))]
            answer = resolve(pip, ["torch", "--index-url", urls[0], "--extra-index-url", urls[1]], home)
            found = answer.distributions.get("torch", answer.said)
            findings.append(
                Finding(
                    command=command,
                    outcome="passed" if found == expected else "failed",
                    reason="pip takes the highest version of all indexes; pin the version with its local part, "
                    "or give the one index alone with --index-url",
                    expected=expected,
                    found=found,
                    distributions=answer.distributions,
                )
            )
    return tuple(findings)


def _clean_environment(home: Path, python: str) -> tuple[list[str] | None, str]:
    """The command of a pip in a new, empty environment; None and the reason where there is none."""
    place = home / "venv"
    command = [uv.find_uv_bin(), "venv", "--quiet", "--seed", "--no-project", "--python", python, str(place)]
    done = run_lines(command, say=lambda line: None, environ=dict(os.environ), timeout_seconds=TIMEOUT_SECONDS)
    if done.exit_code != 0:
        return None, f"no clean environment with Python {python} can be made: {_why(done.said)}"
    return [str(place / "bin" / "python"), "-I", "-m", "pip", "--disable-pip-version-check"], ""


def _environment(home: Path) -> dict[str, str]:
    """The user's environment, but with a pip that knows only the default index."""
    kept = {name: value for name, value in os.environ.items() if not re.match(r"PIP_(FIND|EXTRA|INDEX|CONFIG)", name)}
    # The guide's reader has no configuration file; certificates and proxies stay the site's.
    return {**kept, "PIP_CONFIG_FILE": os.devnull, "HOME": str(home)}


def _index(folder: Path, version: str) -> str:
    """A local index that holds one empty wheel, torch in this version."""
    place = folder / "torch"
    place.mkdir(parents=True)
    wheel = place / f"torch-{version}-py3-none-any.whl"
    info = f"torch-{version}.dist-info"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: torch\nVersion: {version}\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    link = wheel.name.replace("+", "%2B")
    (place / "index.html").write_text(f'<a href="{link}">{wheel.name}</a>\n', encoding="utf-8")
    return folder.as_uri()


def _why(said: str) -> str:
    """The line that says most: an exception of a build, else pip's own error."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    raised = [line for line in lines if re.match(r"(\w+\.)*(\w+Error|InvalidRequirement): ", line)]
    errors = [line for line in lines if re.match(r"error:", line, re.I)]
    return (raised[-1:] or errors or lines or ["no message"])[0][:300]


def _skipped(install: Install, reason: str) -> Finding:
    return Finding(
        command=install.text, outcome="skipped", reason=reason, expected=install.brings, found="", distributions={}
    )


def _normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
