"""The reports of many machines: siblings are machines of one kind, and each kind is judged for itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from dlmatrix.comparison.reports import Report
from dlmatrix.comparison.siblings import FEWEST, Siblings, siblings
from dlmatrix.errors import UnlikeError, UsageError


@dataclass(frozen=True, kw_only=True)
class Kind:
    """The machines of one kind, and what was found among them."""

    #: processor, cores, names and number of the GPUs
    words: str
    reports: tuple[str, ...]
    #: None where they could not be judged
    found: Siblings | None = None
    #: why not
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class Many:
    """What comparing many machines found."""

    kinds: tuple[Kind, ...]
    #: (report, what is wrong with it): left out
    unreadable: tuple[tuple[str, str], ...] = ()

    @property
    def judged(self) -> tuple[Siblings, ...]:
        """What was found in the kinds that could be judged."""
        return tuple(kind.found for kind in self.kinds if kind.found)


def many(reports: Sequence[Report], baseline: Sequence[Report] = ()) -> Many:
    """Hold each report against those of its kind, or against those of its kind in a baseline.

    Versions and drivers that differ within a kind are told, and refuse nothing. Raises UsageError or UnlikeError
    where no kind can be judged.
    """
    known = {report.machine: report.kind for report in (*baseline, *reports) if report.kind}
    kinds, bases = _by_kind(reports, known), _by_kind(baseline, known)
    error: UsageError | UnlikeError | None = None
    found: list[Kind] = []
    for words, ours in kinds.items():
        kind = Kind(words=words, reports=tuple(report.name for report in ours))
        try:
            judged = siblings(ours, bases.get(words, []) if baseline else None, kinds=len(kinds))
            found.append(replace(kind, found=judged))
        except (UsageError, UnlikeError) as refused:
            error = error or refused
            found.append(replace(kind, reason=refused.message))
    if error and not any(kind.found for kind in found):
        if len(kinds) > 1:
            what = f"none of {len(kinds)} kinds of machine can be judged: {'; '.join(map(_told, found))}"
            raise type(error)(what, f"name {FEWEST} or more reports of machines of one kind")
        raise error
    return Many(kinds=tuple(found))


def _told(kind: Kind) -> str:
    return f"{kind.words}: {kind.reason}"


def _by_kind(reports: Iterable[Report], known: Mapping[str, str]) -> Mapping[str, list[Report]]:
    """The larger kinds first; a machine on which nothing was measured is of the kind of those that have its parts."""
    found: dict[str, list[Report]] = {}
    only = next(iter(known.values())) if len(set(known.values())) == 1 else ""
    for report in reports:
        kind = report.kind or known.get(report.machine) or (report.machine or only or "unknown machines")
        found.setdefault(kind, []).append(report)
    return dict(sorted(found.items(), key=lambda one: -len(one[1])))
