"""Checks of what is in an image, from outside: nothing that should not be there, and not too much.

What an image adds is told by holding its files against its base's.
"""

from __future__ import annotations

import base64
import posixpath
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from dlmatrix.document.check import Outcome, check_entry
from dlmatrix.errors import ContractError
from dlmatrix.matrix.model import Site
from dlmatrix.system.words import listed

#: How GNU find is to print each file; ``parse_listing`` reads it.
LISTING = ("/", "-xdev", "-printf", r"%y %m %U %G %s %i %p\0")
_LISTED = re.compile(r"(.) ([0-7]{1,5}) (\d{1,10}) (\d{1,10}) (\d{1,20}) (\d{1,20}) (.*)", re.DOTALL | re.ASCII)
_SHA256 = re.compile(r"[0-9a-f]{64}")
#: Where docker/Dockerfile puts an image's own files: venv, checks, and for a gpu env the loader's cache.
DECLARED = re.compile(r"/opt/venv(/.*)?|/srv/smoke(/.*)?|/etc/ld\.so\.cache|/etc/ld\.so\.conf\.d/nvidia-wheels\.conf")
#: How GNU grep is to search the text files that no Debian package brings, for the patterns on its standard input.
SEARCH = ("-rIoEs", "--null", "--file=-", "/opt", "/srv", "/etc", "/home", "/root", "/usr/local", "/var")
#: Made by the engine in every container, whatever the image.
_ENGINES_OWN = frozenset({"/.dockerenv", "/etc/hosts", "/etc/hostname", "/etc/resolv.conf", "/etc/mtab"})
#: Known forms of secrets, as extended regular expressions for grep.
_SECRETS = (
    "-----BEGIN ([A-Z]+ )*PRIVATE KEY-----",
    "AKIA[0-9A-Z]{16}",
    "gh[pousr]_[A-Za-z0-9]{36}",
    "github_pat_[A-Za-z0-9_]{40}",
    "pypi-AgE[A-Za-z0-9_-]{50}",
    "hf_[A-Za-z]{34}",
)
_SECRET_FILES = re.compile(
    r"/(\.netrc|\.pypirc|\.git-credentials|\.npmrc|\.docker/config\.json|pip\.conf|uv\.toml|id_(rsa|dsa|ecdsa|ed25519))$"
    r"|^/run/secrets/."
)
_CACHES = re.compile(
    r"/\.cache/.|^/var/cache/apt/.*\.(deb|bin)$|^/var/lib/apt/lists/(?!lock$|partial$|auxfiles$).|^/run/cache/."
    r"|^/var/cache/ldconfig/."
)
_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----\s+(.*?)\s*-----END CERTIFICATE-----", re.DOTALL)


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One file of an image. ``kind`` is find's letter: f, d, l, …; ``size`` is in bytes."""

    kind: str
    mode: int
    owner: str
    size: int
    inode: int


@dataclass(frozen=True, kw_only=True)
class Contents:
    """All that the checks look at. ``matches``: (file, what was found in it), less what distributions brought."""

    files: Mapping[str, Entry]
    base: Mapping[str, Entry]
    matches: tuple[tuple[str, str], ...]
    #: searched lines of certificates that this machine has and the public does not
    certificates: tuple[str, ...]
    size_budget_mb: int


def parse_listing(listing: bytes) -> dict[str, Entry]:
    """What ``find`` printed. Raises ContractError where it is nothing that find prints: the image has its own."""
    files = {}
    for line in listing.decode("utf-8", "surrogateescape").split("\0")[:-1]:
        if not (found := _LISTED.fullmatch(line)):
            what = f"the image's find printed {line[:80]!r}, which is no entry of a listing"
            raise ContractError(what, "see what find is in it: nothing of its contents is known")
        kind, mode, uid, gid, size, inode, path = found.groups()
        files[path] = Entry(kind=kind, mode=int(mode, 8), owner=f"{uid}:{gid}", size=int(size), inode=int(inode))
    return files


def parse_matches(found: bytes) -> tuple[tuple[str, str], ...]:
    """What ``grep -o --null`` printed."""
    lines = (line.partition("\0") for line in found.decode("utf-8", "replace").splitlines())
    return tuple((path, match) for path, _, match in lines)


