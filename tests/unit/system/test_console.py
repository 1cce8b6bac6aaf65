"""What is shown while something runs."""

from __future__ import annotations

import io
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import chain, repeat
from typing import Any

import pytest
from rich.console import Console
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from dlmatrix import errors
from dlmatrix.cli.output import tell
from dlmatrix.system import console as console_module
from dlmatrix.system.console import Progress, ShowingConsole

LINES = [
    ("plan", "torch==2.13.0+cpu, Python 3.11, 30 locked"),
    ("building", "#5 RUN something"),
    ("build", "built in 61.00 s on python:3.11"),
    ("check", "training ..."),
    ("check", 'activations passed 0.1s {"relu": 1.0, "softm...'),
    ("check", "graph skipped 0.0s only for graphs"),
    ("check", "dense failed 0.1s expected 1"),
    ("failed", "dense: expected 1"),
]


def shown(terminal: bool) -> str:
    out = io.StringIO()
    with Progress(
        Console(file=out, width=120, force_terminal=terminal, color_system="standard" if terminal else "auto")
    ) as progress:
        for step, text in LINES:
            progress.tell("cpu-torch-2.13", step, text)
    return out.getvalue()


def test_without_a_terminal_it_is_plain_and_checks_that_passed_pass_by() -> None:
    lines = [line.split("cpu-torch-2.13  ")[1] for line in shown(terminal=False).splitlines()]
    assert lines == [
        "plan     torch==2.13.0+cpu, Python 3.11, 30 locked",
        "build    built in 61.00 s on python:3.11",
        "check    graph skipped 0.0 s: only for graphs",
        "check    dense failed 0.1 s: expected 1",
        "failed   dense: expected 1",
    ]


def test_on_a_terminal_every_check_has_a_line_even_where_its_detail_was_cut() -> None:
    text = re.sub("\x1b\\[[0-9;?]*[A-Za-z]", "", shown(terminal=True))
    assert "cpu-torch-2.13  check    activations passed 0.1 s" in text
    assert "{" not in text
    assert "check    graph skipped" in text


def test_no_color_leaves_the_colours_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    red = "\x1b[31m"
    assert red in shown(terminal=True)
    monkeypatch.setenv("NO_COLOR", "1")
    assert red not in shown(terminal=True)


def progress(expected: float | None, *times: float) -> Progress:
    """One whose clock says these times, and then the last of them; it was made at 0."""
    clock = chain((0.0,), times, repeat(times[-1]))
    return Progress(Console(file=io.StringIO()), lambda env, step: expected, clock=lambda: next(clock))


def test_a_long_step_tells_how_long_it_has_taken_and_is_likely_to_take() -> None:
    shown = progress(200.0, 10.0, 30.0)
    shown.tell("cpu-torch-2.13", "building", "#5 RUN something")
    assert (
        str(shown.last_lines()) == "cpu-torch-2.13  build 20 s of about 3:20 min ██░░░░░░░░░░░░░░░░░░  #5 RUN something"
    )
    shown.tell("cpu-torch-2.13", "build", "built in 61.00 s on python:3.11")
    assert str(shown.last_lines()) == ""
    shown.tell("cpu-torch-2.13", "check", "training ...")
    assert str(shown.last_lines()).startswith("cpu-torch-2.13  run 0 s of about 3:20 min ░░")
    shown.tell("cpu-torch-2.13", "passed", "39 passed")
    assert str(shown.last_lines()) == ""


def test_where_nothing_tells_only_the_time_taken_is_shown() -> None:
    shown = progress(None, 10.0, 130.0)
    shown.tell("cpu-torch-2.13", "check", "training ...")
    assert str(shown.last_lines()) == "cpu-torch-2.13  run 2:00 min  training ..."


def test_a_step_that_takes_longer_than_expected_fills_the_bar_and_no_more() -> None:
    shown = progress(100.0, 0.0, 500.0)
    shown.tell("cpu-torch-2.13", "building", "#5 RUN something")
    assert str(shown.last_lines()).count("█") == 20


def test_envs_that_are_built_at_once_have_a_line_each() -> None:
    shown = progress(None, 5.0)
    with ThreadPoolExecutor() as pool:
        for name in ("cpu-torch-2.13", "cpu-tf2-2.21"):
            pool.map(lambda line, name=name: shown.tell(name, "building", line), [f"#{n} RUN" for n in range(50)])
    lines = sorted(str(shown.last_lines()).splitlines())
    assert [line.split("  ")[:2] for line in lines] == [["cpu-tf2-2.21", "build 0 s"], ["cpu-torch-2.13", "build 0 s"]]


HOSTILE = "a\x1b[31mred\x07 \x9b2J\u202e\rb"
SHOWN = r"a\x1b[31mred\x07 \x9b2J\u202e\rb"


