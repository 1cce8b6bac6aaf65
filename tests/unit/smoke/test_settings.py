"""The checks run without the user's settings and in a home of their own; what was set is told, and tried."""

import json
import os
import subprocess
import sys

import pytest

from smoke import settings, trial
from smoke.checks import user_settings
from smoke.detect import framework
from smoke.detect.witness import Notes
from tests.unit.smoke.facts import context

CLEARED = [
    "KERAS_BACKEND", "KERAS_HOME", "TF_USE_LEGACY_KERAS", "TF_ENABLE_ONEDNN_OPTS", "TF_CPP_MIN_LOG_LEVEL",
    "TF_XLA_FLAGS", "TF_DETERMINISTIC_OPS", "TF_CONFIG", "TF_FORCE_GPU_ALLOW_GROWTH", "TF2_BEHAVIOR", "XLA_FLAGS",
    "TORCH_LOGS", "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE", "TORCHINDUCTOR_CACHE_DIR", "TORCHDYNAMO_DISABLE",
    "NVIDIA_TF32_OVERRIDE", "PYTHONOPTIMIZE", "PYTHONWARNINGS",
]  # fmt: skip
KEPT = ["OMP_PROC_BIND", "MKL_CBWR", "OPENBLAS_CORETYPE", "CUDA_VISIBLE_DEVICES", "LD_LIBRARY_PATH"]
#: Terraform's, which hold passwords, and what is nobody's of a framework.
OTHERS = ["TF_VAR_password", "TF_TOKEN_host", "TF_HTTP_PASSWORD", "PYTHONPATH", "KERASX", "PATH"]


@pytest.fixture
def taken(monkeypatch, tmp_path):
    """What take_away makes of an environment, as the environment of this process."""

    def take(home=None, **variables):
        environ = dict({"HOME": str(home or tmp_path / "nobody")}, **variables)
        settings.take_away(environ, str(tmp_path / "own"))
        monkeypatch.setattr(os, "environ", environ)
        return environ

    return take


def test_each_setting_is_taken_away_or_kept_and_told_and_others_are_left_alone(taken):
    names = CLEARED + KEPT + OTHERS
    environ = taken(**dict.fromkeys(names, "secret"))
    assert set(CLEARED) & set(environ) == set()
    assert set(KEPT + OTHERS) <= set(environ)
    assert settings.taken() == dict.fromkeys(CLEARED, "secret")
    told = settings.kept()
    assert {name: told[name] for name in KEPT} == dict.fromkeys(KEPT, "secret")
    assert not set(OTHERS) & (set(told) | set(settings.taken()))
    assert environ["HOME"].endswith("own")
    assert environ["PYTHONUSERBASE"]


def test_all_is_given_back_but_one(taken, tmp_path):
    environ = taken(KERAS_BACKEND="jax", XLA_FLAGS="-x")
    back = settings.given_back("XLA_FLAGS")
    assert (back["KERAS_BACKEND"], back["HOME"]) == ("jax", str(tmp_path / "nobody"))
    assert "XLA_FLAGS" not in back
    assert "XLA_FLAGS" not in environ
    assert settings.given_back()["XLA_FLAGS"] == "-x"
    assert settings.given_back("/home/a/.keras/keras.json")["KERAS_HOME"] == str(tmp_path / "own" / ".keras")


DEFAULT = {"floatx": "float32", "epsilon": 1e-07, "backend": "tensorflow", "image_data_format": "channels_last"}


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (json.dumps(DEFAULT), None),
        (json.dumps(dict(DEFAULT, nnx_enabled=False)), None),
        (json.dumps(dict(DEFAULT, image_data_format="channels_first")), "image_data_format channels_first"),
        ('{"floatx": "float16", "backend": "jax"}', "floatx float16, backend jax"),
        ("{", "cannot be read"),
        ("[]", "cannot be read"),
    ],
)
def test_the_file_of_keras_counts_where_it_says_what_keras_would_not(taken, tmp_path, said, told):
    (tmp_path / ".keras").mkdir()
    file = tmp_path / ".keras" / "keras.json"
    file.write_text(said)
    taken(home=tmp_path)
    found = settings.taken()
    assert list(found) == ([str(file)] if told else [])
    assert not told or found[str(file)].startswith(told)


