"""The fewest packages that matter, and in which order they are tried."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from dlmatrix.guides.dates import caps, fewest, named_first

NAMES = [f"p{number}" for number in range(22)]


@pytest.mark.parametrize("needed", [{"p0"}, {"p13"}, {"p3", "p17"}, {"p1", "p2", "p21"}])
def test_the_fewest_that_work_are_found(needed: set[str]) -> None:
    tried: list[Sequence[str]] = []

    def works(names: Sequence[str]) -> bool:
        tried.append(names)
        return needed <= set(names)

    assert set(fewest(NAMES, works)) == needed
    if len(needed) == 1:
        assert len(tried) <= 12


def test_what_a_traceback_leads_through_is_first() -> None:
    said = (
        'File "…/site-packages/tensorflow/x.py", line 1\nFile "…/site-packages/google_pb/y.py", line 2\nTypeError: no'
    )
    assert named_first(["numpy", "tensorflow", "google-pb"], said) == ["google-pb", "tensorflow", "numpy"]


def test_a_cap_keeps_the_series() -> None:
    assert caps({"protobuf": "3.20.3", "numpy": "1.26.4", "x": "2"}) == ["protobuf<3.21", "numpy<1.27", "x<2.1"]
