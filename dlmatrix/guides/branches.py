"""The ways of a guide that this reader does not go, resolved without installing: whether they lead anywhere today."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from dlmatrix.guides.classify import ONLY_GPU, project, requirements
from dlmatrix.guides.dates import asked_in, resolved
from dlmatrix.guides.model import Step
from dlmatrix.guides.replay import Setting

#: Branches that are resolved: a page of tabs may have dozens that differ by a word.
_MOST = 8
_OWN_INDEX = re.compile(r"(?:^|\s)(?:-i|-f|--index-url|--extra-index-url|--find-links|-r|-e)\b")


@dataclass(frozen=True, kw_only=True)
class Branch:
    """An installation of another way, and what it would bring; ``works`` is None where that was not asked."""

    line: int
    step: str
    works: bool | None
    words: str


def other_branches(setting: Setting, steps: Sequence[Step], python: str) -> Iterator[Branch]:
    """Each different installation of another branch, resolved for a Python: nothing is fetched or built."""
    seen: set[tuple[str, ...]] = {tuple(sorted(asked_in(step))) for step in steps if step.kind == "install"}
    for step in steps:
        left = step.kind == "other branch" or step.why == ONLY_GPU
        asked = asked_in(step) if left and " install " in f"{step.text} " else []
        if not asked or tuple(sorted(asked)) in seen or time.monotonic() > setting.until or len(seen) > _MOST:
            continue
        seen.add(tuple(sorted(asked)))
        if _OWN_INDEX.search(step.text) or len(asked) < len(requirements(step.text)):
            yield Branch(line=step.line, step=step.text, works=None, words="it asks another index, or for files")
            continue
        found = resolved(setting, asked, python)
        names = {project(one) for one in asked}
        named = [f"{name} {version}" for name, version in found.items() if project(name) in names]
        words = f"{', '.join(named)}; {len(found)} packages" if found else f"no wheels of it for Python {python}"
        yield Branch(line=step.line, step=step.text, works=bool(found), words=words)
