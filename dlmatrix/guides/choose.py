"""Which way of a choice the reader goes: tabs, CPU or GPU, one of several installers of the same."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace

from dlmatrix.errors import UsageError
from dlmatrix.guides.classify import NO_STEP, ONLY_GPU, RUN, project, requirements
from dlmatrix.guides.model import Step
from dlmatrix.guides.shell import first_word
from dlmatrix.system.words import listed

_CPU = re.compile(
    r"\bCPUs?\b|处理器|(?:no|without(?: an?)?|don't have an?|not have an?) (?:NVIDIA )?GPU"
    r"|(?:无|没有|不用|不带)(?:独立)?(?:显卡|GPU)|cpu[- ]only|/whl/cpu",
    re.I,
)
#: A TPU is another machine just as well.
_GPU = re.compile(r"\b[GT]PUs?\b|CUDA|显卡|NVIDIA|\bcu\d{2,3}\b|图形处理器", re.I)
_OTHER_SYSTEM = re.compile(r"\b(?:windows|mac(?: ?os)?(?: ?x)?|osx|powershell|command prompt|cmd)\b|苹果|微软", re.I)
#: A comment that begins with a system is of it.
_OTHER_FIRST = re.compile(r"\W*(?:(?:for|在)\s*)?(?:mac|windows|osx)\b", re.I)
_LINUX = re.compile(r"\b(?:linux|ubuntu|debian|centos|unix|wsl2?)\b", re.I)
_OR = re.compile(r"(?:\bor\b|\balternative|\binstead\b|或者|或使用|也可以|另一种)[^.。]{0,80}$", re.I)
#: How a tab is liked by a reader on Linux without a GPU.
_LIKED = (
    *((r"windows|mac|osx|cmd|powershell", -20), (r"\bcpu\b|处理器", 6), (r"linux|ubuntu", 4), (r"\bpip\b", 3)),
    *((r"[gt]pu|cuda|显卡|rocm", -6), (r"conda", -2), (r"docker", -5), (r"source|源码|build", -6)),
    *((r"nightly|preview", -6), (r"pytorch|tensorflow", 2), (r"\bbash\b", 2)),
)


_EXPORT = re.compile(r"(?:export\s+)?\w+=(?=\S)")


def label(text: str) -> str:
    """``cpu`` or ``gpu`` where words speak of one alone, else nothing."""
    rest = _CPU.sub(" ", text)
    cpu, gpu = rest != text, bool(_GPU.search(rest))
    return "cpu" if cpu and not gpu else "gpu" if gpu and not cpu else ""


def other_system(path: Sequence[str], lead: str) -> bool:
    """Whether headings, tabs or the words before speak of another operating system alone."""
    said = re.search(r"[:：]\s*$|^\W*on\b", lead) or _OTHER_FIRST.match(lead)
    return any(_OTHER_SYSTEM.search(text) and not _LINUX.search(text) for text in (*path, lead[-80:] if said else ""))


def choose(steps: Sequence[Step], labels: Sequence[str], leads: Sequence[str], branch: str) -> list[Step]:
    """The steps, those of other branches left out: ``branch`` is ``cpu``, ``gpu`` or part of a tab's name.

    Raises UsageError where no tab has that in its name: another way than the one asked for would be gone.
    """
    branch = _known(branch, {tab.strip("{}"): None for step in steps for _, tab in _tabs_of(step)})
    kept = _tabs(steps, branch)
    kept = [_other(step) if _is_other(n, kept, labels, branch) else step for n, step in enumerate(kept)]
    for number, step in enumerate(kept):
        if step.kind == "install" and _OR.search(leads[number]) and _same_before(kept, number):
            kept[number] = _other(step)
    kept = _from_source(kept)
    return [replace(one, kind="gpu", why=ONLY_GPU) if _for_gpu_alone(one, branch) else one for one in kept]


def _known(branch: str, tabs: Iterable[str]) -> str:
    """A branch as it is compared."""
    wanted = branch.strip().lower()
    if wanted in ("cpu", "gpu") or (wanted and any(wanted in tab.lower() for tab in tabs)):
        return wanted
    *first, last = ("cpu", "gpu", *tabs)
    raise UsageError(
        f"--branch {branch}: no tab of the guide has that in its name", f"name one of {listed(first, 20)} or {last}"
    )


def _tabs(steps: Sequence[Step], branch: str) -> list[Step]:
    siblings: dict[tuple[str, ...], set[str]] = {}
    for step in steps:
        for above, tab in _tabs_of(step):
            siblings.setdefault(above, set()).add(tab)
    best = {above: max(sorted(tabs), key=lambda tab: _liking(tab, branch)) for above, tabs in siblings.items()}
    return [_other(s) if s.kind not in NO_STEP and any(best[a] != tab for a, tab in _tabs_of(s)) else s for s in steps]


def _tabs_of(step: Step) -> list[tuple[tuple[str, ...], str]]:
    return [(step.path[:n], one) for n, one in enumerate(step.path) if one.startswith("{")]


def _liking(tab: str, branch: str) -> int:
    liking = sum(points for pattern, points in _LIKED if re.search(pattern, tab, re.I))
    if label(branch) == "gpu":
        liking += 14 * bool(_GPU.search(tab)) - 8 * bool(re.search(r"\bcpu\b", tab, re.I))
    if branch not in ("cpu", "gpu") and branch in tab.lower():
        liking += 100
    return liking


def _is_other(number: int, steps: Sequence[Step], labels: Sequence[str], branch: str) -> bool:
    """Whether a step installs for a GPU what another installs for a CPU, or the other way round."""
    step = steps[number]
    mine = labels[number]
    unwanted = "cpu" if label(branch) == "gpu" else "gpu"
    if mine != unwanted:
        return False
    if step.kind == "world" and (variable := _EXPORT.match(step.text)):
        return any(labels[n] != unwanted and other.text.startswith(variable[0]) for n, other in enumerate(steps))
    if step.kind not in ("install", "hole"):
        return False
    names = {project(one) for one in requirements(step.text)}
    return any(
        other.kind in RUN and other.form == "shell" and labels[n] != unwanted and n != number
        and names & {project(one) for one in requirements(other.text)}
        for n, other in enumerate(steps) if other.kind == "install"
    )  # fmt: skip


def _same_before(steps: Sequence[Step], number: int) -> bool:
    """Whether the step right before installs the same projects, by another tool or otherwise."""
    names = {project(one) for one in requirements(steps[number].text)}
    before = next((s for s in reversed(steps[:number]) if s.kind in RUN), None)
    return (
        before is not None
        and before.kind == "install"
        and names == {project(r) for r in requirements(before.text)}
        and (first_word(before.text) != first_word(steps[number].text) or before.text != steps[number].text)
    )


_SOURCE = re.compile(r"(?:git\s+clone\s.*|git\+\S*)[/:]([\w.-]+?)(?:\.git)?/?(?=[@#'\"\s]|$)")
#: What is done in a clone to install it.
_IN_CLONE = re.compile(
    r"(?:cd\s|(?:sudo\s+)?(?:python\S*\s+-m\s+)?pip\S*\s+install\s+(?:\S+\s+)*['\"]?\.(?:['\"\[\s]|$)"
    r"|(?:\w+=\S+\s+)?(?:sudo\s+)?python\S*\s+setup\.py\b)"
)


def _from_source(steps: Sequence[Step]) -> list[Step]:
    """The steps, those left out that install from a repository what the guide also installs by its name."""
    names = {project(one) for step in steps if step.kind == "install" for one in requirements(step.text)}
    found: list[Step] = []
    cloned: tuple[str, ...] | None = None
    for step in steps:
        source = _SOURCE.search(step.text) if step.kind == "get" else None
        same = bool(source and project(source[1]) in names)
        inside = cloned == step.path and step.kind in (*RUN, "get") and _IN_CLONE.match(step.text)
        if step.kind not in ("output", "file", "mention"):
            cloned = step.path if (same and "clone" in step.text) or inside else None
        found.append(_other(step) if same or inside else step)
    return found


def _for_gpu_alone(step: Step, branch: str) -> bool:
    """Whether a step that is left stands in a tab for a GPU, which nobody asked for."""
    if step.kind not in RUN or label(branch) == "gpu":
        return False
    tabs = (
        re.sub(r"rocm|(\bTPU\b)", lambda found: "" if found[1] else "GPU", tab, flags=re.I)
        for _, tab in _tabs_of(step)
        if branch not in tab.lower()
    )
    return any(label(tab) == "gpu" for tab in tabs)


def _other(step: Step) -> Step:
    return replace(step, kind="other branch", why=NO_STEP["other branch"])
