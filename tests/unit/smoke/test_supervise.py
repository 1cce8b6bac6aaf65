"""The parent against children that behave, hang, die, flood and leave workers behind."""

import os
import signal
import sys
import textwrap
import time

import pytest

from smoke import document, supervise, validate

PRELUDE = """
import json, os, signal, sys, subprocess
events = os.fdopen(int(sys.argv[-1]), "w")
def emit(**event):
    events.write(json.dumps(event) + "\\n")
    events.flush()
def check(id, **values):
    entry = {"id": id, "kind": "verify", "asserts": "x", "outcome": "skipped", "reason": "not reached",
             "expected": None, "found": None, "seconds": 0.0, "data": {}}
    entry.update(values)
    return entry
emit(event="plan", checks=[check("first"), check("second"), check("third")])
emit(event="start", id="first")
emit(event="end", check=check("first", outcome="passed", reason=""))
emit(event="start", id="second")
"""


def child(program, timeout=30.0):
    lines = []
    command = [sys.executable, "-c", PRELUDE + textwrap.dedent(program)]
    return supervise.supervise(command, timeout, supervise.environment(1), lines.append), lines


def assembled(outcome, timeout=30.0):
    return document.assemble("torch", {}, 1, timeout, outcome)


def by_id(found):
    return {check["id"]: check for check in found["checks"]}


def test_a_child_that_ends_well_is_done():
    program = """
    print("to the log")
    emit(event="end", check=check("second", outcome="passed", reason=""))
    emit(event="start", id="third")
    emit(event="end", check=check("third", outcome="failed", reason="wrong", found=3))
    emit(event="record", versions={"numpy": "1"})
    emit(event="record", training={"parameters": 1})
    emit(event="done")
    """
    outcome, lines = child(program)
    found = assembled(outcome)
    assert (outcome.ended, outcome.returncode, outcome.log) == ("done", 0, ["to the log"])
    assert [check["outcome"] for check in found["checks"][:3]] == ["passed", "passed", "failed"]
    assert found["versions"] == {"numpy": "1"}
    assert found["training"] == {"parameters": 1}
    assert found["throughput"] is None
    assert lines == [
        "first ...", "first passed 0.0s null", "second ...", "second passed 0.0s null", "third ...",
        "third failed 0.0s wrong",
    ]  # fmt: skip
    assert document.exit_code(found, outcome) == 1


def test_a_hang_names_its_check_and_leaves_no_process():
    program = """
    worker = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
    print(worker.pid, flush=True)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while True:
        signal.pause()
    """
    outcome, _ = child(program, timeout=2.0)
    found = assembled(outcome, 2.0)
    checks = by_id(found)
    assert outcome.ended == "hang"
    assert checks["second"]["outcome"] == "error"
    assert "did not finish within 2 s" in checks["second"]["reason"]
    assert checks["first"]["outcome"] == "passed"
    assert checks["third"]["outcome"] == "skipped"
    assert checks["third"]["reason"].startswith("not reached: second did not finish")
    assert document.exit_code(found, outcome) == 13
    assert gone(int(outcome.log[0]))


