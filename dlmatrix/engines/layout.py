"""The OCI layout of a bundle: its images, as whoever made the bundle had them on a Docker engine."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from dlmatrix.errors import BundleError
from dlmatrix.system.checkout import bundled
from dlmatrix.system.files import read_limited

#: The folder of the layout in a bundle, and what its index calls an image by the name that it has here.
FOLDER, NAME = "images", "dlmatrix.tag"
#: What the file oci-layout says.
VERSION = b'{"imageLayoutVersion":"1.0.0"}'
_DIGEST, _TAG = re.compile(r"sha256:([0-9a-f]{64})"), re.compile(r"dlmatrix(-base)?:[\w.-]+")


class Layout:
    """The OCI layout of a bundle, which was verified as it was unpacked: its bytes are those of whoever made it.

    Raises BundleError where it is not as a bundle has one, or names an image that is none of this project's.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        try:
            self._index = json.loads(read_limited(folder / "index.json"))
            self._old = json.loads(read_limited(folder / "manifest.json"))
            self._images = {str(one["annotations"][NAME]): one for one in self._index["manifests"]}
            self._manifests = {tag: json.loads(read_limited(self._blob(one))) for tag, one in self._images.items()}
            self._labels = {tag: self._labels_of(one) for tag, one in self._manifests.items()}
            self._blobs = {tag: self._blobs_of(tag) for tag in self._images}
            self._check_names()
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise BundleError(f"{folder}: is no layout of a bundle: {error}", "unpack the bundle once more") from None

    def __contains__(self, tag: str) -> bool:
        return tag in self._images

    def identities(self, tag: str) -> set[str]:
        """The digests of an image's manifest and of its configuration: one of them is its id on an engine."""
        return {self._images[tag]["digest"], self._manifests[tag]["config"]["digest"]}

    def labels(self, tag: str) -> dict[str, str]:
        """The labels of an image."""
        return self._labels[tag]

    def files(self, tags: Iterable[str]) -> dict[str, Path | bytes]:
        """A layout of these images alone, for `docker load`."""
        wanted = set(tags)
        found: dict[str, Path | bytes] = {"oci-layout": VERSION}
        found |= {f"blobs/sha256/{blob.name}": blob for tag in sorted(wanted) for blob in self._blobs[tag]}
        manifests = [one for tag, one in self._images.items() if tag in wanted]
        found["index.json"] = json.dumps({**self._index, "manifests": manifests}).encode()
        found["manifest.json"] = json.dumps([one for one in self._old if wanted & set(one["RepoTags"])]).encode()
        return found

    def _labels_of(self, manifest: Mapping[str, Any]) -> dict[str, str]:
        return dict(json.loads(read_limited(self._blob(manifest["config"])))["config"].get("Labels") or {})

    def _blobs_of(self, tag: str) -> list[Path]:
        manifest = self._manifests[tag]
        return [self._blob(one) for one in (self._images[tag], manifest["config"], *manifest["layers"])]

    def _blob(self, described: Mapping[str, Any]) -> Path:
        digest = _DIGEST.fullmatch(described["digest"])
        if not digest or not (file := self._folder / "blobs" / "sha256" / digest[1]).is_file():
            raise ValueError(f"there is no blob {described['digest']!r}"[:120])
        return file

    def _check_names(self) -> None:
        """By its other names an engine would give an image the name of another one."""
        names = {name for one in self._old for name in one["RepoTags"]}
        for tag, one in self._images.items():
            names |= {tag, one["annotations"].get("io.containerd.image.name", tag).rpartition("/")[2]}
        for name in names:
            if name not in self._images or not _TAG.fullmatch(name):
                raise ValueError(f"an image would be called {name!r}"[:120])


def bundled_layout(root: Path) -> Layout | None:
    """The images of the bundle in use; None where there are none."""
    folder = bundled(root)
    return Layout(folder / FOLDER) if folder and (folder / FOLDER).is_dir() else None