def brought(paths: Iterable[str], sums: bytes, records: bytes) -> frozenset[str]:
    """Of some files, those that are as a distribution's RECORD says: hash-locked, so nothing of this machine.

    ``sums`` is what ``sha256sum`` printed of them, ``records`` the lines that RECORD files have of them.
    """
    found = {}
    for line in sums.decode("utf-8", "replace").splitlines():
        digest, _, path = line.partition("  ")
        if not _SHA256.fullmatch(digest):  # of a name with a line's end in it, or of another program
            continue
        found[path] = base64.urlsafe_b64encode(bytes.fromhex(digest)).rstrip(b"=").decode()
    listed = set(records.decode("utf-8", "replace").splitlines())
    return frozenset(
        path
        for path in paths
        if path in found and any(line.startswith(f"{in_site_packages(path)},sha256={found[path]},") for line in listed)
    )


def in_site_packages(path: str) -> str:
    """The name under which a RECORD has a file."""
    return path.partition("/site-packages/")[2] or path


def patterns(site: Site, certificates: Iterable[str]) -> str:
    """What to search for, a line each: known forms of secrets, this machine's own, its certificates."""
    addresses = (site.index, *site.extra_indexes, *site.proxies.values())
    passwords = (found[1] for a in addresses if a and (found := re.search(r"//([^/@]+:[^/@]+)@", a)))
    return "\n".join([*_SECRETS, *map(_literal, passwords), *map(_literal, certificates)]) + "\n"


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
    own = frozenset(contents.certificates)
    secrets = [f"{path} (its name)" for path in contents.files if _SECRET_FILES.search(path)]
    secrets += sorted({path for path, match in contents.matches if match not in own})
    size, largest = _sizes(contents.files)
    budget = contents.size_budget_mb * 1_000_000
    results = [
        _result("image-caches", "no package manager's cache is in the image", filter(_CACHES.search, contents.files)),
        _result("image-secrets", "no text file looks like a secret or holds one of this machine's", secrets),
        _result(
            "image-certificates",
            "no certificate of the machine it was built on is in the image",
            sorted({path for path, match in contents.matches if match in own}),
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
    """A folder's size says only how many files it holds; the base's copy of a file has the same inode or size."""
    if base is None or (entry.kind, entry.mode, entry.owner) != (base.kind, base.mode, base.owner):
        return False
    return entry.kind != "f" or entry.size == base.size


def _loose(added: Mapping[str, Entry]) -> Iterator[str]:
    for path, entry in added.items():
        if entry.kind != "l" and entry.mode & 0o6002:
            yield f"{path} (mode {entry.mode:04o})"
        elif entry.owner != "0:0":
            yield f"{path} (owner {entry.owner})"


def _sizes(files: Mapping[str, Entry]) -> tuple[int, dict[str, int]]:
    """Bytes of all files, a hard link counted once, and the largest folders in MB: packages, or second-level ones."""
    by_inode = {(entry.inode, entry.size): (path, entry.size) for path, entry in files.items() if entry.kind == "f"}
    folders: Counter[str] = Counter()
    for path, size in by_inode.values():
        folders[_folder(path)] += size
    largest = {folder: round(size / 1e6) for folder, size in folders.most_common(5)}
    return sum(size for _, size in by_inode.values()), largest


def _folder(path: str) -> str:
    package = re.match(r".*?/site-packages/[^/]+", path)
    return package[0] if package else posixpath.join("/", *path.split("/")[1:3])


def _result(name: str, asserts: str, offenders: Iterable[str]) -> dict[str, Any]:
    found = sorted(offenders)
    outcome = Outcome.FAILED if found else Outcome.PASSED
    return check_entry(name, asserts, outcome, listed(found), kind="image", expected=[], found=found[:50])


def _body(certificate: str) -> str:
    return "".join(certificate.split())


def _literal(text: str) -> str:
    """Text as an extended regular expression that matches it alone."""
    return re.sub(r"([][\\.^$*+?(){}|])", r"\\\1", text)
