"""Control groups, distributions, digits, versions: the parts that need no framework."""

import compileall
import os
import shutil
import subprocess
import sys

import numpy
import pytest

from smoke import catalog, cgroup, child, digits, distributions, model
from smoke.checks import version_pin
from smoke.context import Context, FailedError, SkipError, failed, passed
from smoke.throughput.networks import parameters


def tree(folder, files):
    for name, text in files.items():
        path = os.path.join(str(folder), name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as stream:
            stream.write(text)
    return str(folder)


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, None),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "150000 100000\n"}, 1.5),
        ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "max 100000\n"}, None),
        ({"proc/self/cgroup": "0::/a/b\n", "sys/fs/cgroup/a/b/cpu.max": "50000 100000\n"}, 0.5),
        (
            {
                "proc/self/cgroup": "3:cpu,cpuacct:/docker/x\n",
                "sys/fs/cgroup/cpu,cpuacct/docker/x/cpu.cfs_quota_us": "200000\n",
                "sys/fs/cgroup/cpu,cpuacct/docker/x/cpu.cfs_period_us": "100000\n",
            },
            2.0,
        ),
        (
            {
                # In a container the group's folder is the root of the mount, whatever the path says.
                "proc/self/cgroup": "3:cpu:/docker/x\n",
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "400000\n",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
            },
            4.0,
        ),
        ({"sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n", "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n"}, None),
    ],
)
def test_quota(files, expected, tmp_path):
    assert cgroup.quota(tree(tmp_path, files)) == expected


def test_cpus_stay_between_one_and_the_affinity(tmp_path):
    low = tree(tmp_path / "low", {"sys/fs/cgroup/cpu.max": "1000 100000\n"})
    high = tree(tmp_path / "high", {"sys/fs/cgroup/cpu.max": "99900000 100000\n"})
    assert cgroup.cpus(low) == 1
    assert cgroup.cpus(high) == len(os.sched_getaffinity(0))


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, None),
        ({"sys/fs/cgroup/memory.max": "max\n"}, None),
        ({"sys/fs/cgroup/memory.max": "8589934592\n"}, 8 << 30),
        ({"proc/self/cgroup": "0::/a\n", "sys/fs/cgroup/a/memory.max": "1024\n"}, 1024),
        ({"sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n"}, None),
        ({"sys/fs/cgroup/memory/memory.limit_in_bytes": "2048\n"}, 2048),
    ],
)
def test_memory_limit(files, expected, tmp_path):
    assert cgroup.memory_limit(tree(tmp_path, files)) == expected


@pytest.mark.parametrize("name", ["memory.events", "memory/memory.oom_control"])
def test_memory_kills(name, tmp_path):
    root = tree(tmp_path, {"sys/fs/cgroup/" + name: "oom 1\noom_kill 7\n"})
    assert cgroup.memory_kills(root) == 7
    assert cgroup.memory_kills(str(tmp_path / "nothing")) is None


def test_installed_distributions(tmp_path):
    for name in ("Nvidia_cuda.runtime-12.1.dist-info", "torch-2.13.0+cpu.dist-info", "torch", "x.dist-info"):
        (tmp_path / name).mkdir()
    found = distributions.installed([str(tmp_path), str(tmp_path / "absent")])
    assert found == {"nvidia-cuda-runtime": "12.1", "torch": "2.13.0+cpu"}


def test_the_digits_are_whole():
    data = digits.Digits()
    assert data.train_x.shape == (1437, 28, 28, 1)
    assert data.test_x.shape == (360, 28, 28, 1)
    assert data.train_x.dtype == numpy.float32
    assert 0.0 == data.train_x.min() < data.train_x.max() == 1.0
    assert set(data.train_y) == set(range(10))
    # Padding, and one pixel of the original as a block of three by three.
    assert data.train_x[:, :2].max() == data.train_x[:, :, -2:].max() == 0.0
    blocks = data.train_x[:, 2:26, 2:26, 0].reshape(-1, 8, 3, 8, 3)
    assert (blocks == blocks[:, :, :1, :, :1]).all()


def test_batches_give_every_sample_once():
    x = numpy.arange(10)
    given = list(digits.batches(x, x, 4, seed=1))
    assert [len(batch) for batch, _ in given] == [4, 4, 2]
    assert sorted(numpy.concatenate([batch for batch, _ in given])) == list(range(10))
    again = list(digits.batches(x, x, 4, seed=1))
    assert [list(batch) for batch, _ in given] == [list(batch) for batch, _ in again]


def test_the_model_has_its_parameters():
    assert parameters(model.shapes()) == model.PARAMETERS == 225034
    assert model.last_map() == (5, 5, 64)


