"""The page of a fleet: every machine on it, causes together, and whoever stands out."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from dlmatrix.fleet import record
from dlmatrix.fleet.row import Row
from dlmatrix.fleet.states import causes, states
from dlmatrix.report.fleet import page
from dlmatrix.report.fleet.page import fleet_html
from dlmatrix.system.toml import read_toml
from tests.unit.report.page import machines


@pytest.fixture(scope="module")
def html(tmp_path_factory: pytest.TempPathFactory) -> str:
    return fleet_html(machines.fleet(), tmp_path_factory.mktemp("runs") / "R9")


def english(html: str) -> str:
    """The page's words in English, without tags."""
    text = re.sub(r'<span lang="zh-Hans">.*?</span>|<style>.*?</style>', "", html, flags=re.S)
    text = re.sub(r'<span class="label"><span lang="en">.*?</span></span>', "", text, flags=re.S)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", text)).replace("\N{MULTIPLICATION SIGN}", "x")


def test_every_machine_that_was_asked_for_has_a_tile_and_a_row(html: str) -> None:
    rows = machines.fleet().machines
    assert html.count('<a class="tile ') == html.count('<tr id="m') == len(rows)
    for number, row in enumerate(rows):
        assert html.count(f'href="#m{number}"><strong>{row.name}</strong>') == 1


def test_machines_of_one_cause_stand_together_with_what_to_type(html: str) -> None:
    text = english(html)
    assert "2 x unavailable Slurm gives no job to it Next: scontrol show node MACHINE drained1 , drained22" in text
    assert "drained: ECC errors, ticket 1" in text
    refused = "1 x unreachable the login was refused Next: let `ssh for-login-refused` work without a question"
    assert refused in text
    assert "fleet --resume reports/fleet/R9" in text


def test_the_next_command_names_the_machine_where_there_is_one(html: str) -> None:
    assert "see reports/fleet/R9/hosts/in-failed (its report.html, its log)" in html
    assert "{machine}" not in html
    assert "{run}" not in html


def test_who_stands_out_is_marked_with_how_far_and_how_sure(html: str) -> None:
    text = english(html)
    assert "gpu6 slower -38.0 % 99.9 % all rows" in text
    assert "gpu5 slower -3.0 % unclear all rows" in text
    assert html.count("tile passed out") == 2
    assert "gpu1 , gpu2 differs" in text


def test_a_machine_stands_beside_its_kind_and_where_they_are_few_it_does_not(html: str) -> None:
    def cells(name: str) -> list[str]:
        row = re.search(rf'<tr id="m\d+"><th scope="row" data-key="\d+">{name}</th>(.*?)</tr>', html, re.S)
        assert row
        return [english(cell) for cell in re.findall(r"<td.*?</td>", row[1], re.S)]

    assert "-38.4 %" in cells("gpu6")[3]
    assert "too few to tell" in cells("gpu9")[3]
    assert "yes" in cells("gpu1")[1]
    assert "lost; unreachable: no answer" in cells("gpu9")[7]


def test_names_stand_without_the_domain_that_all_have_where_there_is_little_room(tmp_path: Path) -> None:
    """Tiles of a lab of the same domain were six broken lines each."""
    names = [f"pc{number}.lab.example.org" for number in (1, 2)]
    fleet = record.beginning("R", "ansible", ["x"], {}, names)
    html = fleet_html(fleet, tmp_path / "R")
    assert '<a class="tile plain" href="#m0" title="pc1.lab.example.org"><strong>pc1</strong>' in html
    assert re.findall(r'<tr id="m\d"><th scope="row" data-key="\d">([^<]+)<', html) == names


@pytest.mark.parametrize(
    ("names", "domain"),
    [
        (("a.x.org", "b.x.org"), ".x.org"),
        (("a1.x.org", "b1.x.org"), ".x.org"),
        (("a.b.x.org", "b.x.org"), ".x.org"),
        (("10.0.0.1", "10.1.0.1"), ""),
        (("pc1", "xpc1"), ""),
        (("a.x.org",), ""),
        ((), ""),
    ],
)
def test_a_domain_is_what_all_names_end_with_and_no_part_of_an_address(names: tuple[str, ...], domain: str) -> None:
    assert page._domain(names) == domain


def test_how_machines_stood_in_earlier_runs_is_shown_and_torn_files_are_left_out(tmp_path: Path) -> None:
    names = ("R1", "R2", "R3")
    for name, state in zip(names, ("lost", "unreachable", "passed"), strict=True):
        (tmp_path / name).mkdir()
        fleet = record.beginning(name, "slurm", ["x"], {}, ["a"])
        record.write(tmp_path / name, fleet.with_rows({"a": Row(name="a", state=state)}))
    (tmp_path / "R2" / "fleet.json").write_text('{"machines": [{}')
    (tmp_path / "R4").mkdir()
    (tmp_path / "R4" / "fleet.json").write_text((tmp_path / "R1" / "fleet.json").read_text())
    html = fleet_html(record.read(tmp_path / "R3"), tmp_path / "R3")
    assert re.findall(r'class="dot (\w+)" title="[^"]*: (\w+)"', html) == [("error", "lost")]


def test_what_a_machine_says_is_text(html: str) -> None:
    assert "<script>window" not in html
    assert "&lt;script&gt;window.hacked" in html


def test_three_hundred_machines_have_a_page_of_less_than_three_megabytes(tmp_path: Path) -> None:
    assert len(fleet_html(machines.fleet(300), tmp_path / "R").encode()) < 3_000_000


def test_an_empty_fleet_and_one_that_only_waits_have_pages(tmp_path: Path) -> None:
    waiting = record.beginning("R", "ansible", ["x"], {}, ["a"])
    assert "1 waiting" in english(fleet_html(waiting, tmp_path / "R"))
    assert "Machines: 0" in english(fleet_html(replace(waiting, machines=()), tmp_path / "R"))


def test_each_state_and_cause_has_its_chinese() -> None:
    chinese = read_toml(Path(page.__file__).with_name("states_zh.toml"))
    han = re.compile("[\u4e00-\u9fff]")
    assert set(chinese["state"]) == set(states())
    assert set(chinese["cause"]) == set(causes())
    told = [
        (one.words, chinese["state"][one.name][1], one.next, chinese["state"][one.name][2]) for one in states().values()
    ]
    told += [
        (one.words, chinese["cause"][one.id][0], one.next, chinese["cause"][one.id][1]) for one in causes().values()
    ]
    for words, ours, next_step, next_ours in told:
        assert han.search(ours), words
        assert sorted(re.findall(r"\{\w+\}", next_step)) == sorted(re.findall(r"\{\w+\}", next_ours)), words
        assert bool(next_step) == bool(next_ours), words
