"""The two sizes of an image: what it takes on a disk, and what it takes to move or to keep.

A Docker engine tells one of them, and by its image store either the one or the other: in reports from before both were
told apart, ``size`` is what the engine said.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

UNPACKED, COMPRESSED = "unpacked_bytes", "compressed_bytes"


def places(env: Mapping[str, Any], engine: Mapping[str, Any]) -> dict[str, str]:
    """Where in an env's part of result.json its sizes are: the pointer of each that is known."""
    facts = env.get("facts") or {}
    found = {key: f"/facts/{key}" for key in (UNPACKED, COMPRESSED) if key in facts}
    store = engine.get("image store")
    if not found and "size" in facts and store:
        found[COMPRESSED if store == "containerd" else UNPACKED] = "/facts/size"
    return found


def sizes(env: Mapping[str, Any], engine: Mapping[str, Any]) -> dict[str, int | None]:
    """Both sizes of an env's image in bytes; None where the engine did not tell."""
    found = {key: env["facts"][place.rpartition("/")[2]] for key, place in places(env, engine).items()}
    return {key: found.get(key) for key in (UNPACKED, COMPRESSED)}
