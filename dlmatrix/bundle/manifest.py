"""What a bundle says it holds, and what it may say: docs/bundle.md describes the format.

This module, and all that ``dlmatrix.bundle.start`` imports, is carried in each bundle and runs there by itself: it
needs the standard library alone.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from dlmatrix.errors import BundleError
from dlmatrix.system.checkout import BUNDLE
from dlmatrix.system.files import read_limited

#: The version of the format. Another one is refused.
FORMAT = 1
#: Where the manifest lies in an unpacked bundle, and the folder of what is no part of the checkout.
FOLDER, MANIFEST = BUNDLE, f"{BUNDLE}/manifest.json"
#: Bytes that a manifest may have; one of three envs with images has 300,000. And members.
LONGEST, MOST = 32 << 20, 100_000
#: Characters of a path, and bytes of a part of one.
_PATH, _PART = 240, 200
#: Members that would be in the way of what an unpacked bundle makes for itself, or of git.
_OWN = (".git", ".venv", ".dlmatrix", ".nox", "reports")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, kw_only=True)
class Member:
    """One file: where it is to lie, its bytes, and where they came from."""

    path: str
    size: int
    sha256: str
    origin: str
    executable: bool = False


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """All that a bundle holds; equal inputs make equal ones, so no time, machine or user is in it."""

    #: for each env: its Python, framework and the sha256 of its lock; for those with an image also its facts
    envs: Mapping[str, Mapping[str, str]]
    #: the versions of dlmatrix, of uv, and of the Pythons that the tools are for; the checkout's commit
    versions: Mapping[str, str]
    members: tuple[Member, ...]
    #: the sha256 of each file that ``python3 FILE`` runs
    start: Mapping[str, str] = field(default_factory=dict)

    def text(self) -> bytes:
        """The manifest as its file; there is one way only to write it."""
        found = {"format": FORMAT, **asdict(self)}
        return (json.dumps(found, indent=0, sort_keys=True, ensure_ascii=True) + "\n").encode()


def manifest_of(file: Path) -> Manifest:
    """The manifest of an unpacked bundle, from its file. Raises BundleError as ``read_manifest``."""
    try:
        return read_manifest(read_limited(file, LONGEST), str(file))
    except ValueError as error:
        raise BundleError(f"{file}: its manifest is not understood: {error}") from None


def read_manifest(data: bytes, name: str) -> Manifest:
    """The manifest in these bytes. Raises BundleError, naming the bundle ``name`` and what is wrong."""
    try:
        found = json.loads(data, parse_int=_number)
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{name}: its manifest is not understood: {error or 'it has no end of levels'}") from None
    if not isinstance(found, dict) or "format" not in found:
        raise BundleError(f"{name}: its manifest names no format")
    if found.pop("format") != FORMAT:
        raise BundleError(
            f"{name}: this is a bundle of another format than {FORMAT}", "unpack it with what it carries: python3 FILE"
        )
    try:
        manifest = _manifest(found)
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise BundleError(f"{name}: its manifest is not understood: {error}") from None
    check_members(manifest.members, name)
    if manifest.text() != data:
        raise BundleError(f"{name}: its manifest is not written as one is (a key twice, or another order)")
    return manifest


def _manifest(found: Mapping[str, Any]) -> Manifest:
    if found.keys() != {"envs", "versions", "members", "start"}:
        raise ValueError(f"its keys are {', '.join(sorted(found))}"[:200])
    if len(found["members"]) > MOST:
        raise ValueError(f"more than {MOST:,} members")
    return Manifest(
        envs={str(name): _texts(facts) for name, facts in found["envs"].items()},
        versions=_texts(found["versions"]),
        members=tuple(_member(one) for one in found["members"]),
        start=_texts(found["start"]),
    )


def _member(one: Mapping[str, Any]) -> Member:
    member = Member(**one)
    kinds = {"path": str, "size": int, "sha256": str, "origin": str, "executable": bool}
    for key, kind in kinds.items():
        if type(getattr(member, key)) is not kind:
            raise ValueError(f"{key} of {str(one.get('path'))[:80]} is no {kind.__name__}")
    if not _SHA256.fullmatch(member.sha256) or member.size < 0:
        raise ValueError(f"size or sha256 of {member.path[:80]}")
    return member


def _texts(found: Mapping[str, Any]) -> dict[str, str]:
    if not all(isinstance(value, str) for value in found.values()):
        raise ValueError("a value is no text")
    return dict(found)


def _number(text: str) -> int:
    if len(text) > 18:
        raise ValueError(f"a number of {len(text)} digits")
    return int(text)


def check_members(members: Iterable[Member], name: str) -> None:
    """Hold the paths of members to what a path may be. Raises BundleError naming the first that is refused."""
    seen: dict[str, str] = {}
    parents: dict[str, str] = {}
    for member in members:
        path = member.path
        if why := refused(path):
            raise BundleError(f"{name}: its member {path[:80]!r} is refused: {why}")
        if other := seen.get(folded := _folded(path)):
            what = "is there twice" if other == path else f"and {other!r} are one name to many file systems"
            raise BundleError(f"{name}: its member {path!r} {what}")
        seen[folded] = path
        parts = folded.split("/")
        for depth in range(1, len(parts)):
            folder, written = "/".join(parts[:depth]), "/".join(path.split("/")[:depth])
            if parents.setdefault(folder, written) != written:
                raise BundleError(
                    f"{name}: its folders {parents[folder]!r} and {written!r} are one to many file systems"
                )
    for folder in parents.keys() & seen.keys():
        raise BundleError(f"{name}: its member {seen[folder]!r} is a file and a folder")


def refused(path: str) -> str:
    """Why a path is none that a member may have; "" where it is one."""
    parts = path.split("/")
    if path.startswith("/"):
        return "the path is absolute"
    if ".." in parts:
        return "the path leads out of the folder"
    if "" in parts or "." in parts:
        return "the path has an empty part"
    if "\\" in path or not path.isprintable():
        return "the path has a sign that none may have"
    if unicodedata.normalize("NFC", path) != path:
        return "the path is not in Unicode's normal form C"
    if len(path) > _PATH or any(len(part.encode("utf-8", "surrogatepass")) > _PART for part in parts):
        return "the path is too long"
    if parts[0].casefold() in _OWN or path.casefold() == MANIFEST:
        return "this is no bundle's to write"
    return ""


def _folded(path: str) -> str:
    """What file systems that do not tell case, or forms of Unicode, make of a path."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", path).casefold())