def test_without_settings_nothing_is_started(taken, monkeypatch):
    monkeypatch.setattr(user_settings, "trained", None)
    taken()
    assert user_settings.run(context({})).outcome == "passed"


@pytest.mark.parametrize(
    ("guilty", "outcome"), [((), "passed"), (("KERAS_BACKEND",), "failed"), (("KERAS_BACKEND", "XLA_FLAGS"), "failed")]
)
def test_the_setting_without_which_it_works_is_named(taken, monkeypatch, guilty, outcome):
    taken(KERAS_BACKEND="jax", XLA_FLAGS="-x", TF_CPP_MIN_LOG_LEVEL="3")

    def trained(_context, left_out="", _limit=0.0):
        return "ImportError: no" if set(guilty) - {left_out} else ""

    monkeypatch.setattr(user_settings, "trained", trained)
    found = user_settings.run(context({}))
    assert found.outcome == outcome
    assert set(found.data["taken away"] if guilty else found.found["taken away"]) == {
        "KERAS_BACKEND", "XLA_FLAGS", "TF_CPP_MIN_LOG_LEVEL",
    }  # fmt: skip
    if len(guilty) == 1:
        assert "own KERAS_BACKEND=jax the framework fails: ImportError: no; unset or correct it;" in found.reason
    elif guilty:
        assert "XLA_FLAGS=-x" in found.reason


def test_settings_that_hang_do_not_use_up_the_runs_own_limit(taken, monkeypatch):
    taken(**dict.fromkeys(CLEARED, "x"))
    limits = []

    def hang(command, timeout, **_more):
        limits.append(timeout)
        raise subprocess.TimeoutExpired(command, timeout)

    monkeypatch.setattr(trial.subprocess, "run", hang)
    found = user_settings.run(context({}))
    assert found.outcome == "failed"
    assert "no end after 120 s" in found.reason
    assert len(limits) == 1 + len(CLEARED)
    assert sum(limits) <= 300.001


def test_a_step_is_tried_with_the_settings_as_they_were(taken, tmp_path, checkout):
    # A step of a framework that refuses a setting.
    (tmp_path / "torch.py").write_text("import os\nif os.environ.get('TORCH_LOGS'): raise ValueError('no such log')")
    environ = taken(TORCH_LOGS="x", PYTHONPATH=os.pathsep.join([str(tmp_path), checkout]))
    assert user_settings.trained(context({})) == "ValueError: no such log"
    assert "no such log" not in user_settings.trained(context({}), "TORCH_LOGS")
    assert environ["HOME"].endswith("own")


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("Traceback (most recent call last):\n  x\nValueError: no such log\nonly a, b\nc", "ValueError: no such log"),
        ("  x\nValueError: \nno such log\nonly a, b", "ValueError: no such log"),
        ("F parse_flags.cc:224] Unknown flags", "F parse_flags.cc:224] Unknown flags"),
        ("", "exit 1"),
    ],
)
def test_of_what_a_failed_step_says_the_line_with_the_reason_is_told(monkeypatch, said, told):
    done = subprocess.CompletedProcess([], 1, said.encode())
    monkeypatch.setattr(trial.subprocess, "run", lambda *_args, **_named: done)
    assert trial.step("torch", {}, 1.0)[0] == told


def test_a_step_killed_by_a_signal_says_so(monkeypatch):
    monkeypatch.setattr(trial.subprocess, "run", lambda *_args, **_named: subprocess.CompletedProcess([], -6, b""))
    assert trial.step("torch", {}, 1.0)[0] == "killed by signal 6"


def test_what_runs_before_every_program_is_left_out_alone(tmp_path, checkout):
    (tmp_path / "torch.py").write_text(
        "import sys\nif 'blocked' in sys.modules: raise ImportError('blocked by the site')"
    )
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.modules['blocked'] = sys")
    environ = dict(os.environ, PYTHONPATH=os.pathsep.join([str(tmp_path), checkout]))
    assert trial.step("torch", environ, 60.0)[0] == "ImportError: blocked by the site"
    assert "blocked" not in trial.step("torch", environ, 60.0, bare=True)[0]


