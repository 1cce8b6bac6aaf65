"""Usage errors, the document's two destinations, and the whole of smoke on an interpreter without a framework."""

import json
import os
import subprocess
import sys

import pytest

from smoke import __main__ as command
from smoke import catalog, child, context, supervise, validate
from smoke.checks import throughput
from smoke.throughput import collect


def call(checkout, *arguments):
    return subprocess.run(
        [sys.executable, "-m", "smoke", *arguments],
        cwd=checkout,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--json", "-"], "--framework"),
        (["--framework", "jax", "--json", "-"], "invalid choice"),
        (["--framework", "torch"], "--json"),
        (["--framework", "torch", "--json", "-", "--timeout", "0"], "above zero"),
        (["--framework", "torch", "--json", "-", "--threads", "two"], "above zero"),
        (["--framework", "torch", "--json", "-", "--throughput", "-1"], "above zero"),
        (["--framework", "torch", "--json", "-", "--processes", "0"], "above zero"),
        (["--framework", "torch", "--json", "-", "--only", "imports"], "invalid choice"),
        (["--framework", "torch", "--json", "-", "--rows", "cnn/train"], "no row 'cnn/train'; one of them is cnn/"),
        (["--framework", "torch", "--json", "-", "--expect", "{"], "not JSON"),
        (["--framework", "torch", "--json", "-", "--expect", "[]"], "not a JSON object"),
        (["--framework", "torch", "--json", "-", "--expect", '{"verison": "1"}'], "unknown key 'verison'"),
        (["--framework", "torch", "--json", "-", "--expect", '{"gpu": "no"}'], "wrong type"),
        (["--framework", "torch", "--json", "-", "--expect", '{"variant": "tpu"}'], "neither"),
    ],
)
def test_usage_errors(arguments, message, capsys):
    with pytest.raises(SystemExit) as stopped:
        command.main(arguments)
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err


def _importable(name):
    import importlib.util

    return importlib.util.find_spec(name) is not None


@pytest.mark.skipif(_importable("torch"), reason="a framework is installed here")
def test_without_a_framework_imports_fails_and_the_rest_is_skipped(checkout, schema, tmp_path):
    target = tmp_path / "found.json"
    expect = {"variant": "cpu", "distribution": "torch", "version": "2.13.0+cpu"}
    done = call(checkout, "--framework", "torch", "--json", str(target), "--expect", json.dumps(expect))
    found = json.loads(target.read_text())
    checks = {check["id"]: check for check in found["checks"]}
    assert done.returncode == 1, done.stderr
    assert validate.problems(found, schema) == []
    assert checks["imports"]["outcome"] == "failed"
    assert "No module named 'torch'" in checks["imports"]["found"]
    assert checks["version-pin"]["outcome"] == "failed"
    assert checks["training"]["outcome"] == "skipped"
    assert "see the check imports" in checks["training"]["reason"]
    assert [line for line in done.stderr.splitlines() if line.startswith("smoke: imports failed")]
    assert os.listdir(str(tmp_path)) == ["found.json"]


@pytest.mark.skipif(_importable("torch"), reason="a framework is installed here")
def test_the_document_alone_goes_to_stdout(checkout):
    done = call(checkout, "--framework", "torch", "--json", "-")
    assert json.loads(done.stdout)["framework"] == "torch"
    assert "smoke: imports ..." in done.stderr


@pytest.mark.skipif(_importable("torch"), reason="a framework is installed here")
def test_measuring_alone_without_a_framework_is_an_error_that_names_it(checkout, schema):
    done = call(checkout, "--framework", "torch", "--json", "-", "--only", "throughput", "--throughput", "5")
    found = json.loads(done.stdout)
    (check,) = found["checks"]
    assert done.returncode == 1
    assert validate.problems(found, schema) == []
    assert (check["id"], check["outcome"]) == ("throughput", "error")
    assert check["reason"].endswith("last line of its log: ModuleNotFoundError: No module named 'torch'")
    assert {row["outcome"] for row in found["throughput"]["rows"]} == {"skipped"}
    assert all(row["reason"] for row in found["throughput"]["rows"])


@pytest.mark.skipif(_importable("torch"), reason="a framework is installed here")
def test_no_budget_measures_nothing(checkout):
    done = call(checkout, "--framework", "torch", "--json", "-", "--only", "throughput", "--throughput", "0")
    found = json.loads(done.stdout)
    assert found["throughput"] is None
    assert found["checks"][0]["reason"] == "not asked for: --throughput 0"


def test_a_document_that_cannot_be_written_is_a_usage_error(monkeypatch, tmp_path, capsys):
    outcome = supervise.Outcome()
    # A copy: the process of a run sets itself a home, which the tests after this one would have.
    monkeypatch.setattr(os, "environ", dict(os.environ, TMPDIR=str(tmp_path)))
    monkeypatch.setattr(command.supervise, "supervise", lambda *_: outcome)
    code = command.main(["--framework", "torch", "--json", str(tmp_path / "missing" / "found.json")])
    assert code == 2
    assert "cannot write" in capsys.readouterr().err


