"""Which GPUs: what the command line may say, and what a process of this machine is told."""

from __future__ import annotations

import pytest

from dlmatrix.errors import UsageError
from dlmatrix.gpu.diagnosis.view import View
from dlmatrix.gpu.selection import chosen, environment, parse, told, unknown
from dlmatrix.matrix.plan import ALL, NONE

GPU = "GPU-8932f937-d72c-4106-c12f-20bd9faed9f6"
MIG = "MIG-c6d4f1ef-42e4-5de3-91c7-45d71c87eb3f"
OLD_MIG = f"MIG-{GPU}/1/0"
CVD, ORDER = "CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER"


@pytest.mark.parametrize("text", ["all", "none", "0", "0,2", "15", GPU, MIG, OLD_MIG, f"{GPU},{MIG}", f"1,{GPU}"])
def test_what_names_gpus(text: str) -> None:
    assert parse(text) == tuple(text.split(","))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "'' is no GPU"),
        ("0,", "'' is no GPU"),
        ("-1", "'-1' is no GPU"),
        ("0;1", "'0;1' is no GPU"),
        ("0, 1", "' 1' is no GPU"),
        ("00", "'00' is no GPU"),
        ("0:1", "'0:1' is no GPU"),
        ("two", "'two' is no GPU"),
        ("all,0", "'all' is no GPU"),
        ("ALL", "'ALL' is no GPU"),
        ("GPU-8932f937", "'GPU-8932f937' is no GPU"),
        (f"{GPU}0", f"'{GPU}0' is no GPU"),
        ("nvidia.com/gpu=0", "'nvidia.com/gpu=0' is no GPU"),
        ("0,1,0", "'0,1,0' names a GPU twice"),
    ],
)
def test_what_does_not(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        parse(text)


@pytest.mark.parametrize(
    ("gpus", "environ", "added"),
    [
        ((), {}, {}),
        (ALL, {}, {}),
        # A scheduler's choice is what all means.
        (ALL, {CVD: "3"}, {}),
        (NONE, {}, {CVD: ""}),
        (NONE, {CVD: "3"}, {CVD: ""}),
        # CUDA would count by speed, nvidia-smi and the container toolkit count by bus.
        (("0", "2"), {}, {CVD: "0,2", ORDER: "PCI_BUS_ID"}),
        ((MIG,), {}, {CVD: MIG, ORDER: "PCI_BUS_ID"}),
        # How a scheduler counts is its own affair.
        (("3",), {CVD: "1, 3"}, {CVD: "3"}),
        ((GPU,), {CVD: GPU}, {CVD: GPU}),
    ],
)
def test_what_a_process_is_told(gpus: tuple[str, ...], environ: dict[str, str], added: dict[str, str]) -> None:
    assert environment(gpus, environ) == added


@pytest.mark.parametrize("visible", ["1,3", "", "NoDevFiles", GPU])
def test_nothing_beyond_what_a_scheduler_left_is_taken(visible: str) -> None:
    with pytest.raises(UsageError, match=rf"--gpus 0 is not among {CVD}={visible}, "):
        environment(("0",), {CVD: visible})


@pytest.mark.parametrize(
    ("gpus", "environ", "says"),
    [
        (ALL, {}, ""),
        (ALL, {CVD: "3"}, f"by {CVD}=3 of the environment"),
        (("0", "2"), {}, f"0, 2 by {CVD}=0,2"),
        (("3",), {CVD: "1,3"}, f"3 by {CVD}=3"),
        (NONE, {CVD: "3"}, f"none by {CVD}="),
    ],
)
def test_a_report_says_how(gpus: tuple[str, ...], environ: dict[str, str], says: str) -> None:
    assert told(gpus, environ, environment(gpus, environ)) == says


ROWS = [
    View({"index": 0, "uuid": GPU, "mig": {"instances": [MIG]}}, place="host"),
    View({"index": 1, "uuid": "GPU-00000000-0000-0000-0000-000000000001"}, place="host"),
]


@pytest.mark.parametrize(
    ("gpus", "taken", "not_here"),
    [
        (ALL, [0, 1], []),
        ((), [0, 1], []),
        (("1",), [1], []),
        ((GPU,), [0], []),
        ((MIG, "1"), [0, 1], []),
        (("7", "1"), [0, 1], ["7"]),
        ((MIG.replace("c6", "d6"),), [0, 1], [MIG.replace("c6", "d6")]),
    ],
)
def test_a_machine_s_gpus_by_any_of_their_names(gpus: tuple[str, ...], taken: list[int], not_here: list[str]) -> None:
    assert [row.get("index") for row in chosen(ROWS, gpus)] == taken
    assert unknown(ROWS, gpus) == not_here
