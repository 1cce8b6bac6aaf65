"""Why is the GPU not used? Facts in, ranked causes out; pure: nothing is read, run or guessed here.

The answer is the first broken layer, not the loudest symptom. With evidence for two causes both are given, each with
the command that tells them apart.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, TypeAlias

from dlmatrix.errors import typed
from dlmatrix.gpu.diagnosis.catalogue import LAYERS, Row, catalogue
from dlmatrix.gpu.diagnosis.layers import LayerState, layer_states
from dlmatrix.gpu.diagnosis.places import tags_of
from dlmatrix.gpu.diagnosis.predicates import PREDICATES
from dlmatrix.gpu.diagnosis.remedies import tagged, told
from dlmatrix.gpu.diagnosis.view import Case, Launch, Match, View, found

__all__ = ["LAYERS", "BlindSpot", "Cause", "Diagnosis", "Launch", "LayerState", "diagnose", "headline"]

_HOST_ONLY = ("hardware", "kernel module")
_BOTH = ("device nodes", "driver library")
#: What the toolkit's own program meets on the host, where the engine could not start the container.
_MET_BY_THE_ENGINE = ("libcuda", "cuInit", "device state")
_Hit: TypeAlias = "tuple[Row, View, Match]"


@dataclass(frozen=True, kw_only=True)
class Cause:
    """A root cause with the evidence for it; `possible` where the evidence fits another cause too."""

    label: str
    row: int
    layer: str
    place: str
    severity: str
    title: str
    evidence: tuple[str, ...]
    remedy: str
    source: str
    possible: bool
    apart: tuple[tuple[str, str], ...]


@dataclass(frozen=True, kw_only=True)
class BlindSpot:
    """What could not be looked at, why, and what it would have told."""

    what: str
    place: str
    why: str
    tells: str


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """The verdict (usable, no-gpu, unusable, unknown) and everything behind it, the deepest cause first."""

    verdict: str
    causes: tuple[Cause, ...]
    warnings: tuple[Cause, ...]
    blind: tuple[BlindSpot, ...]
    layers: tuple[LayerState, ...]

    def as_dict(self) -> dict[str, Any]:
        """The same as plain values for JSON."""
        return asdict(self)


def diagnose(host: object = None, launch: Launch | None = None, inside: object = None) -> Diagnosis:
    """The causes for which there is evidence in the facts of the host, the engine's answer and the container's facts.

    `host` and `inside` are documents of `smoke.detect`, None where that place was not looked at; `launch` is None where
    no container was started. Never raises for what the documents hold.
    """
    case = Case(
        host=None if host is None else View(host, place="host"),
        launch=launch,
        inside=None if inside is None else View(inside, place="container"),
    )
    here = case.here
    usable = here is not None and here.usable
    hits = [hit for row in catalogue().rows for hit in _hits(case, row)]
    if usable:
        hits = [hit for hit in hits if hit[0].severity != "blocks"]
    hits = _without_symptoms(case, hits)
    hits.sort(key=lambda hit: _rank(case, hit))
    labels = {row.label for row, _, _ in hits}
    causes = [_cause(case, hit, labels) for hit in hits]
    broken = tuple(cause for cause in causes if cause.severity != "warns")
    return Diagnosis(
        verdict=_verdict(usable, broken),
        causes=broken,
        warnings=tuple(cause for cause in causes if cause.severity == "warns"),
        blind=tuple(_blind(case)),
        layers=layer_states(
            case, {(cause.place, cause.layer) for cause in broken if cause.severity == "blocks" or not usable}
        ),
    )


def headline(diagnosis: Diagnosis) -> str:
    """One line for a report: the first cause with its remedy, or what stood in the way of finding one."""
    if diagnosis.causes:
        first = diagnosis.causes[0]
        return f"{first.label}: {first.title}; do: {typed(first.remedy)}"
    if diagnosis.verdict == "usable":
        return "the GPU can be used"
    return "could not look: " + "; ".join(f"{spot.what} ({spot.why})" for spot in diagnosis.blind)


def _views(case: Case, layer: str) -> list[View]:
    """The places at which rows of this layer are asked."""
    places = [view for view in (case.host, case.inside) if view is not None]
    if layer in _HOST_ONLY:
        return places[:1]
    if layer in _BOTH:
        return places
    if layer == "container start":
        return places[:1] or [View({}, place="host")]
    if case.here is None and case.host is not None and layer in _MET_BY_THE_ENGINE:
        return [case.host]
    return [case.here] if case.here is not None else []


def _hits(case: Case, row: Row) -> Iterator[_Hit]:
    seen = False
    for view in _views(case, row.layer):
        match = None if seen else _match(case, view, row)
        if match is not None:
            seen = True  # what the host already shows need not be said of the container again
            yield row, view, match


def _match(case: Case, view: View, row: Row) -> Match | None:
    evidence: list[str] = []
    for path, values in row.when:
        given = [value for value in view.all(path) if value in values]
        if not given:
            return None
        evidence.append(f"{path} = {given[0]}{_detail(view, path)}")
    for pattern, text in ((row.launch, case.launch.error if case.launch else ""), (row.says, view.framework_words)):
        if pattern is not None:
            said = pattern.search(text)
            if said is None:
                return None
            evidence.append(_line(text, said))
    if not row.predicate:
        return found(*evidence)
    match = PREDICATES[row.predicate](case, view)
    # Where a predicate speaks it says what was seen better than the bare values do, and only adds to words.
    spoken = (*evidence, *match.evidence) if match and row.says else match and match.evidence
    return match and Match(spoken or tuple(evidence), match.sure, match.seen, match.behind)


def _detail(view: View, path: str) -> str:
    text = view.text(path.replace(".code", ".text")) if path.endswith("init.code") else ""
    text = text or (view.text(path.replace(".status", ".detail")) if path.endswith("witness.status") else "")
    return f" ({text})" if text else ""


def _line(text: str, said: re.Match[str]) -> str:
    start = text.rfind("\n", 0, said.start()) + 1
    end = text.find("\n", said.end())
    return text[start : end if end >= 0 else None].strip()


def _stage(case: Case, row: Row, view: View) -> int:
    if row.layer == "container start":
        return 1
    if view.place == "host" or row.layer in _HOST_ONLY:
        # A refusal that says its reason goes before a state of the host that may have nothing to do with it.
        return int(case.here is None and row.layer in _MET_BY_THE_ENGINE)
    return 2


def _rank(case: Case, hit: _Hit) -> tuple[int, bool, int, bool, bool]:
    row, view, match = hit
    return (_stage(case, row, view), match.behind, LAYERS.index(row.layer), row.last_resort, not match.sure)


def _without_symptoms(case: Case, hits: list[_Hit]) -> list[_Hit]:
    """Leave out what another cause explains, and "unexplained" where anything at or below that stage explains it."""
    labels = {row.label for row, _, _ in hits}
    hits = [hit for hit in hits if not labels & set(hit[0].explained_by)]
    explained = min((_stage(case, r, v) for r, v, _ in hits if not r.last_resort and r.severity != "warns"), default=9)
    last = min((_stage(case, r, v) for r, v, _ in hits if r.last_resort), default=9)
    return [hit for hit in hits if not hit[0].last_resort or _stage(case, hit[0], hit[1]) == last < explained]


def _cause(case: Case, hit: _Hit, labels: set[str]) -> Cause:
    row, view, match = hit
    # The engine's refusals concern the machine as a whole; they are told at the place where they were met.
    return Cause(
        label=row.label,
        row=row.row,
        layer=row.layer,
        place="engine" if row.layer == "container start" else view.place,
        severity=row.severity,
        title=row.title,
        evidence=match.evidence,
        remedy=told(row.label, tagged(match.seen, tags_of(case, view))),
        source=row.source,
        possible=not match.sure,
        apart=tuple((other, command) for other, command in row.apart if not match.sure or other in labels),
    )


def _verdict(usable: bool, causes: tuple[Cause, ...]) -> str:
    if usable:
        return "usable"
    if not causes:
        return "unknown"
    return "no-gpu" if causes[0].label == "NO_GPU" else "unusable"


def _blind(case: Case) -> Iterator[BlindSpot]:
    for spot in catalogue().blinds:
        for view in (case.host, case.inside):
            if view is None or (spot.deepest and view is not case.here):
                continue
            match = PREDICATES[spot.predicate](case, view)
            if match is not None:
                why = "; ".join(match.evidence)
                yield BlindSpot(what=spot.what, place=view.place, why=why, tells=spot.tells)
