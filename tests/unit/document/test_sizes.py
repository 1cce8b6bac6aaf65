"""An image's two sizes mean the same in every report, whichever of them an engine calls its size."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from dlmatrix.document.sizes import places, sizes
from dlmatrix.engines.docker.images import Images

DOCKER = {"engine": "docker", "image store": "containerd"}


class Client:
    """An engine with one of the two image stores."""

    def __init__(self, kind: str) -> None:
        self._kind = kind

    def info(self) -> dict[str, Any]:
        return {"DriverStatus": [["driver-type", self._kind]]}


@pytest.mark.parametrize(
    ("kind", "said", "known"),
    [
        ("io.containerd.snapshotter.v1", 275, {"unpacked_bytes": 1134, "compressed_bytes": 275}),
        ("", 1134, {"unpacked_bytes": 1134}),
    ],
)
def test_an_engine_s_size_is_told_by_its_meaning(kind: str, said: int, known: dict[str, int]) -> None:
    layers = [{"step": "ADD", "bytes": 1000, "holds": "base"}, {"step": "RUN", "bytes": 134, "holds": "environment"}]
    found = Images(Client(kind)).sizes(SimpleNamespace(attrs={"Size": said}), layers)
    assert found == known
    both = {"unpacked_bytes": None, "compressed_bytes": None}
    assert sizes({"facts": found}, DOCKER) == both | known


@pytest.mark.parametrize(
    ("store", "place"),
    [
        ({"image store": "containerd"}, {"compressed_bytes": "/facts/size"}),
        ({"image store": "classic"}, {"unpacked_bytes": "/facts/size"}),
        ({}, {}),
    ],
)
def test_of_an_older_report_the_store_tells_which_size_it_has(store: dict[str, str], place: dict[str, str]) -> None:
    assert places({"facts": {"size": 275}}, {"engine": "docker", **store}) == place
    assert set(sizes({"facts": {"size": 275}}, store).values()) == ({275, None} if store else {None})
