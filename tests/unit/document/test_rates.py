"""Which rate stands for an env: the small CNN on a CPU, the best of ResNet-18 and its share of the roof on a GPU."""

from __future__ import annotations

from typing import Any

import pytest

from dlmatrix.document import rates
from tests.unit.report.page import sample


def document(*rows: dict[str, Any]) -> dict[str, Any]:
    return {"throughput": {"rows": list(rows)}}


def gpu_rows() -> list[dict[str, Any]]:
    return [
        sample.row("cnn", "train", "eager", 128, 65604.0, "cuda"),
        sample.row("resnet18", "train", "eager", 128, 2616.0, "cuda"),
        sample.row("resnet18", "train", "channels_last", 128, 12151.0, "cuda", precision="amp"),
        sample.row("resnet18", "train", "channels_last", 128, 13000.0, "cuda", precision="amp", feed="host"),
        sample.row("resnet18", "train", "channels_last", 2048, None, "cuda", precision="amp") | {"outcome": "skipped"},
        sample.row("resnet18", "infer", "channels_last", 128, 37595.0, "cuda", precision="amp"),
    ]


def test_on_a_gpu_the_best_of_resnet18_leads_and_not_the_small_cnn() -> None:
    found = document(*gpu_rows())
    place = rates.headline(found, "train")
    assert place
    assert (place[0], place[1]["id"]) == ("/throughput/rows/2", "resnet18/train/channels_last/128/amp/device")
    share = f"{100 * 12151 * 5.4e9 / 7e14:.3g}"
    assert list(rates.leads(found)) == [
        f"best training: resnet18 channels_last amp, batch 128: 12,151 images/s, {share} % of roof",
        "best inference: resnet18 channels_last amp, batch 128: 37,595 images/s, 29 % of roof",
    ]


def test_a_gpu_of_which_only_the_small_cnn_was_measured_has_that() -> None:
    found = document(gpu_rows()[0] | {"roof_share": None})
    assert list(rates.leads(found)) == ["best training: cnn eager, batch 128: 65,604 images/s"]


@pytest.mark.parametrize("throughput", [None, [], {"rows": []}])
def test_nothing_measured_leads_nothing(throughput: object) -> None:
    assert list(rates.leads({"throughput": throughput})) == []
    assert rates.headline(None, "train") is None


def test_on_a_cpu_the_small_cnn_stands_for_the_env_and_nothing_leads() -> None:
    found = document(
        sample.row("resnet18", "train", "eager", 32, 9000.0, "cpu"),
        sample.row("cnn", "train", "eager", 128, 4000.0, "cpu"),
        sample.row("cnn", "train", "channels_last", 128, 4480.0, "cpu"),
        sample.row("cnn", "train", "eager", 512, 5000.0, "cpu"),
    )
    place = rates.headline(found, "train")
    assert place
    assert place[1]["id"] == "cnn/train/channels_last/128/fp32/device"
    assert rates.share(place[1]) == ""
    assert list(rates.leads(found)) == []


def test_a_report_of_the_first_version_is_still_read() -> None:
    old = {"throughput": [{"mode": "train", "images_per_second": 4008.1, "iqr": 9.5}]}
    place = rates.headline(old, "train")
    assert place
    assert (place[0], rates.median(place[1]), rates.label(place[1])) == ("/throughput/0", 4008.1, "eager")
    assert list(rates.leads(old)) == []