@pytest.mark.parametrize(
    ("own", "pin", "cuda", "same"),
    [
        ("2.13.0+cpu", "2.13.0+cpu", None, True),
        ("2.13.0", "2.13.0+cpu", None, False),
        ("2.13.0+cpu", "2.13.0", None, False),
        ("2.11.0+cu130", "2.11.0", "13.0", True),
        ("2.11.0+cu130", "2.11.0", "12.8", False),
        ("2.11.0+cu130", "2.11.0", None, False),
        ("2.11.1", "2.11.0", None, False),
    ],
)
def test_versions_agree_exactly(own, pin, cuda, same):
    assert version_pin.agrees(own, pin, cuda) is same


class Stub:
    """A check module."""

    ID, KIND, ASSERTS, APPLIES = "stub", "smoke", "x", {"frameworks": ("torch",)}


def outcome_of(run):
    Stub.run = staticmethod(run)
    return child.one(
        catalog.Check(type("Module", (), dict(vars(Stub), __name__="stub"))), Context("torch", {}, 1, None, None)
    )


def raiser(problem):
    def run(context):
        raise problem

    return run


def test_what_a_check_raises_becomes_its_outcome(capsys):
    assert outcome_of(lambda context: passed(1, 1))["outcome"] == "passed"
    assert outcome_of(lambda context: failed("bad", 1, 2))["found"] == 2
    assert outcome_of(raiser(SkipError("no GPU")))["reason"] == "no GPU"
    assert outcome_of(raiser(FailedError("deep", 1, 2, extra=3)))["data"] == {"extra": 3}
    error = outcome_of(raiser(KeyError("x")))
    assert (error["outcome"], error["reason"].split(" (")[0]) == ("error", "KeyError: 'x'")
    assert "Traceback" in capsys.readouterr().err


def test_applies():
    Stub.run = staticmethod(passed)
    check = catalog.Check(type("Module", (), dict(vars(Stub), __name__="stub")))
    assert check.applies_to("torch", "gpu")
    assert not check.applies_to("tf1", "cpu")


def test_a_misspelt_condition_is_refused():
    module = type("Module", (), dict(vars(Stub), __name__="stub", APPLIES={"framework": ("torch",)}, run=passed))
    with pytest.raises(ValueError, match="framework"):
        catalog.Check(module)


def test_once_keeps_values_and_exceptions():
    context = Context("torch", {}, 1, None, None)
    calls = []
    assert context.once("a", lambda: calls.append(1) or 5) == context.once("a", lambda: 6) == 5
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            context.once("b", lambda: calls.append(1) or 1 / 0)
    assert len(calls) == 2


def test_a_missing_expectation_skips():
    with pytest.raises(SkipError, match="version"):
        Context("torch", {}, 1, None, None).want("version")


def test_plain_has_no_numpy_and_no_nan():
    value = {"a": numpy.float32(1), "b": (numpy.arange(2), float("nan")), 3: float("-inf"), "c": b"x", "d": True}
    assert child.plain(value) == {"a": 1.0, "b": [[0, 1], "nan"], "3": "-inf", "c": "x", "d": True}


def oldest():
    """A Python 3.7 that runs and says so."""
    pyenv = os.path.join(os.environ.get("PYENV_ROOT", os.path.expanduser("~/.pyenv")), "versions")
    folders = sorted(os.listdir(pyenv)) if os.path.isdir(pyenv) else []
    candidates = [os.path.join(pyenv, folder, "bin", "python3.7") for folder in folders]
    for path in [*candidates, shutil.which("python3.7")]:
        if path and os.path.exists(path):
            done = subprocess.run([path, "-V"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
            if done.stdout.startswith(b"Python 3.7."):
                return path
    return None


@pytest.mark.parametrize("find", [oldest, lambda: sys.executable], ids=["oldest", "this"])
def test_all_of_smoke_compiles(find, checkout, tmp_path):
    python = find()
    if python is None:
        pytest.skip("no Python 3.7 found: neither in pyenv's versions nor on the PATH")
    copy = tmp_path / "smoke"
    shutil.copytree(os.path.join(checkout, "smoke"), str(copy), ignore=shutil.ignore_patterns("__pycache__"))
    done = subprocess.run([python, "-m", "compileall", "-q", str(copy)], stdout=subprocess.PIPE, check=False)
    assert done.returncode == 0, done.stdout.decode()


def test_compileall_would_notice(tmp_path):
    (tmp_path / "new.py").write_text("def f(:\n")
    assert not compileall.compile_dir(str(tmp_path), quiet=2)
