"""The install commands of installation guides, resolved today: what each of them would really install.

known.toml has the commands and what is known of them; pip itself answers, in a guide's world, so that no gigabytes are
fetched.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from dlmatrix.guides.judge import Played
from dlmatrix.guides.model import Step
from dlmatrix.guides.replay import Setting, player
from dlmatrix.matrix.compatibility import is_cuda
from dlmatrix.system.toml import Table, read_toml

_HERE = Path(__file__).parent
#: The distributions that a finding names.
_NAMED = ("tensorflow", "torch", "torchvision")
_KINDS = ("cpu", "cuda", "refused")


@dataclass(frozen=True, kw_only=True)
class Install:
    """A guide's install command, what pip is asked for it, what it is known to bring, and why: a row of known.toml."""

    command: str
    asks: str
    brings: str
    why: str


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One command's outcome: passed where it does what is known of it, failed where that has changed."""

    command: str
    outcome: str
    reason: str
    expected: str
    found: str


def load_installs(file: Path = _HERE / "known.toml") -> Iterator[Install]:
    """The commands that are known. Raises ConfigError naming file and key."""
    for number, data in enumerate(read_toml(file)["install"]):
        row = Table(file, f"install[{number}].", data)
        command = row.take("command", str)
        yield Install(
            command=command,
            asks=row.take("asks", str, command),
            brings=row.take("brings", str),
            why=row.take("why", str),
        )
        row.done()


def check_installs(setting: Setting, python: str, pip: str) -> Iterator[Finding]:
    """Resolve every command for a Python version (``3.11``), as it ends; skipped with the reason where none can be.

    Raises SkippedEnv where this machine makes no world.
    """
    indexes = Step(text=(_HERE / "indexes.py").read_text(encoding="utf-8"), kind="program", form="program", line=1)
    # A guide's reader has no configuration: certificates and proxies are the site's, the index is the one by default.
    site = replace(setting.site, index=None, extra_indexes=(), find_links=())
    with player(replace(setting, site=site), "indexes.py") as live:
        begun = live.play([indexes], python, pip)
        for install in load_installs():
            step = Step(text=install.asks, kind="install", line=1)
            if begun.blind:
                yield judge(install, Played(step=step, outcome="unjudged", reason=begun.blind), {})
            else:
                yield judge(install, *live.resolve(step))


def judge(install: Install, played: Played, distributions: Mapping[str, str]) -> Finding:
    """Hold what pip answered against what is known of the command."""
    if played.outcome == "unjudged":
        return Finding(
            command=install.command, outcome="skipped", reason=played.reason, expected=install.brings, found=""
        )
    named = [f"{name} {distributions[name]}" for name in _NAMED if name in distributions]
    found = kind(distributions) if install.brings in _KINDS else distributions.get("torch", "refused")
    agrees = found == install.brings
    return Finding(
        command=install.command,
        outcome="passed" if agrees else "failed",
        reason=install.why if agrees else f"no longer true: {install.why}",
        expected=install.brings,
        found=f"{found}: {', '.join(named) or played.reason}" if install.brings in _KINDS else found,
    )


def kind(distributions: Mapping[str, str]) -> str:
    """cuda where CUDA libraries come along or the version says so, refused where pip installs nothing, else cpu."""
    if not distributions:
        return "refused"
    return "cuda" if any(map(is_cuda, distributions)) or "+cu" in distributions.get("torch", "") else "cpu"
