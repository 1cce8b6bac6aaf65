"""What uv said which files a lock has, kept by what it was asked: the same question needs no network.

Addresses are not kept, since they may hold a password: whoever lacks a file asks uv once more.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from dlmatrix.system.files import read_limited, replace
from dlmatrix.system.state import state_dir

Package = Mapping[str, Any]


def place(root: Path, question: Sequence[str]) -> Path:
    """The file of the answer to a question."""
    name = hashlib.sha256(json.dumps(question).encode()).hexdigest()
    return state_dir(root) / "answers" / f"{name}.json"


def keep(file: Path, packages: Sequence[Package]) -> None:
    """Keep packages as a pylock.toml has them; of an address only that of a file of this machine."""
    file.parent.mkdir(exist_ok=True)
    replace(file, json.dumps([_kept(package) for package in packages], sort_keys=True))


def recall(file: Path) -> list[dict[str, Any]]:
    """The packages that were kept; none where nothing, or nothing readable, was."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return [_kept(package) for package in json.loads(read_limited(file))]
    return []


def url_of(one: Mapping[str, Any]) -> str:
    """The address of a file in a package; "" where it was not kept."""
    return str(one["url"]) if "url" in one else Path(one["path"]).absolute().as_uri()


def name_of(one: Mapping[str, Any]) -> str:
    """The name of a file in a package."""
    return str(one.get("name") or unquote(urlsplit(url_of(one)).path).rpartition("/")[2])


def _kept(package: Package) -> dict[str, Any]:
    found: dict[str, Any] = {"name": package["name"], "version": package["version"]}
    found["wheels"] = [_of(one) for one in package.get("wheels", [])]
    return {**found, "sdist": _of(package["sdist"])} if package.get("sdist") else found


def _of(one: Mapping[str, Any]) -> dict[str, Any]:
    url, sha256 = url_of(one), str(one["hashes"].get("sha256", ""))
    kept = url if url.startswith("file:") else ""
    return {"name": name_of(one), "url": kept, "size": one.get("size"), "hashes": {"sha256": sha256}}
