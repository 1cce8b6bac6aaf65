"""What the installed distributions say they brought: their RECORD files."""

from __future__ import annotations

import posixpath
from dataclasses import dataclass

from dlmatrix.inspection.layer import OBJECT
from dlmatrix.inspection.loader import Place
from dlmatrix.layers.record import record_rows
from dlmatrix.matrix.model import normal_name


@dataclass(frozen=True, kw_only=True)
class Distribution:
    """An installed distribution."""

    name: str
    version: str

    def __str__(self) -> str:
        return f"{self.name} {self.version}"

    @property
    def pin(self) -> str:
        """The requirement that installs it again."""
        return f"{self.name}=={self.version}"


def recorded_objects(place: Place) -> dict[str, Distribution]:
    """Every shared object that a distribution brought, by its path, whether or not it is still there."""
    found = {}
    for file in place.filesystem.files(place.site_packages):
        folder, name = posixpath.split(file)
        if name == "RECORD" and folder.endswith(".dist-info"):
            title, _, version = posixpath.basename(folder).removesuffix(".dist-info").partition("-")
            owner = Distribution(name=normal_name(title), version=version)
            try:
                rows = record_rows(place.filesystem.text(file))
            except ValueError:  # no list, and so nothing that it is known to have brought
                continue
            paths = (posixpath.normpath(posixpath.join(folder, "..", row[0])) for row in rows)
            found.update({path: owner for path in paths if OBJECT.search(path)})
    return found