def test_suspects_are_whatever_may_break_a_framework_and_no_number_of_threads(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "usercustomize", type(sys)("usercustomize"))
    sys.modules["usercustomize"].__file__ = str(tmp_path / "usercustomize.py")
    monkeypatch.setitem(sys.modules, "sitecustomize", type(sys)("sitecustomize"))
    sys.modules["sitecustomize"].__file__ = os.path.join(os.path.dirname(os.__file__), "sitecustomize.py")
    environ = {
        "OMP_NUM_THREADS": "4",
        "MKL_NUM_THREADS": "many",
        "LD_PRELOAD": "x",
        "KERAS_BACKEND": "jax",
        "PATH": "x",
    }
    assert settings.suspects(environ) == {
        "MKL_NUM_THREADS": "many", "KERAS_BACKEND": "jax", "usercustomize": str(tmp_path / "usercustomize.py"),
    }  # fmt: skip


def test_a_module_of_the_distribution_is_no_suspect_where_it_is_a_link(monkeypatch, tmp_path):
    """Debian's /usr/lib/python3.11/sitecustomize.py leads to /etc/python3.11."""
    monkeypatch.setattr(settings.os.path, "realpath", {"/usr/x/sitecustomize.py": "/etc/x/sitecustomize.py"}.get)
    monkeypatch.setattr(settings, "_customised", lambda: {"sitecustomize": "/usr/x/sitecustomize.py"})
    assert settings.suspects({}) == {}


def test_what_a_run_has_set_itself_is_not_the_users(taken, monkeypatch):
    """A step of training was started for the run's own variables, a second start of the framework in every run."""
    monkeypatch.setattr(trial, "step", None)
    environ = dict(taken(TORCH_LOGS="x", OMP_NUM_THREADS="4"), TF_FORCE_GPU_ALLOW_GROWTH="true", TORCH_HOME="/own")
    notes = Notes()
    framework._settings(notes, "torch", environ)
    assert notes.facts == {"settings": {"TORCH_LOGS": "x"}}


def test_the_checks_see_no_setting_and_a_home_of_their_own_that_is_gone_afterwards(checkout, tmp_path):
    program = "import os\nprint('seen', os.environ.get('KERAS_BACKEND'), os.path.expanduser('~'))\nraise ImportError"
    (tmp_path / "torch.py").write_text(program)
    environ = dict(os.environ, KERAS_BACKEND="jax", PYTHONPATH=str(tmp_path), HOME=str(tmp_path))
    command = [sys.executable, "-m", "smoke", "--framework", "torch", "--json", "-", "--throughput", "0"]
    done = subprocess.run(command, cwd=checkout, env=environ, stdout=subprocess.PIPE, check=False)
    lines = json.loads(done.stdout)["log"]["tail"]
    (seen,) = {line for line in lines if line.startswith("seen")}
    assert seen.split()[1] == "None"
    assert seen.split()[2] != str(tmp_path)
    assert not os.path.exists(seen.split()[2])


def test_the_doctor_s_step_leaves_memory_to_others_and_names_the_guilty(monkeypatch):
    tried = []

    def step(_framework, environ, _limit, _bare=False):
        tried.append(environ)
        return ("no such log" if "TORCH_LOGS" in environ else ""), ""

    monkeypatch.setattr(trial, "step", step)
    notes = Notes()
    framework._settings(notes, "torch", {"TORCH_LOGS": "x", "XLA_FLAGS": "y"})
    assert notes.facts["step"] == {"problem": "no such log", "guilty": {"TORCH_LOGS": "x"}}
    assert all(environ["TF_FORCE_GPU_ALLOW_GROWTH"] == "true" for environ in tried)
    assert len(tried) == 3
    quiet = Notes()
    framework._settings(quiet, "torch", {"OMP_NUM_THREADS": "4"})
    assert len(tried) == 3
    assert quiet.facts == {"settings": {}}
