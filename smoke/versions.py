"""Versions and ranges as the packaging library reads them (PEP 440), which an image need not hold.

A range takes pre-releases, as ``pip check`` does. tests/unit/smoke/test_requirement.py holds all of it against
packaging.
"""

from __future__ import annotations

import re

_NUMBERS = r"[0-9]+(?:\.[0-9]+)*"
_VERSION = re.compile(
    rf"""^\s*v?
    (?:(?P<epoch>[0-9]+)!)?
    (?P<release>{_NUMBERS})
    (?:[-_.]?(?P<phase>alpha|a|beta|b|preview|pre|c|rc)[-_.]?(?P<number>[0-9]+)?)?
    (?P<post>-(?P<bare>[0-9]+)|[-_.]?(?:post|rev|r)[-_.]?(?P<after>[0-9]+)?)?
    (?P<dev>[-_.]?dev[-_.]?(?P<count>[0-9]+)?)?
    (?:\+(?P<local>[a-z0-9]+(?:[-_.][a-z0-9]+)*))?\s*$""",
    re.X | re.I,
)
_CLAUSE = re.compile(r"^\s*(===|~=|==|!=|<=|>=|<|>)\s*([^\s,;)]+)\s*$")
_PHASES = {"alpha": 0, "a": 0, "beta": 1, "b": 1, "preview": 2, "pre": 2, "c": 2, "rc": 2}
_BEFORE, _AFTER = float("-inf"), float("inf")


class Version:
    """A version that can be ordered; ValueError for a text that is none."""

    def __init__(self, text: str) -> None:
        match = _VERSION.match(text)
        if match is None:
            raise ValueError(f"{text!r} is no version")
        part = match.groupdict()
        self.epoch = int(part["epoch"] or 0)
        self.release = [int(number) for number in part["release"].split(".")]
        pre = part["phase"] and (_PHASES[part["phase"].lower()], int(part["number"] or 0))
        post = None if part["post"] is None else int(part["bare"] or part["after"] or 0)
        dev = None if part["dev"] is None else int(part["count"] or 0)
        self.pre, self.post, self.dev = pre, post, dev
        trimmed = list(self.release)
        while len(trimmed) > 1 and not trimmed[-1]:
            trimmed.pop()
        #: without what follows the release
        self.base = (self.epoch, trimmed)
        # A development release comes before the pre-release, and that before the release; .post1.dev0 after it.
        first = pre or ((_BEFORE, 0) if post is None and dev is not None else (_AFTER, 0))
        #: without the local part
        self.public = (*self.base, first, -1 if post is None else post, _AFTER if dev is None else dev)
        words = re.split(r"[-_.]", part["local"].lower()) if part["local"] else []
        #: numbers come after words
        self.local = [(1, int(word), "") if word.isdigit() else (0, 0, word) for word in words]
        self.key = (self.public, self.local)

    def begins(self, release: list[int], epoch: int) -> bool:
        """Whether the release begins with these numbers, zeros appended where it is shorter."""
        padded = self.release + [0] * (len(release) - len(self.release))
        return self.epoch == epoch and padded[: len(release)] == release


def fits(ranges: str, version: str) -> bool | None:
    """Whether a version is within all of the ranges (``>=1.2,<2``, empty for any); None where one cannot be read."""
    found: list[bool] = []
    for clause in filter(None, (part.strip() for part in ranges.split(","))):
        match = _CLAUSE.match(clause)
        if match is None:
            return None
        try:
            found.append(_fits(match.group(1), match.group(2), version))
        except ValueError:
            return None
    return all(found)


def _fits(operator: str, text: str, version: str) -> bool:
    if operator == "===":
        return text.lower() == version.strip().lower()
    this = Version(version)
    if text.endswith(".*"):
        if operator not in ("==", "!=") or not re.match(rf"^v?([0-9]+!)?{_NUMBERS}$", text[:-2]):
            raise ValueError(f"{operator}{text} is no range")
        wanted = Version(text[:-2])
        return this.begins(wanted.release, wanted.epoch) == (operator == "==")
    wanted = Version(text)
    if wanted.local and operator not in ("==", "!="):
        raise ValueError(f"{operator}{text} is no range: only == takes a local version")
    if operator == "~=":
        if len(wanted.release) < 2:
            raise ValueError(f"~={text} is no range: it needs two numbers")
        return this.begins(wanted.release[:-1], wanted.epoch) and this.public >= wanted.public
    if operator in ("==", "!="):
        same = this.key == wanted.key if wanted.local else this.public == wanted.public
        return same == (operator == "==")
    return _ordered(operator, this, wanted)


def _ordered(operator: str, this: Version, wanted: Version) -> bool:
    """<=, >= by the public version; < leaves out the named version's own pre-releases, > its post-releases."""
    if operator in ("<=", ">="):
        return this.public <= wanted.public if operator == "<=" else this.public >= wanted.public
    if operator == ">":
        after = wanted.post is None and this.post is not None and wanted.dev is None and this.pre == wanted.pre
        return this.public > wanted.public and not (after and this.base == wanted.base)
    final = not wanted.pre and wanted.dev is None
    before = this.pre or this.dev is not None
    if wanted.post is not None:
        before = not this.pre and this.post == wanted.post and before
    return this.public < wanted.public and not (final and before and this.base == wanted.base)