def gone(pid):
    """Whether the process is dead (a zombie that its new parent has not reaped yet counts)."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            with open(f"/proc/{pid}/stat") as stream:
                if stream.read().rpartition(")")[2].split()[0] == "Z":
                    return True
        except OSError:
            return True
        os.sched_yield()
    return False


def test_a_killed_child_names_the_signal():
    outcome, _ = child("print('last words', flush=True); os.kill(os.getpid(), signal.SIGSEGV)")
    found = assembled(outcome)
    assert outcome.ended == "killed"
    assert "SIGSEGV" in by_id(found)["second"]["reason"]
    assert "last words" in by_id(found)["second"]["reason"]
    assert document.exit_code(found, outcome) == 14


def test_killed_for_memory_is_said_where_the_control_group_says_so(monkeypatch):
    counts = iter([3, 4])
    monkeypatch.setattr(supervise.cgroup, "memory_kills", lambda: next(counts))
    outcome, _ = child("os.kill(os.getpid(), signal.SIGKILL)")
    assert outcome.memory
    assert "memory limit" in by_id(assembled(outcome))["second"]["reason"]


def test_an_early_exit_is_an_error():
    outcome, _ = child("os._exit(5)")
    found = assembled(outcome)
    assert outcome.ended == "exited"
    assert "exit code 5" in by_id(found)["second"]["reason"]
    assert document.exit_code(found, outcome) == 1


def test_a_child_that_dies_between_checks_is_an_error_too():
    outcome, _ = child("emit(event='end', check=check('second', outcome='passed', reason='')); os.abort()")
    found = assembled(outcome)
    assert by_id(found)["process"]["outcome"] == "error"
    assert "SIGABRT" in by_id(found)["process"]["reason"]


def test_a_worker_that_outlives_the_child_does_not_hold_the_parent():
    program = """
    worker = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"], pass_fds=(events.fileno(),))
    print(worker.pid, flush=True)
    emit(event="done")
    os._exit(0)
    """
    outcome, _ = child(program, timeout=60.0)
    assert outcome.ended == "done"
    assert gone(int(outcome.log[0]))


def test_a_flood_of_log_does_not_block_and_keeps_its_tail():
    outcome, _ = child(
        """
        for number in range(20000):
            print("line", number)
        emit(event="done")
        """
    )
    found = assembled(outcome)
    assert found["log"]["lines"] == 20000
    assert found["log"]["tail"][-1] == "line 19999"
    assert len(found["log"]["tail"]) == supervise.TAIL


def test_half_an_event_and_bytes_that_are_no_text_are_survived():
    outcome, _ = child(
        r"""
        sys.stdout.buffer.write(b"\xff\xfe not text\r\nno newline at the end")
        sys.stdout.flush()
        events.write('{"event": "en')
        events.flush()
        os.kill(os.getpid(), signal.SIGKILL)
        """
    )
    assert outcome.log == ["\ufffd\ufffd not text", "no newline at the end"]
    assert by_id(assembled(outcome))["second"]["outcome"] == "error"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopping_the_parent_stops_the_child(number, checkout):
    program = """
    from smoke import supervise
    import sys
    supervise.supervise([sys.executable, "-c", sys.argv[1]], 60.0, supervise.environment(1), supervise.progress)
    """
    body = PRELUDE + "emit(event='start', id=str(os.getpid()))\nwhile True: signal.pause()"
    parent = supervise.subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program), body],
        cwd=checkout,
        stderr=supervise.subprocess.PIPE,
        universal_newlines=True,
    )
    for line in parent.stderr:
        word = line.split()[1]
        if word.isdigit():
            parent.send_signal(number)
            assert gone(int(word))
            break
    else:
        pytest.fail("the child never started")
    parent.communicate()
    assert parent.returncode != 0


def test_every_document_fits_the_schema(schema):
    for program in ("os._exit(5)", "emit(event='done')", "os.abort()"):
        outcome, _ = child(program)
        assert validate.problems(assembled(outcome), schema) == []


def test_the_thread_pools_are_set():
    found = supervise.environment(3)
    assert found["OMP_NUM_THREADS"] == found["TF_NUM_INTRAOP_THREADS"] == "3"


def test_waiting_threads_spin_for_a_moment_unless_the_user_says_how(monkeypatch):
    for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT"):
        monkeypatch.delenv(name, raising=False)
    assert supervise.environment(1)["GOMP_SPINCOUNT"] == "1000"
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    assert "GOMP_SPINCOUNT" not in supervise.environment(1)


def test_processes_share_a_gpu(monkeypatch):
    monkeypatch.setenv("TF_FORCE_GPU_ALLOW_GROWTH", "false")
    assert supervise.environment(1)["TF_FORCE_GPU_ALLOW_GROWTH"] == "true"
