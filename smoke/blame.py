"""What an import comes down to that raised: its cause in one line, and what to do about it."""

from __future__ import annotations

import importlib.util
import os
import re

from smoke.detect import wheels

#: Modules of the standard library that a Python lacks where it was built without what they need, or that distributions
#: put into a package of their own.
OPTIONAL = (
    "_bz2", "_ctypes", "_curses", "_dbm", "_gdbm", "_hashlib", "_lzma", "_multiprocessing", "_posixshmem", "_sqlite3",
    "_ssl", "_tkinter", "_uuid", "bz2", "ctypes", "curses", "dbm", "distutils", "ensurepip", "lzma", "readline",
    "sqlite3", "ssl", "tkinter", "uuid", "venv", "zlib",
)  # fmt: skip
#: What brings a module that is not called like its distribution.
BRINGS = {"pkg_resources": "'setuptools<82'", "yaml": "PyYAML", "PIL": "pillow", "google": "protobuf"}
_MISSING = re.compile(r"No module named '([\w.]+)'")


def cause(problem: BaseException) -> str:
    """The exception in one line, and the one at the bottom of its chain where that says something else."""
    deepest, seen = problem, [problem]
    while True:
        before = deepest.__cause__ or (None if deepest.__suppress_context__ else deepest.__context__)
        if before is None or before in seen:
            break
        deepest = before
        seen.append(before)
    first, last = _line(problem), _line(deepest)
    if deepest is problem or last.split(": ", 1)[-1] in first:
        return first
    return f"{first} (from {last})"


def _line(problem: BaseException) -> str:
    lines = [line.strip() for line in str(problem).splitlines() if line.strip()]
    # NumPy begins with advice of its own in many lines, and has the cause in the last.
    told = next((line for line in lines if line.startswith("Original error was:")), lines[0] if lines else "")
    return f"{type(problem).__name__}: {told[:300]}"


def advice(text: str) -> str:
    """What to do about an import that failed with this text: the smallest step that its words call for."""
    for entry in wheels.blamed(text):
        file, owner = entry["file"], entry["distribution"]
        if entry["noexec"]:
            mount = _mount(file)
            return f"{mount} is mounted noexec, so that no library in it can be loaded: put the installation elsewhere"
        if "too short" in entry["problem"] or "ELF" in entry["problem"] or "read file data" in entry["problem"]:
            what = f"pip install --force-reinstall --no-deps {owner}=={entry['version']}" if owner else "what it is of"
            return f"the file is damaged, install it anew: {what}"
    name = missing(text, whole=True)
    if name.split(".")[0] in OPTIONAL:
        return f"this Python was built, or packaged, without {name}: use one that has it, or build it anew with it"
    module = name.split(".")[0]
    if module and importlib.util.find_spec(module) is None:
        return f"it is not installed: pip install {BRINGS.get(module, module)}"
    return "install the framework anew, from its lock where there is one"


def missing(text: str, whole: bool = False) -> str:
    """The module that the text says is not there, its package unless ``whole``; "" where it says so of none."""
    match = _MISSING.search(text)
    name = match.group(1) if match else ""
    return name if whole else name.split(".")[0]


def _mount(path: str) -> str:
    """The mount point that a path is below."""
    path = os.path.realpath(path)
    while not os.path.ismount(path):
        path = os.path.dirname(path)
    return path
