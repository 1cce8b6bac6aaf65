"""The images of envs and their bases, as one OCI layout that has each layer once, however many images share it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import IO, Any

from dlmatrix.bundle.contents import Source
from dlmatrix.bundle.manifest import FOLDER
from dlmatrix.bundle.volumes import PIECE
from dlmatrix.engines import layout
from dlmatrix.engines.docker.engine import DockerEngine
from dlmatrix.errors import EngineError
from dlmatrix.inspection.digests import Record
from dlmatrix.matrix.plan import Plan
from dlmatrix.system.process import Say

_BLOB = re.compile(r"blobs/sha256/([0-9a-f]{64})")
_PLACE = f"{FOLDER}/{layout.FOLDER}"
_NAMED = ("io.containerd.image.name", "org.opencontainers.image.ref.name")


@dataclass(frozen=True, kw_only=True)
class Pictured:
    """The images of a bundle, on the engine and up to date."""

    engine: DockerEngine
    #: as the engine calls them
    tags: tuple[str, ...]
    #: about, compressed, a layer as often as images have it
    size: int
    #: for the manifest, by env
    facts: dict[str, dict[str, str]]
    #: the bill of materials of each image, by env
    bills: dict[str, str]

    def sources(self) -> Iterator[Source]:
        """The layout's files, in the order in which the engine writes them: that of their digests."""
        kept: dict[str, bytes] = {}
        with self.engine.images.saved(self.tags) as tar:
            for info in tar:
                content = tar.extractfile(info) if info.isreg() else None
                if content is None:
                    continue
                if blob := _BLOB.fullmatch(info.name):
                    path = f"{_PLACE}/{info.name}"
                    yield Source(path=path, origin="images", content=_pieces(content), size=info.size, sha256=blob[1])
                elif info.name in ("index.json", "manifest.json"):
                    kept[info.name] = content.read(PIECE)
        made = {"index.json": _index(kept), "manifest.json": _old(kept), "oci-layout": layout.VERSION}
        for name, data in made.items():
            yield Source(path=f"{_PLACE}/{name}", origin="images", content=data, size=len(data))


def pictured(engine: DockerEngine, plans: Sequence[Plan], say: Say) -> Pictured:
    """Build what is not up to date, and say what there is. A base from a registry is not taken along."""
    tags, facts, bills, size, made = [], {}, {}, 0, engine.images.made_with()
    for plan in plans:
        say(f"{plan.env.name}: {plan.env.tag}")
        prepared = engine.prepare(plan, lambda line: None)
        base = engine.choose_base(plan.base)
        identity = engine.images.identity(plan.env.tag)
        tags += [plan.env.tag, *([base.ref] if base.kind == "debian" else [])]
        size += int(engine.client.images.get(plan.env.tag).attrs["Size"])
        record = Record(identity=identity, made=made, inputs=plan.inputs(base))
        facts[plan.env.name] = {"base": base.ref, "record": json.dumps(asdict(record), sort_keys=True)}
        if prepared.sbom:
            bills[plan.env.name] = prepared.sbom
    return Pictured(engine=engine, tags=tuple(sorted(set(tags))), size=size, facts=facts, bills=bills)


def _index(kept: dict[str, bytes]) -> bytes:
    """The index, with nothing in it but what an image is known by: who wrote it says more, and otherwise each time."""
    found = []
    for one in _read(kept, "index.json")["manifests"]:
        named = {key: value for key, value in (one.get("annotations") or {}).items() if key in _NAMED}
        tag = named.get(_NAMED[0], "").rpartition("/")[2]
        if not tag:
            raise EngineError("docker save: an image has no name", "`docker version` says which it is: use 25 or newer")
        annotations = {**named, layout.NAME: tag}
        found.append({**{key: one[key] for key in ("mediaType", "digest", "size")}, "annotations": annotations})
    found.sort(key=lambda one: one["annotations"][layout.NAME])
    return _written({"schemaVersion": 2, "manifests": found})


def _old(kept: dict[str, bytes]) -> bytes:
    """What the classic image store, and Podman, read instead of the index."""
    found = _read(kept, "manifest.json")
    return _written(sorted(found, key=lambda one: list(one["RepoTags"])))


def _read(kept: dict[str, bytes], name: str) -> Any:
    if name not in kept:
        raise EngineError(f"docker save wrote no {name}", "`docker version` says which it is: 25 or newer is needed")
    return json.loads(kept[name])


def _written(found: Any) -> bytes:
    return json.dumps(found, sort_keys=True, separators=(",", ":")).encode()


def _pieces(content: IO[bytes]) -> Iterator[bytes]:
    while piece := content.read(PIECE):
        yield piece