@pytest.mark.parametrize("kind", [str, Text, "table", "tree"])
def test_what_a_terminal_would_obey_is_shown(kind: Any) -> None:
    stream = io.StringIO()
    console = ShowingConsole(file=stream, markup=False, emoji=False, highlight=False, width=200)
    if kind == "table":
        what: Any = Table("column " * 9)
        what.add_row(HOSTILE)
    elif kind == "tree":
        what = Tree(HOSTILE)
    else:
        what = kind(HOSTILE)
    console.print(what)
    assert errors.shown(HOSTILE) == SHOWN
    # rich itself takes some signs out of a Text before it is laid out: BEL, BS, VT, FF, CR.
    assert SHOWN.replace("\\x07", "").replace("\\r", "") in stream.getvalue().replace("\\x07", "").replace("\\r", "")
    assert all(sign.isprintable() or sign == "\n" for sign in stream.getvalue())


def test_a_live_display_keeps_its_own_commands() -> None:
    stream = io.StringIO()
    console = ShowingConsole(file=stream, force_terminal=True, width=80)
    with Progress(console) as progress:
        progress.tell("cpu-x", "check", f"one ... {HOSTILE}")
        console.print(HOSTILE)
    assert "\x1b[?25l" in stream.getvalue()  # the cursor is hidden meanwhile
    assert "\x1b[31mred" not in stream.getvalue()
    assert r"\x1b[31mred" in stream.getvalue()


MEANS = {"conv2d": "convolution gives the right numbers"}


def on_terminal(width: int, *told: tuple[str, str]) -> list[str]:
    out = io.StringIO()
    terminal = Console(file=out, width=width, force_terminal=True)
    with Progress(terminal, meaning=lambda check: MEANS.get(check, "")) as one:
        for step, text in told:
            one.tell("cpu-torch-2.13", step, text)
    lines = re.sub("\x1b\\[[0-9;?]*[A-Za-z]|\r", "", out.getvalue()).split("\n")
    return [line for line in lines if re.match(r" +\d+\.\d s  | {10}\S", line)]  # less the one that is always last


def test_a_check_that_passed_is_told_in_a_sentence_and_not_in_json_with_17_digits() -> None:
    (line,) = on_terminal(120, ("check", 'conv2d passed 1.3s {"float64": 1.5459859670841932e-14, "float32": 7.9...'))
    assert line.endswith("check    conv2d passed 1.3 s: convolution gives the right numbers")
    (line,) = on_terminal(80, ("check", 'conv2d passed 1.3s {"float64": 1.5459859670841932e-14}'))
    assert line.endswith("check    conv2d passed 1.3 s")  # one line a check
    (line,) = on_terminal(120, ("check", "conv2d failed 1.3s gradient differs by 0.036123456789, on 1.15.500000"))
    assert line.endswith("conv2d failed 1.3 s: gradient differs by 0.03612, on 1.15.500000")


def test_a_verdict_is_whole_at_80_columns_and_broken_between_words() -> None:
    words = [f"reason-{number}" for number in range(30)]
    lines = on_terminal(80, ("failed", " ".join(words)))
    assert max(map(len, lines)) <= 80
    assert "".join(lines).split()[4:] == words or " ".join(lines).split()[4:] == words
    assert all(line.startswith(" " * 10 + "reason-") for line in lines[1:])


def test_a_line_is_wrapped_with_its_own_breaks_and_a_command_stays_in_one_piece() -> None:
    terminal = Console(file=io.StringIO(), width=40, force_terminal=True)
    assert str(console_module.wrapped(terminal, "one two\nthree " + "four " * 12)).splitlines()[:2] == [
        "one two",
        " " * 10 + "three four four four four four",
    ]
    command = "cpu-x: next: python -m dlmatrix run cpu-x --engine docker --report somewhere"
    tell(terminal, command)
    assert command in terminal.file.getvalue()  # type: ignore[attr-defined]


def test_where_there_is_no_terminal_a_line_a_minute_says_what_is_under_way() -> None:
    out = io.StringIO()
    ticks = iter([0.0, 0.0, 70.0, 70.0])
    shown = Progress(Console(file=out, width=120), lambda env, step: 200.0, clock=lambda: next(ticks))
    shown.beat()
    assert out.getvalue() == ""
    shown.tell("cpu-torch-2.13", "building", "#5 RUN uv pip sync")
    shown.beat()
    said = "under way for 70 s of about 3:20 min: #5 RUN uv pip sync"
    assert out.getvalue() == f"  70.0 s  cpu-torch-2.13  build    {said}\n"


def test_the_heart_beats_while_it_runs_and_no_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    beaten = threading.Event()
    monkeypatch.setattr(console_module, "HEARTBEAT", 0.001)
    monkeypatch.setattr(Progress, "beat", lambda self: beaten.set())
    before = set(threading.enumerate())
    with Progress(Console(file=io.StringIO())):
        assert beaten.wait(30)
    assert set(threading.enumerate()) <= before  # one that another test left may have ended meanwhile
