"""A fleet's files: a row for every machine that was asked for, in each of them."""

from __future__ import annotations

import csv
import io
import time
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import xmlschema
from rich.console import Console

from dlmatrix.fleet import record
from dlmatrix.fleet.figures import figures
from dlmatrix.fleet.record import Fleet
from dlmatrix.fleet.row import Row
from dlmatrix.fleet.states import causes, states
from dlmatrix.report.fleet.plain import csv_text, junit, summary
from dlmatrix.report.fleet.write import lines, table, write_fleet
from tests.unit.documents import check, document, env, result

HOSTILE = "=cmd|' /C calc'!A1\x1b[2J<script>|@all"


def rows() -> list[Row]:
    """A machine in every state and of every cause, one of them with a hostile name."""
    found = figures(result(env("cpu-torch-2.13", document=document(check("training")))))
    made = [Row(name=f"s-{name}", state=name, seconds=1.0) for name in states()]
    made += [Row(name=f"c-{cause.id}", state=cause.state, cause=cause.id, said=HOSTILE) for cause in causes().values()]
    made[0] = replace(made[0], figures=found)
    return [*made, Row(name=HOSTILE, state="passed", figures=found)]


def fleet(*machines: Row) -> Fleet:
    begun = record.beginning("R1", "ansible", ["cpu-torch-2.13"], {}, [row.name for row in machines])
    return begun.with_rows({row.name: row for row in machines})


def test_every_machine_is_in_every_file() -> None:
    whole = fleet(*rows())
    cases = list(junit(whole).iter("testcase"))
    found = list(csv.DictReader(io.StringIO(csv_text(whole, "R1"))))
    text = summary(whole, "R1").split("**")[0]
    console = Console(width=160, file=io.StringIO(), record=True)
    console.print(table(whole, 160))
    shown = console.export_text()
    for number, row in enumerate(rows()[:-1]):
        assert cases[number].attrib["name"] == row.name
        assert found[number]["machine"] == row.name
        assert f"| {row.name} |" in text
        assert row.name in shown
    assert len(cases) == len(found) == len(rows())


def test_what_was_not_reached_is_an_error_of_junit_and_only_a_pass_is_a_pass(root: Path) -> None:
    suites = junit(fleet(*rows()))
    xmlschema.validate(ElementTree.tostring(suites, encoding="unicode"), str(root / "tests/unit/report/junit.xsd"))
    for case in suites.iter("testcase"):
        tags = {child.tag for child in case}
        name = case.attrib["name"]
        good = name == "s-passed" or name.startswith("=cmd")
        usual = {"s-failed": {"failure"}, "s-skipped": {"skipped"}}.get(name, {"error"})
        assert tags == (set() if good else usual)
    suite = suites[0]
    assert int(suite.attrib["errors"]) == len(rows()) - 4


def test_no_spreadsheet_page_or_terminal_obeys_what_a_machine_says() -> None:
    whole = fleet(*rows())
    assert "\n=cmd" not in csv_text(whole, "R1")
    assert "<script>" not in summary(whole, "R1")
    assert "@all" not in summary(whole, "R1")


def test_each_cause_is_told_once_with_all_its_machines_and_the_next_command(tmp_path: Path) -> None:
    off = [Row(name=f"n{n}").at("unreachable", "no-answer") for n in range(7)]
    key = Row(name="k").at("unreachable", "login-refused")
    told = list(lines(fleet(*off, key, Row(name="p", state="passed")), tmp_path / "R1"))
    assert told[0] == "9 machines: 1 passed, 8 unreachable"
    assert told[1].startswith("n0, n1, n2, n3, n4 and 2 more: unreachable: no answer: next: see that it is on")
    assert f"fleet --resume {tmp_path / 'R1'}" in told[1]
    assert "`ssh k` work" in told[2]
    assert len(told) == 4


def test_machines_that_differ_alike_are_told_together(tmp_path: Path) -> None:
    """Of 300 machines with one old driver in eleven, 26 lines said the same."""
    rows = [Row(name=f"n{number}", state="passed") for number in range(7)]
    alike = [
        {"machine": row.name, "what": "differs", "certain": False, "words": f"{row.name}: x: driver: 550"}
        for row in rows
    ]
    far = [{"machine": "n0", "what": "slower", "certain": True, "distance": -0.4, "words": "n0: x: all rows: -40.0%"}]
    whole = replace(fleet(*rows), findings=(*far, *alike))
    told = ["n0: x: all rows: -40.0%", "n0, n1, n2, n3, n4 and 2 more: x: driver: 550"]
    assert list(lines(whole, tmp_path / "R1"))[1:3] == told
    assert [f"- {line}" for line in told] == [line for line in summary(whole, "R1").splitlines() if line[:2] == "- "]


def test_without_a_cause_it_is_told_what_was_said_and_of_a_skip_too(tmp_path: Path) -> None:
    """Seven machines with an old driver were told nothing, and all that failed for whatever reason the same."""
    old = [Row(name=f"n{n}", state="skipped", said=f"the driver 470.{n} is too old") for n in range(2)]
    broke = [Row(name=name, state="failed", said=f"{name} broke") for name in ("a", "b")]
    told = list(lines(fleet(*old, *broke), tmp_path / "R1"))[1:-1]
    assert [line.partition(": next: ")[0] for line in told] == [
        *("n0, n1: skipped: the driver 470.0 is too old", "a: failed: a broke", "b: failed: b broke")
    ]
    assert all("report.html" in line for line in told)


def test_a_step_that_is_told_of_several_machines_names_none_of_them() -> None:
    """The summary told only the first of them by name; on the page a name and its folder were mixed up."""
    refused = [Row(name=name).at("unreachable", "login-refused") for name in ("a b", "k")]
    assert "let `ssh MACHINE` work" in summary(fleet(*refused), "R1")
    assert "let `ssh a b` work" in summary(fleet(refused[0]), "R1")
    unknown = Row(name="a b").at("unreachable", "name")
    step = unknown.next_step("R")
    assert step.endswith("getent hosts a b")
    assert Row(name="a b", state="failed").next_step("R").startswith("see R/hosts/a%20b ")


def test_a_machine_that_stands_out_is_named(tmp_path: Path) -> None:
    slow = {"machine": "p", "what": "slower", "certain": True, "words": "p: train 38 % below its 29 siblings"}
    whole = replace(fleet(Row(name="p", state="passed")), findings=(slow,))
    assert slow["words"] in list(lines(whole, tmp_path))
    assert slow["words"] in summary(whole, "R1")
    assert csv_text(whole, "R1").splitlines()[1].endswith(",slower")


def test_three_hundred_machines_are_written_in_seconds(tmp_path: Path) -> None:
    many = [replace(row, name=f"{row.name}-{n}") for n in range(10) for row in rows()][:300]
    started = time.process_time()
    write_fleet(tmp_path, record.write(tmp_path, fleet(*many)))
    assert time.process_time() - started < 5  # what it must stay under; it takes a tenth
    files = {"fleet.json", "summary.md", "fleet.csv", "junit.xml", "fleet.html"}
    assert {file.name for file in tmp_path.iterdir()} == files
