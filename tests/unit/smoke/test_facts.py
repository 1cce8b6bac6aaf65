"""The checks' arithmetic on facts: logs, closed containers, requirements, and guides' programs in a fork."""

import os
import warnings

import pytest

from smoke import guides, logs
from smoke.checks import (
    build_flags,
    hermetic,
    shared_memory,
)
from smoke.context import SkipError
from smoke.detect import framework as witness_framework
from smoke.detect import witness
from tests.unit.smoke.facts import context


@pytest.mark.parametrize(
    "line",
    [
        "WARNING:tensorflow:From x.py: y is odd",
        "ERROR: broken",
        "2026-11-24 08:00:00.123456: W tensorflow/core/x.cc:1] odd",
        "2026-11-24 08:00:00.123456: E external/x.cc:1] bad",
        "W0000 00:00:1795507959.199519   32593 port.cc:153] odd",
        "E1124 08:00:00.000000 1 x.cc:1] bad",
        "[W1124 08:00:00.123 NNPACK.cpp:53] odd",
        "[W NNPACK.cpp:53] odd",
        "/opt/venv/lib/x.py:12: UserWarning: odd",
        "FutureWarning: odd",
        "Traceback (most recent call last):",
        "ValueError: bad",
    ],
)
def test_a_warning_or_error_is_seen(line):
    assert logs.judge([line], "torch") == ({}, {}, [line])


@pytest.mark.parametrize(
    "line",
    [
        "2026-11-24 08:00:00.123456: I tensorflow/core/x.cc:1] WARNING inside",
        "I0000 00:00:1795507959.199519   32593 port.cc:153] oneDNN custom operations are on.",
        "To enable the following instructions: AVX2, rebuild TensorFlow",
        "no warning here",
        "",
    ],
)
def test_information_is_none(line):
    assert logs.judge([line], "torch") == ({}, {}, [])


def test_a_known_line_is_counted_with_its_reason_and_only_for_its_framework():
    line = "WARNING: All log messages before absl::InitializeLog() is called are written to STDERR"
    known, marks, unknown = logs.judge([line, line], "tf2")
    assert (list(known.values()), marks, unknown) == ([2], {}, [])
    assert logs.judge([line], "torch") == ({}, {}, [line])


def test_every_known_line_has_a_reason():
    for entry in logs.known_lines():
        assert entry["reason"]
        assert entry["source"]
        assert set(entry["frameworks"]) <= {"torch", "tf1", "tf2"}


def closed(tmp_path, **changes):
    """A /proc and /sys of a container that is closed, with changes."""
    facts = {
        "CapEff": "0000000000000000",
        "NoNewPrivs": "1",
        "Uid": "1000\t1000\t1000\t1000",
        "root": "ro",
        "net": ["lo"],
    }
    facts.update(changes)
    # A container that no root started sees the machine's /sys, with interfaces that it cannot reach.
    for folder in ("proc/self/net", "sys/class/net/eth7"):
        (tmp_path / folder).mkdir(parents=True)
    rows = [f"{name:>6}:       0       0" for name in facts["net"]]
    (tmp_path / "proc/self/net/dev").write_text(
        "\n".join(["Inter-|   Receive |", " face |bytes    packets", *rows]) + "\n"
    )
    status = [f"{key}:\t{facts[key]}" for key in ("Uid", "CapEff", "NoNewPrivs")]
    (tmp_path / "proc/self/status").write_text("\n".join(["Name:\tpython", *status]) + "\n")
    mounts = "rootfs / rootfs rw 0 0\noverlay / overlay {},relatime 0 0\ntmpfs /tmp tmpfs rw 0 0\n"
    (tmp_path / "proc/self/mounts").write_text(mounts.format(facts["root"]))
    return str(tmp_path)


@pytest.mark.parametrize(
    ("changes", "wrong"),
    [
        ({}, []),
        ({"net": ["eth0", "lo"]}, ["a network interface"]),
        ({"root": "rw"}, ["a writable root"]),
        ({"CapEff": "00000000a80425fb"}, ["capabilities"]),
        ({"NoNewPrivs": "0"}, ["new privileges"]),
        ({"Uid": "0\t0\t0\t0"}, ["the user root"]),
    ],
)
def test_what_is_open_is_named(changes, wrong, tmp_path):
    assert hermetic.judge(hermetic.observe(closed(tmp_path, **changes))) == wrong


