"""A bill of materials for an image: CycloneDX 1.6, the same bytes for the same image."""

from __future__ import annotations

import datetime
import re
import uuid
from collections.abc import Iterable, Iterator
from email.parser import HeaderParser

from cyclonedx.model import HashAlgorithm, HashType
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

from dlmatrix.matrix.model import normal_name
from dlmatrix.matrix.plan import SOURCE_DATE_EPOCH, Plan

_DIST_INFO = re.compile(r"/site-packages/(?P<name>[^/]+)-(?P<version>[^/-]+)\.(dist-info|egg-info)$")
_INTERPRETER = re.compile(r"/usr/local/bin/python(?P<version>3\.\d+)")


def make_sbom(plan: Plan, image: str, files: Iterable[str], dpkg_status: str) -> str:
    """The bill of one image, as JSON.

    Args:
        plan: its env and lock, which has the distributions' hashes.
        image: the image's digest.
        files: the paths in it; a distribution is known by its .dist-info folder.
        dpkg_status: the text of its /var/lib/dpkg/status.
    """
    paths = sorted(path.encode("utf-8", "replace").decode() for path in files)  # a name may be no text
    root = Component(type=ComponentType.CONTAINER, name=plan.env.tag, version=image, bom_ref=plan.env.tag)
    parts = [*_distributions(plan, paths), *_debian(dpkg_status), *_interpreter(paths)]
    bom = Bom(
        components=parts,
        # Both are of the image, not of the moment: equal images have equal bills.
        serial_number=uuid.uuid5(uuid.NAMESPACE_OID, image),
        metadata=BomMetaData(
            component=root, timestamp=datetime.datetime.fromtimestamp(int(SOURCE_DATE_EPOCH), datetime.timezone.utc)
        ),
    )
    bom.register_dependency(root, parts)
    return JsonV1Dot6(bom).output_as_string(indent=1) + "\n"


def _distributions(plan: Plan, paths: Iterable[str]) -> Iterator[Component]:
    locked = {entry.name: entry for entry in plan.lock.entries}
    for found in filter(None, map(_DIST_INFO.search, paths)):
        name, version = normal_name(found["name"]), found["version"]
        entry = locked.get(name)
        # One of several files was installed; which, only a lock with one hash tells.
        hashes = entry.hashes if entry and entry.version == version and len(entry.hashes) == 1 else ()
        yield Component(
            name=name,
            version=version,
            purl=PackageURL("pypi", None, name, version),
            bom_ref=f"pypi/{name}@{version}",
            hashes=[HashType(alg=HashAlgorithm.SHA_256, content=h.removeprefix("sha256:")) for h in hashes],
        )


def _debian(status: str) -> Iterator[Component]:
    for paragraph in status.split("\n\n"):
        fields = HeaderParser().parsestr(paragraph)
        if fields.get("Status") != "install ok installed":
            continue
        name, version, architecture = (str(fields.get(key, "")) for key in ("Package", "Version", "Architecture"))
        if not name:
            continue
        yield Component(
            name=name,
            version=version,
            purl=PackageURL("deb", "debian", name, version, {"arch": architecture}),
            bom_ref=f"deb/{name}@{version}/{architecture}",
        )


def _interpreter(paths: Iterable[str]) -> Iterator[Component]:
    """A CPython that no package owns, copied or compiled to /usr/local."""
    for found in filter(None, map(_INTERPRETER.fullmatch, paths)):
        yield Component(
            type=ComponentType.APPLICATION,
            name="cpython",
            version=found["version"],
            purl=PackageURL("generic", None, "cpython", found["version"]),
            bom_ref=f"cpython@{found['version']}",
        )
