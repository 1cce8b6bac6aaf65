"""The table of a run, and what follows it: fit for use or not, and why."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from rich.console import Console

from dlmatrix.report.table import as_env, fit_lines, remarks, row, table
from dlmatrix.run.result import EnvResult
from tests.unit import reports as made
from tests.unit.report.page import sample
from tests.unit.report.written import markdown


def test_rows(results: list[EnvResult]) -> None:
    assert [row(result) for result in results] == [
        ["cpu-torch-2.13", "passed", "2/3", "0.983", "-", "1,235", "1,235", "412 MB", "-", "19.5"],
        ["cpu-tf2-2.21", "error", "-", "-", "-", "-", "-", "-", "-", "-"],
        ["gpu-tf1-1.15", "skipped", "-", "-", "-", "-", "-", "-", "-", "-"],
        ["gpu-torch-2.13", "skipped", "1/2", "-", "skipped", "-", "-", "-", "-", "-"],
        ["cpu-tf1-1.15", "failed", "0/2", "-", "-", "-", "-", "-", "-", "-"],
    ]


def test_every_figure_of_a_gpu_env_that_used_no_gpu_says_that_it_is_the_cpu_s(results: list[EnvResult]) -> None:
    document = results[3].document
    assert document
    document["training"] = {"test_accuracy": 0.98349}
    document["throughput"] = {"rows": [sample.row("cnn", "train", "eager", 128, 4480.0, "cpu")]}
    assert row(results[3])[3:6] == ["0.983 on the CPU", "skipped", "4,480 on the CPU"]
    document["checks"][1]["outcome"] = "passed"
    assert row(results[3])[3] == "0.983"


WORDS = [
    "fit for use: cpu-torch-2.13",
    "not fit for use: cpu-tf2-2.21, because: did not end",
    "not fit for use: cpu-tf1-1.15, because: version: 1.14",
    "fit on the CPU only: gpu-torch-2.13, because: no driver",
    "not tried: gpu-tf1-1.15, because: needs CUDA 10.0",
]


def test_the_last_lines_say_which_envs_are_fit_for_use_and_why_the_others_are_not(results: list[EnvResult]) -> None:
    for lines in (list(remarks(results))[-5:], [one[2:] for one in markdown(results).splitlines() if "fit" in one]):
        for line, words in zip(lines, WORDS, strict=False):
            assert line.startswith(words)
    stopped = replace(results[1], exit_code=130, reason="interrupted before its end")
    assert list(remarks([stopped]))[-1] == "not tried: cpu-tf2-2.21, because: interrupted before its end"


def test_a_column_without_a_figure_takes_no_other_s_room(results: list[EnvResult]) -> None:
    assert results[0].prepared
    venv = replace(results[0], prepared=replace(results[0].prepared, facts={}))
    shown = [str(column.header) for column in table([venv], 80).columns]
    assert shown == ["env", "verdict", "checks", "accuracy", "train img/s", "infer img/s"]
    assert "unpacked" in [str(column.header) for column in table(results[:1], 80).columns]


def test_an_env_whose_numbers_are_not_those_of_the_others_is_not_fit(results: list[EnvResult]) -> None:
    envs = [as_env(replace(results[0], env=replace(results[0].env, short=short))) for short in ("2.13", "2.11")]
    assert list(fit_lines(envs, ["cpu-torch-2.11 (eager)", "cpu-torch-2.13.1 (graph)"])) == [
        "fit for use: cpu-torch-2.13",
        "not fit for use: cpu-torch-2.11, because: from the same weights it computes other numbers than the other"
        " frameworks",
    ]


@pytest.mark.parametrize(
    ("width", "envs", "last"),
    [(60, 2, "1,235"), (80, 2, "412 MB"), (80, 3, "412 MB"), (100, 3, "19.5"), (160, 3, "19.5")],
)
def test_the_table_has_as_many_columns_as_there_is_room_for_and_breaks_no_word(
    results: list[EnvResult], width: int, envs: int, last: str
) -> None:
    console = Console(width=width, file=io.StringIO(), markup=False)
    console.print(table(results[:envs], width))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    lines = [[cell.strip() for cell in line.strip("│").split("│")] for line in text.splitlines() if "│ " in line]
    assert max(map(len, text.splitlines())) <= width
    assert [line[:2] for line in lines] == [[one.env.name, one.outcome.value] for one in results[:envs]]
    assert lines[0][-1] == last


def test_a_gpu_s_best_row_and_its_share_of_the_roof_lead(results: list[EnvResult]) -> None:
    document = results[3].document
    assert document
    best = sample.row("resnet18", "train", "channels_last", 128, 12151.0, "cuda", precision="amp")
    small = sample.row("cnn", "train", "eager", 128, 65604.0, "cuda")
    document["throughput"] = {"rows": [small, best | {"roof_share": 0.1844}]}
    assert row(results[3])[5:7] == ["12,151, 18.4 % of roof", "-"]
    lead = "best training: resnet18 channels_last amp, batch 128: 12,151 images/s, 18.4 % of roof"
    assert f"gpu-torch-2.13: {lead}" in list(remarks(results))
    assert f"**gpu-torch-2.13**: {lead}" in markdown(results)


def test_the_terminal_s_table_shows_the_rows(results: list[EnvResult]) -> None:
    console = Console(width=160, file=io.StringIO(), markup=False)
    console.print(table(results, 160))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    lines = [[cell.strip() for cell in line.strip("│").split("│")] for line in text.splitlines() if "│ " in line]
    assert lines == [row(result) for result in results]


def test_what_the_table_does_not_say_follows_it(results: list[EnvResult]) -> None:
    assert "throughput: busy" not in "\n".join(remarks(results))
    document = results[0].document
    assert document
    mark = "busy: load 3.2 on 2 processors when it started"
    document["throughput"] = {"rows": [], "machine": {"marks": [mark]}}
    assert f"cpu-torch-2.13: throughput: {mark}" in list(remarks(results))
    assert f"**cpu-torch-2.13: throughput**: {mark}" in markdown(results)
    (following,) = {result.next_step for result in results} - {""}
    assert [line for line in remarks(results) if ": next: " in line] == [f"cpu-tf2-2.21: next: {following}"]


@pytest.mark.parametrize(("processes", "said"), [(0, False), (1, True), (2, False)])
def test_figures_of_one_process_are_said_to_have_no_interval(
    results: list[EnvResult], processes: int, said: bool
) -> None:
    document = results[0].document
    assert document
    rows = [made.row(made.TRAIN, [[900.0, 910.0]] * processes)]
    document["throughput"] = {"rows": rows, "machine": {"marks": []}}
    assert any("no interval" in line for line in remarks(results)) == said