def test_a_framework_that_leaves_files_and_is_killed_leaves_nothing(checkout, monkeypatch, tmp_path):
    package, temporary = tmp_path / "package", tmp_path / "temporary"
    package.mkdir()
    temporary.mkdir()
    program = "import os, signal, tempfile; print(tempfile.mkstemp()); os.kill(os.getpid(), signal.SIGKILL)"
    (package / "torch.py").write_text(program)
    monkeypatch.setenv("PYTHONPATH", str(package))
    monkeypatch.setenv("TMPDIR", str(temporary))
    done = call(checkout, "--framework", "torch", "--json", "-")
    found = json.loads(done.stdout)
    assert (done.returncode, found["log"]["lines"]) == (14, 1)
    assert str(temporary) in found["log"]["tail"][0]
    assert os.listdir(str(temporary)) == []


def test_without_a_temporary_folder_one_line_says_so(monkeypatch, capsys):
    def full(prefix):
        raise FileNotFoundError(2, "No usable temporary directory found")

    monkeypatch.setattr(command.tempfile, "mkdtemp", full)
    assert command.main(["--framework", "torch", "--json", "-"]) == 2
    words = "smoke: no temporary folder: [Errno 2] No usable temporary directory found; make room, or name one: TMPDIR"
    assert words in capsys.readouterr().err


def test_nothing_in_smoke_imports_a_framework_in_the_parent(checkout):
    program = "import sys, smoke.__main__; print([m for m in ('torch', 'tensorflow', 'numpy') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], cwd=checkout, stdout=subprocess.PIPE, check=True)
    assert done.stdout.strip() == b"[]"


@pytest.mark.parametrize("framework", ["torch", "tf1", "tf2"])
@pytest.mark.parametrize("variant", ["cpu", "gpu"])
def test_checks_are_found_with_distinct_ids(framework, variant):
    ids = [check.id for check in catalog.applying(framework, {"variant": variant})]
    assert len(ids) == len(set(ids))
    assert {"imports", "version-pin", "training", "detection", "throughput"} <= set(ids)


def test_every_check_asserts_one_line():
    for check in catalog.every():
        assert check.asserts
        assert "\n" not in check.asserts
        assert check.id == check.id.lower().replace("_", "-")


@pytest.mark.parametrize(
    ("budget", "ended", "imports", "expected"),
    [
        (5.0, "done", "passed", True),
        (0.0, "done", "passed", "not asked for: --throughput 0"),
        (5.0, "hang", "passed", "the checks before it did not come to their end"),
        (5.0, "done", "failed", "the framework cannot be used, see the check imports"),
        (5.0, "full", "passed", "300 of 81920 MiB free"),
    ],
)
def test_measuring_is_left_for_later_only_where_there_is_something_to_measure(budget, ended, imports, expected):
    outcome = supervise.Outcome()
    outcome.ended = "done" if ended == "full" else ended
    checks = [{"id": "imports", "outcome": imports, "data": {}}]
    checks += [{"id": "dense", "outcome": "skipped", "reason": expected, "data": {"no_room": ended == "full"}}]
    outcome.events = [{"event": "end", "check": check} for check in checks]
    measured = command.measure(collect.Job("torch", 1, budget, 1), outcome, 0.0, later=True)
    assert measured == expected
    given = context.Context("torch", {}, 1, None, None)
    given.throughput = measured
    entry = child.one(catalog.Check(throughput), given)
    assert entry["outcome"] == "skipped"
    assert entry["reason"]
    assert entry["data"] == ({"later": True} if expected is True else {})


def test_measuring_looks_at_the_gpus_of_this_run(monkeypatch):
    devices = [{"index": index, "pci": f"00000000:0{index}:00.0"} for index in range(1, 4)]
    detection = {"nvml": {"devices": devices}, "cuda": {"devices": [{"index": 0, "pci": "0000:02:00.0"}]}}
    outcome = supervise.Outcome()
    outcome.ended, outcome.events = "done", [{"event": "record", "detection": detection}]
    monkeypatch.setattr(collect.Collector, "run", lambda collector: collector.job.gpus)
    assert command.measure(collect.Job("torch", 1, 5.0, 1), outcome, 0.0, later=False) == [2]
    outcome.events = []
    assert command.measure(collect.Job("torch", 1, 5.0, 1), outcome, 0.0, later=False) is None


def test_what_cannot_prepare_does_not_keep_the_checks_from_running(capsys):
    class Unable:
        def prepare(self, context):
            raise OSError("no more processes")

    class Able(Unable):
        prepare = None

    child.prepare([Able(), Unable()], None)
    assert "no more processes" in capsys.readouterr().err
