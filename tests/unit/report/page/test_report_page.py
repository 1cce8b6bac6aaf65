"""The page of a run, from results of every kind: facts that must be on it, never its looks."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dlmatrix.report import write as report
from dlmatrix.report.history import History
from dlmatrix.report.page import report_html
from dlmatrix.report.page.sentences import translated
from dlmatrix.report.page.source import in_words
from tests.unit import documents
from tests.unit.report.page import sample
from tests.unit.report.page.run_page import page_of, section, verdicts
from tests.unit.report.page.tree import Page


def test_each_env_has_its_verdict_reason_and_next_command(page: Page) -> None:
    shown = verdicts(page)
    assert len(shown) == 7
    for line, facts in zip(
        shown,
        [
            ("passed", "cpu-torch-2.13", "36 passed, 1 skipped", "Use it: docker run --rm -it", "4,480 img/s"),
            ("failed", "cpu-tf2-2.21", "wrong: expected 1", "python -m dlmatrix run cpu-tf2-2.21 --engine docker"),
            ("passed", "cpu-tf1-1.15", "4,008 img/s", "7,994 img/s"),
            (
                "passed",
                "gpu-torch-2.13",
                "37 passed",
                "training12,152 img/s 9.37 % of the roof of its precision resnet18 channels_last amp 128",
                "37,596 img/s",
            ),
            ("skipped", "gpu-torch-2.11", "DRIVER_NOT_INSTALLED", "python -m dlmatrix doctor gpu-torch-2.11"),
            ("error", "cpu-tf2-2.18", "did not end within 600 s", "Next: see its log;"),
            ("skipped", "gpu-tf1-1.15", "needs CUDA 10.0", "python -m dlmatrix list"),
        ],
        strict=True,
    ):
        for fact in facts:
            assert fact in line
        assert line.startswith(facts[0])
    assert verdicts(page, "zh-Hans")[4].startswith("已跳过")


def test_a_file_for_apptainer_is_used_by_its_path() -> None:
    cell = documents.env("gpu-torch-2.13", facts={"what": "/big disk/gpu.sif"})
    shown = verdicts(page_of(sample.result([cell], engine={"engine": "apptainer", "version": "1.4.5"})))
    assert "Use it: apptainer exec --nv '/big disk/gpu.sif' python" in shown[0]


def test_throughput_shows_intervals_roof_memory_and_what_was_skipped_and_why(page: Page) -> None:
    text = page.text(section(page, "cpu-torch-2.13"))
    for fact in (
        "channels_last best 128 4,480 [4,377, 4,614] 40.6 % 139 ms 940 MB interval narrow enough 30 / 5",
        "eager host-fed 128 3,300",
        "skipped torch.compile needs a C++ compiler, which this image has not compiled 1, 32, 128, 512",
        "Throughput: ResNet-18 at 224",
        "Matrix product 2048x2048 float32 170 GFLOP/s [166 GFLOP/s, 175 GFLOP/s]",
        "Cost of a launch add of one number 2.1 µs",
        "Processors (limit) 2 Load, start → end 0.4 → 2.1",
        "padding=valid tf32=False",
        "Nothing disturbed the measurement",
    ):
        assert fact in text


def test_marks_of_the_machine_stand_at_the_verdict_and_at_the_figures(page: Page) -> None:
    assert "⚠ measured on a busy, throttled or disturbed machine" in verdicts(page)[1]
    text = page.text(section(page, "cpu-tf2-2.21"))
    assert f"⚠ These figures are not to be trusted as they are: {sample.MARK}" in text
    assert "Nothing disturbed the measurement" not in text


def test_a_gpu_cell_shows_the_cause_with_its_remedy_and_where_it_was_looked(page: Page) -> None:
    text = page.text(section(page, "gpu-torch-2.11"))
    for fact in (
        "DRIVER_NOT_INSTALLED the NVIDIA driver is not installed",
        "What to do: install the driver: `sudo apt install nvidia-driver`, then reboot",
        "Evidence /sys/bus/pci: 10de:2330 without a driver",
        "host kernel module ✗ broken nvidia is not loaded",
        "container framework \N{EN DASH} unknown",
    ):
        assert fact in text
    used = page.text(section(page, "gpu-torch-2.13")).replace("\N{EN DASH}", "-")
    assert "NVIDIA H100 80GB HBM3 580.95.05 1,755 1,410-1,980 58 41-66 380 112-613 SwPowerCap" in used.replace(
        "\N{EN DASH}", "-"
    )
    assert "eager amp 128" in used
    assert "(logarithmic scale)" in used


def test_old_results_are_shown_too(page: Page) -> None:
    text = page.text(section(page, "cpu-tf1-1.15"))
    assert "eager 128 4,008" in text
    assert "The machine while measuring" not in text


def test_learning_layers_parity_and_ratios(page: Page) -> None:
    text = page.text(section(page, "cpu-torch-2.13"))
    assert "The same as a table epoch loss Accuracy 1 1.82 0.860" in text
    assert "the environment: what the lock names RUN sh -eu /run/finish-env # buildkit 995 MB" in text
    assert "Built in 61.4 s" in text
    parity = page.text(page.by_id("parity"))
    assert "3 cells computed the same" in parity
    assert "Gradients 8.7e-07 reference, cpu-tf2-2.21 (graph)" in parity
    ratios = page.text(page.by_id("ratios"))
    assert "cnn/train/eager/128/fp32/device 1.002 [0.991, 1.013] no difference found" in ratios
    assert "1.740 [1.610, 1.880] the first is faster" in ratios


def test_the_history_is_drawn_and_what_could_not_be_read_is_said(page: Page) -> None:
    text = page.text(section(page, "cpu-torch-2.13"))
    assert "Over time: 12 runs" in text
    assert "2026-11-08 08:00 passed ⚠ measured on a busy, throttled or disturbed machine 3,5" in text
    assert "Over time" not in page.text(section(page, "cpu-tf1-1.15"))
    assert "1 files of the history could not be read and were left out: broken<.json" in page.text(page.root)


def test_every_check_is_in_a_table_and_what_went_wrong_comes_first(page: Page, data: dict[str, Any]) -> None:
    for env in data["envs"]:
        checks = (env["document"] or {}).get("checks", [])
        rows = [e for e in section(page, env["name"]).iter("tr") if "/checks/" in e.get("data-at", "")]
        assert {row.get("data-at", "").rpartition("/")[2] for row in rows} == {str(n) for n in range(len(checks))}
    first = [page.text(row) for row in section(page, "cpu-tf2-2.21").iter("tr") if "/checks/" in row.get("data-at", "")]
    assert [line.split()[:2] for line in first[:4]] == [
        ["failed", "wrong"],
        ["failed", "long"],
        ["error", "broken"],
        ["skipped", "graph"],
    ]


def test_a_drift_is_said(data: dict[str, Any]) -> None:
    parity = {**data["parity"], "drifting": ["cpu-tf2-2.21 (graph)"]}
    far = {"logits": 1.0, "gradients": "inf", "losses": 2.0}
    parity["pairs"] = [{**parity["pairs"][2], "over": ["losses"], "differences": far}]
    text = page_of({**data, "parity": parity})
    shown = text.text(text.by_id("parity"))
    assert "failed Beyond the tolerances: cpu-tf2-2.21 (graph)" in shown
    assert "1.0e+00 inf 2.0e+00 failed" in shown


def test_the_verb_writes_the_page_of_a_report_again(
    checkout: Path, tmp_path: Path, cli: Callable[..., tuple[int, str, str]]
) -> None:
    folder = tmp_path / "r"
    folder.mkdir()
    (folder / "result.json").write_text(report.dumps(sample.result()), encoding="utf-8")
    assert cli("page", str(folder)) == (0, f"page: {folder}/report.html\n", "")
    assert "cpu-torch-2.13" in (folder / "report.html").read_text(encoding="utf-8")
    (folder / "result.json").write_text("[]", encoding="utf-8")
    code, _, said = cli("page", str(folder))
    assert code == 15
    assert f"{folder}/result.json: [] is not of type 'object'" in said
    data = sample.result()
    data["envs"][0]["document"]["training"]["epochs"][0]["accuracy"] = 1e308
    (folder / "result.json").write_text(report.dumps(data), encoding="utf-8")
    code, _, said = cli("page", str(folder))
    assert code == 15
    assert f"{folder}/result.json: cannot be drawn" in said
    shutil.rmtree(folder)
    assert cli("page", str(folder))[0] == 2


def test_a_warning_of_the_diagnosis_is_shown_after_its_causes() -> None:
    env = sample.every_ending()[4]
    diagnosis = env["document"]["checks"][-1]["data"]["diagnosis"]
    warning = {**diagnosis["causes"][0], "label": "TOOLKIT_INSECURE", "title": "old toolkit", "severity": "warns"}
    diagnosis["warnings"] = [warning]
    html = report_html(report.dumps({**sample.result(), "envs": [env]}))
    assert 0 < html.index("<code>DRIVER_NOT_INSTALLED</code>") < html.index("<code>TOOLKIT_INSECURE</code>")


def test_a_gpu_leads_with_its_best_row_and_its_share_of_the_roof_in_both_languages(page: Page) -> None:
    assert "9.37 % of the roof of its precision resnet18 channels_last amp 128" in verdicts(page)[3]
    assert "达到该精度上限的 9.37 % resnet18 channels_last amp 128" in verdicts(page, "zh-Hans")[3]
    assert "of the roof of its precision" not in verdicts(page)[0]
    text = page.text(section(page, "gpu-torch-2.13"))
    assert 0 < text.index("Throughput: ResNet-18") < text.index("Throughput: the small CNN")
    overview = page.text(page.by_id("overview"))
    assert "GPU: ResNet-18 at 224\N{MULTIPLICATION SIGN}224, each environment's best row" in overview
    assert "CPU: the small CNN at batch 128, best mode" in overview


def test_both_sizes_of_an_image_are_said_and_one_that_nobody_told_is_said_to_be_that(page: Page) -> None:
    both = page.text(section(page, "cpu-torch-2.13"))
    assert "Image, unpacked (on disk) 1,099 MB Image, compressed (to move) 275 MB" in both
    assert "Image, unpacked (on disk) 1,099 MB Image, compressed (to move) the image store does not tell" in page.text(
        section(page, "gpu-torch-2.11")
    )
    env = sample.every_ending()[0]
    env["facts"] = {"size": 274_643_974}
    old = page_of(sample.result([env]))
    assert "Image, compressed (to move) 275 MB" in old.text(section(old, "cpu-torch-2.13"))
    classic = {**sample.ENGINE, "image store": "classic"}
    old = page_of(sample.result([env], engine=classic))
    assert "Image, unpacked (on disk) 275 MB" in old.text(section(old, "cpu-torch-2.13"))


def test_the_head_names_the_machine_and_says_what_is_fit_for_use(page: Page) -> None:
    (machine,) = page.classed("machine")
    assert page.text(machine) == (
        "Machine gpu07.lab.example board Supermicro SYS-421GE-TNRT"
        " processors 2 \N{MULTIPLICATION SIGN} Intel(R) Xeon(R) Platinum 8488C memory 25 GB kernel Linux 6.18.44"
        " GPUs 2 \N{MULTIPLICATION SIGN} NVIDIA H100 80GB HBM3, 86 GB NVIDIA driver 580.95.05"
    )
    (fit,) = [one for one in page.classed("fit") if one.tag == "ul"]
    lines = [page.text(line) for line in fit]
    assert lines[0] == "Fit for use: cpu-torch-2.13, cpu-tf1-1.15, gpu-torch-2.13"
    assert lines[1].startswith("Not fit for use: cpu-tf2-2.21, because: wrong: expected 1")
    assert lines[2:] == [
        "Not fit for use: cpu-tf2-2.18, because: did not end within 600 s",
        "Fit on the CPU only: gpu-torch-2.11, because: DRIVER_NOT_INSTALLED: the NVIDIA driver is not installed;"
        " do: install the driver",
        "Not tried: gpu-tf1-1.15, because: needs CUDA 10.0, of which no wheels exist",
    ]
    chinese = page.text(fit[2], "zh-Hans")
    assert all(words in chinese for words in ("不可使用", "cpu-tf2-2.18", "未在 600 秒内结束"))


def test_every_figure_of_a_gpu_env_without_a_gpu_says_that_it_is_the_cpu_s(page: Page) -> None:
    assert "4,480 img/s on the CPU" in verdicts(page)[4]
    (row,) = [e for e in page.by_id("overview").iter("tr") if page.text(e).startswith("gpu-torch-2.11")]
    assert page.text(row).count("on the CPU") == 4  # two rates, the accuracy, the checks
    details = page.text(section(page, "gpu-torch-2.11"))
    assert "Accuracy 0.989 on the CPU" in details
    assert "channels_last best 128 4,480 on the CPU [4,377, 4,614]" in details
    assert "gpu-torch-2.11 (CPU)" in page.text(page.by_id("overview"))
    for env in ("cpu-torch-2.13", "gpu-torch-2.13"):
        assert "on the CPU" not in page.text(section(page, env))


def test_what_the_tool_says_itself_is_chinese_in_chinese(page: Page) -> None:
    shown = verdicts(page, "zh-Hans")
    assert all(words in shown[0] for words in ("36 项通过", "1 项跳过"))
    assert all(words in shown[4] for words in ("在 CPU 上通过", "DRIVER_NOT_INSTALLED", "未安装 NVIDIA 驱动"))
    assert "passed on the CPU" not in shown[4]
    assert "开始时 2 个处理器上的负载为 3.2" in page.text(section(page, "cpu-tf2-2.21"), "zh-Hans")
    assert "expected 1" in shown[1]  # a framework's words stay as they are


def test_a_cause_and_its_remedy_are_chinese_however_the_command_is_typed() -> None:
    remedy = "use a cpu env: `.venv/bin/python -m dlmatrix list`; or have the host pass a GPU through to this virtual"
    remedy += " machine, until `lspci -nn -d 10de:` lists it here"
    found = translated(f"passed on the CPU; NO_GPU: this machine has no NVIDIA GPU; do: {remedy}")
    assert found is not None
    assert all(
        words in found for words in ("在 CPU 上通过", "NO_GPU", "本机没有 NVIDIA GPU", "请宿主机把 GPU 直通给本虚拟机")
    )
    assert "pass a GPU" not in found
    assert translated("a framework's own words; and more") is None


def test_a_check_says_what_it_means_and_what_was_found_in_words(page: Page) -> None:
    text = page.text(section(page, "cpu-torch-2.13"))
    assert (
        "conv2d convolution gives the right numbers conv2d holds found: float64: 1.546e-14, float32: 7.988e-07" in text
    )
    assert "卷积的计算结果正确" in page.text(section(page, "cpu-torch-2.13"), "zh-Hans")
    assert not re.search(r"\d\.\d{9}", text)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (123456.78901, "123457"),
        ({"a": 1.23456789, "b": {"c": [1, None]}}, "a: 1.235, b: (c: [1, -])"),
        ([True, False, "x"], "yes, no, x"),
        (225034, "225034"),
        ("1.234567 s", "1.234567 s"),
    ],
)
def test_what_was_found_is_written_without_braces(value: object, words: str) -> None:
    assert in_words(value) == words


def test_the_page_tells_how_to_compare_with_the_run_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    past = History(entries=tuple(sample.past()))
    here = tmp_path / "reports" / "now"
    one = sample.every_ending()[0]
    gone = report_html(report.dumps(sample.result([one])), past, here)
    assert "dlmatrix compare" not in gone  # its report is not there any more
    for entry in past.entries[:-1]:
        (tmp_path / entry["folder"]).mkdir(parents=True)
        (tmp_path / entry["folder"] / "result.json").touch()
    older = report_html(report.dumps(sample.result([one])), past, here)
    assert "compare reports/20261111-080000-110 reports/now" in older
    (tmp_path / past.entries[-1]["folder"]).mkdir()
    (tmp_path / past.entries[-1]["folder"] / "result.json").touch()
    command = "python -m dlmatrix compare reports/20261112-080000-111 reports/now"
    html = report_html(report.dumps(sample.result([one])), past, here)
    assert command in html
    assert "Compare with the run before (2026-11-12 08:00):" in html
    for other in (
        report_html(report.dumps(sample.result([one], measuring="quick")), past, here),  # measured by another measure
        report_html(report.dumps(sample.result([one], engine={"engine": "venv"})), past, here),
        report_html(report.dumps(sample.result([one])), History(), here),
        report_html(report.dumps(sample.result()), past, here),  # of other envs
        report_html(report.dumps(sample.result([one], started="2026-11-01T00:00:00+00:00")), past, here),
    ):
        assert "dlmatrix compare" not in other


def test_the_engine_s_machine_is_named_where_it_is_another() -> None:
    engine = {**sample.ENGINE, "machine": sample.HOST["name"], "driver": "overlayfs", "memory": "25276502016"}
    here = page_of(sample.result(engine=engine))
    text = here.text(here.root)
    assert "docker 28.5.2, image store containerd, CPUs 2, storage driver overlayfs, memory 25 GB" in text
    far = page_of(sample.result(engine={**engine, "machine": "elsewhere"}))
    assert "on elsewhere" in far.text(far.root)
