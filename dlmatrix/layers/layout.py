"""An OCI layout of a base and the layers upon it, which an engine builds on as it does on an image of a registry.

Source: the image specification of the Open Container Initiative, 1.1.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from dlmatrix.errors import BuildError
from dlmatrix.layers.archive import Blob
from dlmatrix.system.files import sha256

_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar+zstd"
#: The name, before a digest, under which the classic image store holds an env while it is built on.
LOADED = "dlmatrix-env"
_PLATFORM = {"architecture": "amd64", "os": "linux"}


@dataclass(frozen=True, kw_only=True)
class Layer:
    """A layer for a layout: its file, and the word for it in the image's history."""

    blob: Blob
    file: Path
    word: str


def assemble(folder: Path, base: Path, layers: Sequence[Layer], epoch: int) -> str:
    """Write a layout of the image in the layout ``base`` and more layers to ``folder``; return its manifest's digest.

    Files are linked where the file system allows it. Raises BuildError for a base that is not understood.
    """
    (folder / "blobs" / "sha256").mkdir(parents=True)
    try:
        manifest, config = _read_base(base)
        for layer in manifest["layers"]:
            _link(_blob(base, layer["digest"]), _blob(folder, layer["digest"]))
        created = datetime.fromtimestamp(epoch, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
        more = [{"created": created, "created_by": layer.word, "comment": "dlmatrix"} for layer in layers]
        whole: dict[str, Any] = {
            **{key: config[key] for key in ("architecture", "os", "config", "variant") if key in config},
            "created": created,
            "history": [*config.get("history", ()), *more],
            "rootfs": {"type": "layers", "diff_ids": [*config["rootfs"]["diff_ids"], *_diff_ids(layers)]},
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise BuildError(
            f"the base as the engine wrote it is not understood: {error}", "report this as a bug"
        ) from None
    described = list(manifest["layers"])
    for layer in layers:
        _link(layer.file, _blob(folder, layer.blob.digest))
        described.append({"mediaType": _LAYER, "digest": layer.blob.digest, "size": layer.blob.size})
    top: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": _MANIFEST,
        "config": _put(folder, _CONFIG, whole),
        "layers": described,
    }
    entry = {**_put(folder, _MANIFEST, top), "platform": _PLATFORM}
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}), encoding="utf-8")
    # By this file the classic image store loads a layout, and names the image.
    blobs = {
        digest: f"blobs/{digest.replace(':', '/')}" for digest in (d["digest"] for d in [top["config"], *described])
    }
    loaded = {"Config": blobs[top["config"]["digest"]], "Layers": [blobs[layer["digest"]] for layer in described]}
    tags = [f"{LOADED}:{entry['digest'].removeprefix('sha256:')}"]
    (folder / "manifest.json").write_text(json.dumps([{**loaded, "RepoTags": tags}]), encoding="utf-8")
    (folder / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}', encoding="utf-8")
    return str(entry["digest"])


def sound_manifest(layout: Path) -> str:
    """The digest of the manifest of a layout, all of whose blobs are what their digests say; else nothing."""
    try:
        digest, manifest = _read_manifest(layout)
        blobs = [digest, manifest["config"]["digest"], *(layer["digest"] for layer in manifest["layers"])]
        return digest if all(f"sha256:{sha256(_blob(layout, one))}" == one for one in blobs) else ""
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return ""


def layer_files(layout: Path) -> list[tuple[str, Path]]:
    """The layers of the one image of a layout, the lowest first: what each is unpacked (its diff id), and its file.

    Raises OSError, ValueError, KeyError or TypeError for a layout that is not understood.
    """
    manifest, config = _read_base(layout)
    files = (_blob(layout, layer["digest"]) for layer in manifest["layers"])
    return list(zip(config["rootfs"]["diff_ids"], files, strict=True))


def _read_base(layout: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The manifest and the config of the one image of a layout."""
    _, manifest = _read_manifest(layout)
    return manifest, json.loads(_blob(layout, manifest["config"]["digest"]).read_bytes())


def _read_manifest(layout: Path) -> tuple[str, dict[str, Any]]:
    digest, found = "", json.loads((layout / "index.json").read_bytes())
    while "manifests" in found:
        (one,) = [m for m in found["manifests"] if m.get("platform", _PLATFORM).get("architecture") == "amd64"]
        digest = one["digest"]
        found = json.loads(_blob(layout, digest).read_bytes())
    return digest, found


def _diff_ids(layers: Iterable[Layer]) -> list[str]:
    return [layer.blob.diff_id for layer in layers]


def _put(folder: Path, kind: str, value: Any) -> dict[str, Any]:
    data = json.dumps(value, sort_keys=True, separators=(",", ":")).encode()
    digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
    _blob(folder, digest).write_bytes(data)
    return {"mediaType": kind, "digest": digest, "size": len(data)}


def _blob(layout: Path, digest: str) -> Path:
    kind, _, name = digest.partition(":")
    return layout / "blobs" / kind / name


def _link(source: Path, target: Path) -> None:
    if target.exists():  # two layers may be equal
        return
    with contextlib.suppress(OSError):
        os.link(source, target)
        return
    shutil.copyfile(source, target)
