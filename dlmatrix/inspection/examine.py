"""Looks into an image once: its content checks, its bill of materials, and how it compares with its record."""

from __future__ import annotations

import contextlib
import hashlib
import json
import secrets
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from dlmatrix.document.check import Outcome, check_entry
from dlmatrix.errors import typed
from dlmatrix.inspection import contents, digests, layers, sbom
from dlmatrix.inspection.filesystem import Stacked
from dlmatrix.layers.cache import Cache
from dlmatrix.matrix.model import Site
from dlmatrix.matrix.plan import ChosenBase, Plan
from dlmatrix.system.files import read_limited, replace
from dlmatrix.system.sources import made_by
from dlmatrix.system.state import state_dir

_STATUS, _BUNDLE = "/var/lib/dpkg/status", "/etc/ssl/certs/ca-certificates.crt"
#: The keys of a check's entry.
_ENTRY = check_entry("", "", Outcome.PASSED, "", kind="", found=None).keys()
_OUTCOMES = {digests.SAME: Outcome.PASSED, digests.DIFFERS: Outcome.FAILED}


@dataclass(frozen=True, kw_only=True)
class Examined:
    """What was found in an image: checks as in a run's document, and the text of its bill of materials."""

    checks: tuple[Mapping[str, Any], ...]
    sbom: str


class Images(layers.Images, Protocol):
    """The images of an engine, as far as this module asks."""

    def look(self, ref: str, program: str, *arguments: str) -> bytes:
        """What a program of an image prints about its files; an image that is not there is pulled."""

    def made_with(self) -> digests.Made:
        """What the engine's digests depend on."""


@dataclass(frozen=True, kw_only=True)
class Seen:
    """An image as its layers make it, and what of it is the base's."""

    whole: Stacked
    base: Stacked


@dataclass(frozen=True, kw_only=True)
class Examiner:
    """Looks into the images of an engine; what is found in a layer is kept in the cache of layers."""

    images: Images
    site: Site
    cache: Cache

    def look_into(self, plan: Plan, base: ChosenBase, image: str) -> Seen:
        """Look into an image's layers, those alone that nobody has looked into yet."""
        kept = _folder(plan) / f"base-{hashlib.sha256(base.identity.encode()).hexdigest()[:16]}.json"
        about = json.loads(_once(kept, partial(_about_base, self.images, base.ref)))
        private = contents.private(self.site, about["certificates"])
        found = layers.look_into(self.images, image, private, self.cache, _own_key(_folder(plan)))
        return Seen(
            whole=Stacked(facts for _, facts in found),
            base=Stacked(facts for diff_id, facts in found if diff_id in about["layers"]),
        )

    def examine(self, plan: Plan, base: ChosenBase, image: str) -> Examined:
        """Examine an image, or recall what this version of the checks found in it."""
        file = _folder(plan) / f"{_key(self.images, image, base.identity, plan)}.json"
        try:
            known = json.loads(read_limited(file))
            found = Examined(checks=tuple(known["checks"]), sbom=known["sbom"])
            if not (isinstance(found.sbom, str) and all(check.keys() == _ENTRY for check in found.checks)):
                raise ValueError(file.name)
        except (OSError, ValueError, RecursionError, KeyError, TypeError, AttributeError):
            found = self._examine(plan, base, image)
            replace(file, json.dumps({"checks": found.checks, "sbom": found.sbom}).encode())
        return Examined(checks=(*found.checks, _recorded(self.images, plan, base, image)), sbom=found.sbom)

    def _examine(self, plan: Plan, base: ChosenBase, image: str) -> Examined:
        started = time.perf_counter()
        seen = self.look_into(plan, base, image)
        files = seen.whole.entries()
        records = (seen.whole.text(path) for path in files if path.endswith(".dist-info/RECORD"))
        checks = contents.check(
            contents.Contents(
                files=files,
                base=seen.base.entries(),
                suspects=contents.foreign(seen.whole.suspects(), records),
                size_budget_mb=plan.env.size_budget_mb,
            )
        )
        checks[0]["seconds"] = time.perf_counter() - started  # one look serves them all
        return Examined(checks=tuple(checks), sbom=sbom.make_sbom(plan, image, files, seen.whole.text(_STATUS)))


def _folder(plan: Plan) -> Path:
    folder = state_dir(plan.root) / "examined"
    folder.mkdir(exist_ok=True)
    return folder


def _about_base(images: Images, base: str) -> bytes:
    bundle = images.look(base, "cat", _BUNDLE).decode("utf-8", "replace")
    return json.dumps({"certificates": bundle, "layers": images.identity(base).layers}).encode()


def _own_key(folder: Path) -> bytes:
    """What digests of passwords are made with: the cache of layers may be read by others, this file by nobody else."""
    file = folder / "key"
    if not file.exists():
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".", delete=False) as fresh:
            fresh.write(secrets.token_bytes(32))
        Path(fresh.name).replace(file)
    return file.read_bytes()


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


def _once(file: Path, look: Callable[[], bytes]) -> bytes:
    """What a look into a base finds, which is made once. What is kept of it is whole, or looked at again."""
    with contextlib.suppress(OSError, ValueError):
        digest, _, kept = read_limited(file).partition(b"\n")
        if digest.decode("ascii", "replace") == hashlib.sha256(kept).hexdigest():
            return kept
    found = look()
    replace(file, hashlib.sha256(found).hexdigest().encode() + b"\n" + found)
    return found
