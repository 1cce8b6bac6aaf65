"""Checks of what is in an image, from outside: nothing that should not be there, and not too much.

What an image adds is told by holding its files against its base's.
"""

from __future__ import annotations

import posixpath
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from dlmatrix.document.check import Outcome, check_entry
from dlmatrix.inspection.layer import Entry, Suspect
from dlmatrix.inspection.private import CERTIFICATE, SECRET, Private
from dlmatrix.matrix.model import Site
from dlmatrix.system.words import listed

#: Where docker/Dockerfile puts an image's own files: venv, checks, and for a gpu env the loader's cache.
DECLARED = re.compile(r"/opt/venv(/.*)?|/srv/smoke(/.*)?|/etc/ld\.so\.cache|/etc/ld\.so\.conf\.d/nvidia-wheels\.conf")
#: Made by the engine in every container, whatever the image; BuildKit may leave them in a layer.
_ENGINES_OWN = frozenset({"/.dockerenv", "/etc/hosts", "/etc/hostname", "/etc/resolv.conf", "/etc/mtab"})
_SECRET_FILES = re.compile(
    r"/(\.netrc|\.pypirc|\.git-credentials|\.npmrc|\.docker/config\.json|pip\.conf|uv\.toml|id_(rsa|dsa|ecdsa|ed25519))$"
    r"|^/run/secrets/."
)
_CACHES = re.compile(
    r"/\.cache/.|^/var/cache/apt/.*\.(deb|bin)$|^/var/lib/apt/lists/(?!lock$|partial$|auxfiles$).|^/run/cache/."
    r"|^/var/cache/ldconfig/."
)
_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----\s+(.*?)\s*-----END CERTIFICATE-----", re.DOTALL)
#: In an address: a name and a password, or a token that needs none; a short name alone is no secret.
_PASSWORD = re.compile(r"//([^/@:]+:[^/@]+|[^/@:]{16,}):?@")


@dataclass(frozen=True, kw_only=True)
class Contents:
    """All that the checks look at."""

    files: Mapping[str, Entry]
    base: Mapping[str, Entry]
    #: text files that hold what no image may, less what distributions brought
    suspects: Mapping[str, Suspect]
    size_budget_mb: int


def foreign(suspects: Mapping[str, Suspect], records: Iterable[str]) -> dict[str, Suspect]:
    """Of some files, those that are not as a distribution's RECORD says: that is hash-locked, and nobody's secret.

    ``records`` is what RECORD files say.
    """
    lines = {line.rpartition(",")[0] for text in records for line in text.splitlines()} if suspects else set()
    return {
        path: suspect
        for path, suspect in suspects.items()
        if f"{path.partition('/site-packages/')[2] or path},sha256={suspect.digest}" not in lines
    }


def private(site: Site, public: str) -> Private:
    """What is this machine's own; ``public`` is the base's bundle of certificates, which is Debian's."""
    addresses = (site.index, *site.extra_indexes, *site.proxies.values())
    passwords = (found[1] for a in addresses if a and (found := _PASSWORD.search(a)))
    return Private(passwords=tuple(passwords), certificates=own_certificates(site, public))


def own_certificates(site: Site, public: str) -> tuple[str, ...]:
    """A line of each certificate of this machine's bundle that is not in the base's, which is Debian's."""
    bundle = site.ca_bundle.read_text(encoding="utf-8", errors="replace") if site.ca_bundle else ""
    known = {_body(found) for found in _CERTIFICATE.findall(public)}
    # The fourth line is past the names that certificates of one maker share.
    bodies = (_body(found) for found in _CERTIFICATE.findall(bundle))
    return tuple(sorted({body[192:256] for body in bodies if body not in known and len(body) >= 256}))


def check(contents: Contents) -> list[dict[str, Any]]:
    """Every check's result, in the shape of a check of the document, with the kind ``image``."""
    added = {
        path: entry
        for path, entry in contents.files.items()
        if path not in _ENGINES_OWN and not _same(entry, contents.base.get(path))
    }
    secrets = [f"{path} (its name)" for path in contents.files if _SECRET_FILES.search(path)]
    secrets += [path for path, suspect in contents.suspects.items() if SECRET in suspect.holds]
    size, largest = _sizes(contents.files)
    budget = contents.size_budget_mb * 1_000_000
    results = [
        _result("image-caches", "no package manager's cache is in the image", filter(_CACHES.search, contents.files)),
        _result("image-secrets", "no text file looks like a secret or holds one of this machine's", secrets),
        _result(
            "image-certificates",
            "no certificate of the machine it was built on is in the image",
            (path for path, suspect in contents.suspects.items() if CERTIFICATE in suspect.holds),
        ),
        _result(
            "image-root",
            "nothing was added to the base but the environment and the checks",
            (path for path in added if not DECLARED.fullmatch(path)),
        ),
        _result("image-permissions", "nothing added is setuid, setgid, world-writable or not root's", _loose(added)),
        _result(
            "image-size",
            "the image is within the env's size-budget-mb",
            [f"{size / 1e6:.0f} MB, budget {contents.size_budget_mb} MB"] if size > budget else [],
        ),
    ]
    results[-1] |= {"expected": contents.size_budget_mb, "found": round(size / 1e6), "data": {"largest MB": largest}}
    if size > budget:
        results[-1]["reason"] += f"; largest: {', '.join(f'{path} {mb}' for path, mb in largest.items())}"
    return results


def _same(entry: Entry, base: Entry | None) -> bool:
    """The base's copy of a file has the same size; where a link leads is not looked at."""
    return base is not None and entry._replace(target="") == base._replace(target="")


def _loose(added: Mapping[str, Entry]) -> Iterator[str]:
    for path, entry in added.items():
        if entry.kind != "l" and entry.mode & 0o6002:
            yield f"{path} (mode {entry.mode:04o})"
        elif entry.owner != "0:0":
            yield f"{path} (owner {entry.owner})"


def _sizes(files: Mapping[str, Entry]) -> tuple[int, dict[str, int]]:
    """Bytes of all files, a hard link counted once, and the largest folders in MB: packages, or second-level ones."""
    folders: Counter[str] = Counter()
    for path, entry in files.items():
        if entry.size:
            folders[_folder(path)] += entry.size
    largest = {folder: round(size / 1e6) for folder, size in folders.most_common(5)}
    return folders.total(), largest


def _folder(path: str) -> str:
    package = re.match(r".*?/site-packages/[^/]+", path)
    return package[0] if package else posixpath.join("/", *path.split("/")[1:3])


def _result(name: str, asserts: str, offenders: Iterable[str]) -> dict[str, Any]:
    found = sorted(offenders)
    outcome = Outcome.FAILED if found else Outcome.PASSED
    return check_entry(name, asserts, outcome, listed(found), kind="image", expected=[], found=found[:50])


def _body(certificate: str) -> str:
    return "".join(certificate.split())
