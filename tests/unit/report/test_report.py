"""The report: four views of one set of rows."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
import xmlschema

from dlmatrix.document.check import Outcome
from dlmatrix.document.result import read_result
from dlmatrix.engines.protocol import Prepared
from dlmatrix.errors import DiskFullError
from dlmatrix.matrix.cells import as_markdown
from dlmatrix.matrix.model import Matrix
from dlmatrix.report import write as report
from dlmatrix.report.junit import junit
from dlmatrix.run.result import EnvResult
from dlmatrix.system.files import replace as replace_file
from tests.unit.documents import check, document
from tests.unit.report.written import ENGINE, NOW, markdown, written


def test_junit_counts_what_is_in_it_and_a_skip_stays_a_skip(results: list[EnvResult], tmp_path: Path) -> None:
    suites = ElementTree.parse(written(tmp_path / "r", results) / "junit.xml").getroot().findall("testsuite")
    tags = {"failures": "failure", "errors": "error", "skipped": "skipped"}
    for suite in suites:
        found = Counter(child.tag for case in suite.findall("testcase") for child in case)
        assert {key: int(suite.attrib[key]) for key in tags} == {key: found[tag] for key, tag in tags.items()}
        assert int(suite.attrib["tests"]) == len(suite.findall("testcase"))
    cases = {s.attrib["name"]: [(c.attrib["name"], [e.tag for e in c]) for c in s.iter("testcase")] for s in suites}
    assert cases == {
        "cpu-torch-2.13": [("imports", []), ("training", []), ("graph", ["skipped"])],
        "cpu-tf2-2.21": [("env", ["error"])],
        "gpu-tf1-1.15": [("env", ["skipped"])],
        "gpu-torch-2.13": [("imports", []), ("gpu", ["skipped"])],
        "cpu-tf1-1.15": [("version", ["failure"]), ("imports", ["error"])],
    }


def test_junit_is_xml_whatever_a_framework_says(results: list[EnvResult], tmp_path: Path) -> None:
    root = ElementTree.parse(written(tmp_path / "r", results) / "junit.xml").getroot()
    messages = [e.attrib["message"] for tag in ("failure", "error") for e in root.iter(tag)]
    assert "expected 1.15, �[31mfound� 1.14�[0m�" in messages
    assert "broken <&>" in messages


def test_junit_is_what_the_common_schemas_accept(results: list[EnvResult], tmp_path: Path) -> None:
    schema = xmlschema.XMLSchema(Path(__file__).with_name("junit.xsd"))
    schema.validate(written(tmp_path / "r", results) / "junit.xml")
    suites = junit(results, NOW, "gpu07")
    assert {suite.attrib["timestamp"] for suite in suites} == {"2026-11-24T08:00:00"}
    assert [suite.attrib["time"] for suite in suites] == ["10.000", "0.000", "0.000", "0.500", "0.500"]
    for broken in ("name", "timestamp", "hostname"):
        suites = junit(results, NOW, "gpu07")
        del suites[0].attrib[broken]
        assert not schema.is_valid(suites), broken


def test_an_env_s_own_ending_is_in_junit_where_no_check_shares_it(results: list[EnvResult]) -> None:
    result = replace(results[0], outcome=Outcome.ERROR, reason="skipped without a reason")
    (suite,) = junit([result], NOW, None)
    assert (suite.attrib["errors"], suite.attrib["tests"]) == ("1", "4")
    assert suite.findall("testcase")[-1][0].attrib["message"] == "skipped without a reason"


def test_the_summary_says_verdict_reason_and_next_step(results: list[EnvResult]) -> None:
    text = markdown(results)
    assert text.startswith("# dlmatrix report\n\nEngine: engine host, version Linux 6.\n\nMachine: gpu07.\n")
    assert "| cpu-torch-2.13 | ✅ passed | 2/3 | 0.983 |" in text
    assert "| graph | skipped | 0.25 | only \\| for graphs |" in text
    assert "| imports | passed | 0.25 | imports holds |" in text
    assert "**cpu-tf2-2.21: error.** did not end\n\nNext: see `its` log\n" in text
    assert "Cell is impossible: needs CUDA 10.0" in text
    tables = [line.replace("\\|", "") for line in text.splitlines() if line.startswith("|")]
    assert {line.count("|") for line in tables} == {11, 5}


def test_the_summary_pastes_into_an_issue(results: list[EnvResult]) -> None:
    hostile = replace(results[1], reason="</details><img src=x> @somebody | \x1b[31mred\x1b[0m\n\n# a heading")
    text = markdown([results[0], hostile])
    assert text.count("<details>") == text.count("</details>") == 2
    assert "<img" not in text
    assert "@somebody" not in text
    assert "\n# a heading" not in text
    assert text.index("| cpu-tf2-2.21 |") < text.index("**cpu-tf2-2.21: error.**") < text.index("<details>")
    # GitHub reads Markdown inside only after an empty line.
    assert "<details><summary>cpu-torch-2.13: passed</summary>\n\n" in text


def test_the_summary_of_many_fits_into_an_issue(results: list[EnvResult]) -> None:
    document = {**results[0].document, "checks": [check(f"{n}", "passed") for n in range(100)]}  # type: ignore[dict-item]
    text = markdown([replace(results[0], document=document)] * 30)
    assert len(text) < 65_536
    assert text.count("| cpu-torch-2.13 | ✅ passed |") == 30
    assert 1 < text.count("<details>") == text.count("</details>") < 30
    assert "report.html" in text.splitlines()[-1]


def test_the_result_is_the_whole_run_for_machines(results: list[EnvResult], tmp_path: Path) -> None:
    data = json.loads((written(tmp_path / "r", results) / "result.json").read_text(encoding="utf-8"))
    assert (data["schema_version"], data["started"], data["engine"]) == (1, "2026-11-24T08:00:00+00:00", ENGINE)
    assert [(e["name"], e["outcome"], e["exit_code"]) for e in data["envs"]] == [
        (r.env.name, r.outcome.value, r.exit_code) for r in results
    ]
    assert data["envs"][0]["document"]["training"] == {"test_accuracy": 0.98349}
    assert data["envs"][0]["facts"] == {"unpacked_bytes": 412_000_000, "base": "python", "what": "sha256:1"}
    assert data["envs"][1]["next_step"] == "see `its` log"


def test_what_is_written_is_what_the_one_reader_takes(results: list[EnvResult], tmp_path: Path) -> None:
    folder = written(tmp_path / "r", results)
    assert read_result(folder).data == read_result(folder / "result.json").data
    assert [env["name"] for env in read_result(folder).data["envs"]] == [result.env.name for result in results]


def test_a_number_that_json_has_no_word_for_is_a_string(results: list[EnvResult]) -> None:
    text = report.dumps({"a": [float("inf"), {"b": float("nan")}], "c": (1.5, None, True)})
    assert json.loads(text, parse_constant=pytest.fail) == {"a": ["inf", {"b": "nan"}], "c": [1.5, None, True]}


def test_the_folder_holds_the_five_files_and_a_log_where_there_is_one(results: list[EnvResult], tmp_path: Path) -> None:
    folder = written(tmp_path / "a" / "b", results)
    assert sorted(file.name for file in folder.iterdir()) == [
        "cpu-tf2-2.21.log",
        "cpu-torch-2.13.log",
        "junit.xml",
        "report.html",
        "result.json",
        "summary.md",
    ]
    assert (folder / "cpu-torch-2.13.log").read_text() == "a line\nanother\n"
    assert [file.name for file in folder.parent.iterdir()] == ["b"]
    assert folder.stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_report_that_cannot_be_finished_has_the_result_and_no_half_of_a_file(
    results: list[EnvResult], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    def full(*arguments: object) -> str:
        raise error

    monkeypatch.setattr(report, "junit", full)
    expected = DiskFullError if isinstance(error, OSError) else KeyboardInterrupt
    with pytest.raises(expected) as raised:
        written(tmp_path / "r", results)
    names = ["cpu-tf2-2.21.log", "cpu-torch-2.13.log", "result.json", "summary.md"]
    assert sorted(file.name for file in (tmp_path / "r").iterdir()) == names
    assert len(read_result(tmp_path / "r").data["envs"]) == len(results)
    if isinstance(raised.value, DiskFullError):
        assert raised.value.message == f"{tmp_path}/r: the report could not be written whole: No space left on device"
        assert raised.value.next_step.endswith(f"python -m dlmatrix page {tmp_path}/r")


@pytest.mark.parametrize("full", [["r"], ["r", "state"]])
def test_a_result_that_has_no_room_in_its_folder_goes_to_the_working_folder(
    results: list[EnvResult], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, full: list[str]
) -> None:
    def write(file: Path, content: str | bytes) -> None:
        if file.parent.name == "r" and (".dlmatrix" not in file.parts or "state" in full):
            raise OSError(28, "No space left on device")
        replace_file(file, content)

    monkeypatch.setattr(report, "replace", write)
    with pytest.raises(DiskFullError, match="/r: the report could not be written: No space left on device") as raised:
        written(tmp_path / "r", results)
    spare = tmp_path / ".dlmatrix" / "reports" / "r"
    if "state" in full:
        assert raised.value.next_step == "make room, then run it again"
    else:
        assert raised.value.next_step.endswith(f"python -m dlmatrix page {spare}")
        assert len(read_result(spare).data["envs"]) == len(results)


def test_cells_for_the_readme_name_each_reason_once(matrix: Matrix) -> None:
    text = as_markdown(matrix.envs)
    rows = [line for line in text.splitlines() if line.startswith("|")][2:]
    assert len(rows) == len({env.file for env in matrix.envs})
    for env in matrix.envs:
        assert (f"`{env.name}`" in text) is (env.status.value != "impossible")
    for reason in {env.reason for env in matrix.envs} - {""}:
        assert text.count(f". {reason}.") == 1


def test_a_check_s_name_and_an_env_s_facts_are_text_too(results: list[EnvResult]) -> None:
    said = "x\x1b[31m|<b>\x9b"
    prepared = Prepared(what="x", built=True, seconds=0.0, facts={"base": said})
    text = markdown([replace(results[0], document=document(check(said)), prepared=prepared)])
    assert "\x1b" not in text
    assert "<b>" not in text
    assert text.count("x [31m\\|&lt;b&gt;") == 3
    assert "\x9b" not in ElementTree.tostring(
        junit([replace(results[0], document=document(check(said)))], NOW, "x"), encoding="unicode"
    )
