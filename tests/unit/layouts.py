"""OCI layouts as a bundle has them, of images with these labels."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any


def blob(folder: Path, data: bytes) -> dict[str, Any]:
    digest = hashlib.sha256(data).hexdigest()
    file = folder / "blobs" / "sha256" / digest
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(data)
    return {"mediaType": "x", "digest": f"sha256:{digest}", "size": len(data)}


def layout(folder: Path, labels: dict[str, dict[str, str]]) -> Path:
    """Images by their tags, with a layer that all share and one of their own."""
    index, old = [], []
    for tag, own in labels.items():
        layers = [blob(folder, b"shared" * 1000), blob(folder, f"of {tag}".encode() * 1000)]
        config = blob(folder, json.dumps({"config": {"Labels": own}, "of": tag}).encode())
        manifest = blob(folder, json.dumps({"config": config, "layers": layers}).encode())
        index.append({**manifest, "annotations": {"dlmatrix.tag": tag}})
        old.append({"Config": config["digest"], "RepoTags": [tag], "Layers": [one["digest"] for one in layers]})
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": index}))
    (folder / "manifest.json").write_text(json.dumps(old))
    (folder / "oci-layout").write_text("{}")
    return folder
