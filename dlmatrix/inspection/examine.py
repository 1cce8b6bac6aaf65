"""Looks into an image once: its content checks, its bill of materials, and how it compares with its record."""

from __future__ import annotations

import contextlib
import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol

from dlmatrix.document.check import Outcome, check_entry
from dlmatrix.errors import typed
from dlmatrix.inspection import contents, digests, sbom
from dlmatrix.matrix.model import Site
from dlmatrix.matrix.plan import ChosenBase, Plan
from dlmatrix.system.files import replace
from dlmatrix.system.sources import made_by
from dlmatrix.system.state import state_dir
from dlmatrix.system.working import scratch

_STATUS, _BUNDLE = "/var/lib/dpkg/status", "/etc/ssl/certs/ca-certificates.crt"
#: The keys of a check's entry.
_ENTRY = check_entry("", "", Outcome.PASSED, "", kind="", found=None).keys()
_OUTCOMES = {digests.SAME: Outcome.PASSED, digests.DIFFERS: Outcome.FAILED}


@dataclass(frozen=True, kw_only=True)
class Examined:
    """What was found in an image: checks as in a run's document, and the text of its bill of materials."""

    checks: tuple[Mapping[str, Any], ...]
    sbom: str


class Images(Protocol):
    """The images of an engine, as far as this module asks."""

    def look(self, ref: str, program: str, *arguments: str, stdin: IO[bytes] | None = None) -> bytes:
        """What a program of the image prints about its files."""

    def identity(self, ref: str) -> digests.Identity:
        """An image's digests."""

    def made_with(self) -> digests.Made:
        """What the engine's digests depend on."""


def examine(images: Images, site: Site, plan: Plan, base: ChosenBase, image: str) -> Examined:
    """Examine an image, or recall what this version of the checks found in it."""
    folder = state_dir(plan.root) / "examined"
    folder.mkdir(exist_ok=True)
    file = folder / f"{_key(images, image, base.identity, plan)}.json"
    try:
        known = json.loads(file.read_text(encoding="utf-8"))
        found = Examined(checks=tuple(known["checks"]), sbom=known["sbom"])
        if not (isinstance(found.sbom, str) and all(check.keys() == _ENTRY for check in found.checks)):
            raise ValueError(file.name)
    except (OSError, ValueError, RecursionError, KeyError, TypeError, AttributeError):
        found = _examine(images, site, plan, base, image)
        replace(file, json.dumps({"checks": found.checks, "sbom": found.sbom}).encode())
    return Examined(checks=(*found.checks, _recorded(images, plan, base, image)), sbom=found.sbom)


def _examine(images: Images, site: Site, plan: Plan, base: ChosenBase, image: str) -> Examined:
    started = time.perf_counter()
    kept = state_dir(plan.root) / "examined" / f"base-{hashlib.sha256(base.identity.encode()).hexdigest()[:16]}"
    base_files = contents.parse_listing(_once(kept.with_suffix(".files"), images, base.ref, "find", *contents.LISTING))
    bundle = _once(kept.with_suffix(".crt"), images, base.ref, "cat", _BUNDLE).decode("utf-8", "replace")
    files = contents.parse_listing(images.look(image, "find", *contents.LISTING))
    status = images.look(image, "cat", _STATUS).decode("utf-8", "replace")
    certificates = contents.own_certificates(site, bundle)
    with scratch(plan.root) as temporary:
        # On its standard input, since a command line can be read by everybody.
        wanted = temporary / "patterns"
        wanted.write_text(contents.patterns(site, certificates), encoding="utf-8")
        with wanted.open("rb") as stdin:
            matches = contents.parse_matches(images.look(image, "grep", *contents.SEARCH, stdin=stdin))
    checks = contents.check(
        contents.Contents(
            files=files,
            base=base_files,
            matches=_foreign(images, image, matches),
            certificates=certificates,
            size_budget_mb=plan.env.size_budget_mb,
        )
    )
    checks[0]["seconds"] = time.perf_counter() - started  # one look serves them all
    return Examined(checks=tuple(checks), sbom=sbom.make_sbom(plan, image, files, status))


def _foreign(images: Images, image: str, matches: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    """The matches in files that no distribution brought."""
    paths = sorted({path for path, _ in matches})
    if not paths:
        return ()
    sums = images.look(image, "sha256sum", "--", *paths)
    names = (f"--regexp={contents.in_site_packages(path)},sha256=" for path in paths)
    records = images.look(image, "grep", "-rhF", "--include=RECORD", *names, "/opt/venv/lib")
    brought = contents.brought(paths, sums, records)
    return tuple((path, match) for path, match in matches if path not in brought)


def _recorded(images: Images, plan: Plan, base: ChosenBase, image: str) -> dict[str, Any]:
    """The image's digests against envs/digests.toml, as a check."""
    started = time.perf_counter()
    record = digests.read_records(plan.root).get(plan.env.name)
    found = digests.Comparison(
        word=digests.NOT_RECORDED, detail=typed("`python -m dlmatrix reproduce` compares two builds of it")
    )
    if record:
        found = digests.compare(record, images.identity(image), images.made_with, plan.inputs(base))
    return check_entry(
        "image-record",
        "the image has the digests that two builds from nothing last agreed on",
        _OUTCOMES.get(found.word, Outcome.SKIPPED),
        str(found),
        kind="image",
        expected=record.identity.manifest if record else None,
        found=image,
        seconds=time.perf_counter() - started,
    )


def _key(images: Images, image: str, base: str, plan: Plan) -> str:
    made = made_by([__name__, type(images).__module__])
    return hashlib.sha256(json.dumps([image, base, plan.env.size_budget_mb, made]).encode()).hexdigest()


def _once(file: Path, images: Images, ref: str, program: str, *arguments: str) -> bytes:
    """What a program of a base prints; a base is looked at once. What is kept of it is whole, or looked at again."""
    with contextlib.suppress(OSError):
        digest, _, kept = file.read_bytes().partition(b"\n")
        if digest.decode("ascii", "replace") == hashlib.sha256(kept).hexdigest():
            return kept
    found = images.look(ref, program, *arguments)
    replace(file, hashlib.sha256(found).hexdigest().encode() + b"\n" + found)
    return found
