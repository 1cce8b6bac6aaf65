"""What a user has set for programs of his own that changes what a framework computes, or whether it starts at all.

The checks run without it, in a home of their own, and say so: it is no part of an installation. What a machine may need
is kept, and named: numbers of threads are set by the run itself.
"""

from __future__ import annotations

import json
import os
import re
import site
import sys
from typing import Any, Mapping, MutableMapping

#: Taken away: Keras's backend and layout, oneDNN, XLA's flags, TF32, what TensorFlow logs, how PyTorch compiles and
#: logs, Python's -O, which takes asserts and docstrings out of every module, and -W, which the log is judged by.
#: TensorFlow's are named by their second word: Terraform's begin with TF_ too, and hold passwords.
CLEARED = re.compile(
    r"(KERAS|TORCH[A-Z]*)_.+|XLA_FLAGS|NVIDIA_TF32_OVERRIDE|PYTHON(OPTIMIZE|WARNINGS|DEVMODE)|TF2_BEHAVIOR|TF_CONFIG|"
    r"TF_(AUTO|CPP|CUBLAS|CUDNN|DETERMINISTIC|DISABLE|ENABLE|FORCE|FP16|GPU|LAYOUT|MKL|NUM|ONEDNN|USE|XLA)_.+"
)
#: Kept: where processors, memory and drivers are concerned, the machine's owner may have reasons.
KEPT = re.compile(
    r"(OMP|GOMP|KMP|MKL|OPENBLAS|PYTORCH|CUDA|CUBLAS|CUDNN|NCCL)_.+|LD_(LIBRARY_PATH|PRELOAD)|PYTHONUSERBASE"
)
#: Modules that Python runs before any program, where there are some.
CUSTOMISED = ("sitecustomize", "usercustomize")
#: Where the children find what was taken away, and what was kept of the user's and not set for the run.
VARIABLE = "SMOKE_SETTINGS"
KERAS = os.path.join(".keras", "keras.json")
#: What Keras itself writes into that file where there is none.
DEFAULTS = {"floatx": "float32", "epsilon": 1e-07, "backend": "tensorflow", "image_data_format": "channels_last"}


def take_away(environ: MutableMapping[str, str], home: str) -> None:
    """Let this process's children start without the user's settings, with ``home`` as their home."""
    names = ["HOME", *filter(CLEARED.fullmatch, environ)]
    kept = {name: value for name, value in environ.items() if KEPT.fullmatch(name)}
    environ[VARIABLE] = json.dumps([{name: environ[name] for name in names if name in environ}, kept])
    # What is installed for the user stays where it is.
    environ.setdefault("PYTHONUSERBASE", site.getuserbase())
    for name in names:
        environ.pop(name, None)
    environ["HOME"] = home


def taken() -> dict[str, str]:
    """{variable: value} of what was taken away that matters, and the user's own file of Keras by its path."""
    return of(_told()[0])


def of(environ: Mapping[str, str]) -> dict[str, str]:
    """The same of an environment from which nothing has been taken away."""
    found = {name: value for name, value in environ.items() if CLEARED.fullmatch(name)}
    home = environ.get("HOME", "")
    file = os.path.join(home, KERAS)
    if home and "KERAS_HOME" not in found and _changed(file):
        found[file] = _changed(file)
    return found


#: What of the kept may break a framework and has no cause of its own in the doctor's catalogue.
_TRIED = re.compile(r"(OMP|GOMP|KMP|MKL|OPENBLAS|PYTORCH|CUBLAS|CUDNN|NCCL)_.+")


def suspects(environ: Mapping[str, str]) -> dict[str, str]:
    """{variable, file or module: value} of whatever is set here that may break a framework.

    Not numbers of threads, and not the module that a distribution ships with its Python.
    """
    tried = {name: value for name, value in environ.items() if _TRIED.fullmatch(name) and not value.strip().isdigit()}
    library = os.path.realpath(os.path.dirname(os.__file__))
    ran = {name: os.path.realpath(file) for name, file in _customised().items()}
    ran = {name: file for name, file in ran.items() if os.path.dirname(file) != library}
    return dict(tried, **of(environ), **{name: file for name, file in ran.items() if not file.startswith("/etc/")})


def users(environ: Mapping[str, str]) -> Mapping[str, str]:
    """What of an environment its user may have set: in a run all that was taken away or kept, and none of the run's."""
    if VARIABLE not in environ:
        return environ
    away, left = json.loads(environ[VARIABLE])
    return dict(left, **away)


def without(environ: Mapping[str, str], left_out: str, home: str) -> dict[str, str]:
    """An environment but one variable, or one file of Keras, in whose place it looks below ``home``."""
    found = dict(environ)
    if left_out.endswith(KERAS):
        found["KERAS_HOME"] = os.path.join(home, ".keras")
    else:
        found.pop(left_out, None)
    return found


def given_back(left_out: str = "") -> dict[str, str]:
    """This process's environment with what was taken away, but one of ``taken()``."""
    return without(dict(os.environ, **_told()[0]), left_out, os.environ["HOME"])


def kept() -> dict[str, str]:
    """{variable or module: value or file} of what was left as it is; sitecustomize runs before anything else does."""
    return dict(_told()[1], **_customised())


def _customised() -> dict[str, str]:
    modules: list[tuple[str, Any]] = [(name, sys.modules.get(name)) for name in CUSTOMISED]
    return {name: str(getattr(module, "__file__", None)) for name, module in modules if module is not None}


def _told() -> list[dict[str, str]]:
    """[what was taken away, what was kept] of this process's parent."""
    found: list[dict[str, str]] = json.loads(os.environ.get(VARIABLE, "[{}, {}]"))
    return found


def _changed(path: str) -> str:
    """What a file of Keras says that Keras would not say itself, in words; "" where there is none or nothing."""
    try:
        with open(path, encoding="utf-8") as stream:
            said = json.load(stream)
        return ", ".join(f"{key} {said[key]}" for key in DEFAULTS if said.get(key, DEFAULTS[key]) != DEFAULTS[key])
    except FileNotFoundError:
        return ""
    except (OSError, ValueError, AttributeError) as problem:
        return f"cannot be read: {problem}"