def test_outside_a_container_hermetic_is_skipped():
    with pytest.raises(SkipError):
        hermetic.run(context({}))


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        ("print(2 + 3)", (0, "5\n", "")),
        ("print(__name__); raise ValueError('bad')", (1, "__main__\n", "ValueError: bad")),
        ("raise SystemExit(7)", (7, "", "")),
        ("import os; os.kill(os.getpid(), 9)", (-9, "", "")),
    ],
)
def test_a_program_runs_in_a_fork(program, expected, tmp_path, monkeypatch):
    (tmp_path / "guide.py").write_text(program)
    monkeypatch.setattr(guides, "FOLDER", str(tmp_path))
    assert guides.run("guide") == expected


def test_a_program_that_hangs_is_stopped(tmp_path, monkeypatch):
    (tmp_path / "guide.py").write_text("import signal\nprint('on', flush=True)\nsignal.pause()")
    monkeypatch.setattr(guides, "FOLDER", str(tmp_path))
    assert guides.run("guide", timeout=1.0) == (None, "on\n", "")


def forms(tmp_path, monkeypatch, version, written, working="print(5)"):
    (tmp_path / "guide.py").write_text(written)
    (tmp_path / "guide_working.py").write_text(working)
    monkeypatch.setattr(guides, "FOLDER", str(tmp_path))
    made = context({}, version=version)
    made.backend.versions = lambda: {"tensorflow": version}
    return guides.judge_forms(made, "guide", "5", "graph is empty")


def test_forms_of_a_guide(tmp_path, monkeypatch):
    broken = "raise RuntimeError('The Session graph is empty.')"
    assert forms(tmp_path, monkeypatch, "1.15.5", "print(5)").outcome == "passed"
    assert forms(tmp_path, monkeypatch, "1.15.5", broken).outcome == "failed"
    found = forms(tmp_path, monkeypatch, "2.21.0", broken)
    assert found.outcome == "passed"
    assert found.found["as written"].startswith("fails, as expected since 2.0: RuntimeError")
    assert "correct what is known" in forms(tmp_path, monkeypatch, "2.21.0", "print(5)").reason
    assert forms(tmp_path, monkeypatch, "2.21.0", broken, working="print(4)").outcome == "failed"


def test_shared_memory_that_is_missing_or_tiny(monkeypatch, tmp_path):
    monkeypatch.setattr(shared_memory, "FOLDER", str(tmp_path / "absent"))
    assert "is missing" in shared_memory.run(context({})).reason
    monkeypatch.setattr(shared_memory, "FOLDER", str(tmp_path))
    monkeypatch.setattr(shared_memory, "LEAST", 2**60)
    assert "--shm-size" in shared_memory.run(context({})).reason


@pytest.mark.parametrize(
    ("version", "words"),
    [
        ("2.13.0+cpu", "RuntimeError: unable to allocate shared memory"),
        ("2.10.0", "RuntimeError: unable to allocate shared memory"),
        ("2.9.1", "workers die of SIGBUS"),
        ("1.13.1", "workers die of SIGBUS"),
    ],
)
def test_what_comes_of_little_shared_memory_is_told_by_version(version, words):
    assert words in shared_memory.words(context({}, {"torch": version}))


def test_build_flags_that_do_not_fit_the_variant():
    assert "CUDA build in a cpu env" in build_flags.run(context({"variant": "cpu"}, cuda="13.0")).reason
    assert "CPU build in a gpu env" in build_flags.run(context({"variant": "gpu"})).reason
    assert build_flags.run(context({"variant": "gpu"}, cuda="13.0")).outcome == "passed"


def test_the_framework_s_testimony_of_this_process_has_the_form_of_an_inquiry_s(monkeypatch):
    monkeypatch.setattr(witness_framework, "_torch", lambda notes: notes.put("version", "2.13.0"))
    before = list(warnings.filters)
    here = witness.testimony("/", "torch")
    assert warnings.filters == before
    assert (here["name"], here["version"], here["messages"]) == ("torch", "2.13.0", [])
    asked = witness.Inquiry("kernel", "/", None, 30.0).answer()
    assert set(here["witness"]) == set(asked["witness"])
    assert here["witness"]["status"] == "ok"
    assert here["witness"]["pid"] == os.getpid()
