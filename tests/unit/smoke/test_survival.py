"""A document is written, and the check imports has the cause, whatever the installation or the Python lacks."""

import json
import os
import struct
import subprocess
import sys

import pytest

from smoke import blame, validate


def written(checkout, folder, *arguments, **files):
    """(exit code, the document) of smoke with these modules first on the path."""
    for name, text in files.items():
        (folder / (name + ".py")).write_text(text)
    environ = dict(os.environ, PYTHONPATH=str(folder))
    command = [sys.executable, "-m", "smoke", "--framework", "torch", "--json", "-", "--throughput", "0", *arguments]
    done = subprocess.run(command, cwd=checkout, env=environ, capture_output=True, text=True, check=False)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def checks_of(found):
    return {check["id"]: check for check in found["checks"]}


TORCH = "__version__ = '2.13.0'"
BROKEN = """
try:
    raise ImportError("numpy/_core/_umath.so: file too short")
except ImportError as problem:
    raise ImportError("IMPORTANT: READ THIS\\n\\nMuch advice.\\n\\nOriginal error was: " + str(problem)) from problem
"""


@pytest.mark.parametrize(
    ("numpy", "cause"),
    [
        ("raise ModuleNotFoundError(\"No module named 'numpy'\")", "No module named 'numpy'"),
        (BROKEN, "ImportError: Original error was: numpy/_core/_umath.so: file too short"),
    ],
)
def test_without_a_numpy_that_works_imports_fails_with_the_cause(checkout, schema, tmp_path, numpy, cause):
    code, found = written(checkout, tmp_path, numpy=numpy, torch=TORCH)
    checks = checks_of(found)
    assert (code, validate.problems(found, schema)) == (1, [])
    assert checks["imports"]["outcome"] == "failed"
    assert cause in checks["imports"]["reason"]
    assert "torch itself can be imported" in checks["imports"]["reason"]
    assert {check["outcome"] for check in found["checks"] if check["kind"] == "smoke"} == {"skipped"}
    assert "see the check imports" in checks["conv2d"]["reason"]
    assert cause in checks["conv2d"]["reason"]


@pytest.mark.parametrize("module", ["_ctypes", "_sqlite3", "_lzma", "_bz2", "_ssl"])
def test_without_a_module_of_the_standard_library_there_is_a_document_and_the_cause(checkout, schema, tmp_path, module):
    lacking = f"import sys\nsys.modules[{module!r}] = None"
    public = module.lstrip("_")
    code, found = written(checkout, tmp_path, sitecustomize=lacking, torch=f"import {public}", numpy=TORCH)
    assert (code, validate.problems(found, schema)) == (1, [])
    reason = checks_of(found)["imports"]["reason"]
    assert f"{module}" in reason
    # A module set to None is worded otherwise than one that is not there.
    assert "import of _" in reason or f"packaged, without {module}" in reason


def test_a_numpy_that_kills_its_process_is_told_by_imports_with_the_damaged_file(checkout, schema, tmp_path):
    (tmp_path / "numpy-2.4.6.dist-info").mkdir()
    (tmp_path / "numpy-2.4.6.dist-info" / "RECORD").write_text("numpy/core.so,sha256=x,9000\n")
    (tmp_path / "numpy").mkdir()
    # One segment of which the file holds nothing.
    header = b"\x7fELF\x02\x01" + bytes(26) + struct.pack("<Q", 64) + bytes(14) + struct.pack("<HH", 56, 1) + bytes(6)
    segment = struct.pack("<IIQQQQQQ", 1, 5, 4096, 0, 0, 4096, 4096, 4096)
    (tmp_path / "numpy" / "core.so").write_bytes(header + segment)
    (tmp_path / "numpy" / "__init__.py").write_text("import os, signal; os.kill(os.getpid(), signal.SIGBUS)")
    code, found = written(checkout, tmp_path, torch=TORCH)
    check = checks_of(found)["imports"]
    assert (code, check["outcome"], validate.problems(found, schema)) == (14, "error", [])
    assert check["reason"].startswith("killed by SIGBUS")
    assert check["reason"].endswith("core.so is cut off: pip install --force-reinstall --no-deps numpy==2.4.6")


def test_the_supervisor_imports_no_check_and_nothing_that_a_python_may_lack(checkout):
    program = "import sys, smoke.__main__; print(*sys.modules)"
    # Without site, whose hooks may import anything.
    done = subprocess.run([sys.executable, "-S", "-c", program], cwd=checkout, stdout=subprocess.PIPE, check=True)
    loaded = done.stdout.decode().split()
    assert [name for name in loaded if name.startswith("smoke.checks.")] == []
    assert {name.split(".")[0] for name in loaded} & {*blame.OPTIONAL, "numpy", "torch", "tensorflow"} <= {
        "_bz2",
        "_hashlib",
        "_lzma",
        "bz2",
        "lzma",
        "zlib",
    }  # fmt: skip - shutil and hashlib do without


def raised(function, kind):
    with pytest.raises(kind) as told:
        function()
    return blame.cause(told.value)


def test_a_cause_is_one_line_and_has_what_brought_it_about():
    def chained():
        try:
            raise OSError("libx.so: undefined symbol: y")
        except OSError as problem:
            raise ImportError("cannot load\nmore words") from problem

    assert raised(chained, ImportError) == "ImportError: cannot load (from OSError: libx.so: undefined symbol: y)"
    assert raised(lambda: {}["a"], KeyError) == "KeyError: 'a'"
    assert raised(lambda: [].remove(""), ValueError) == "ValueError: list.remove(x): x not in list"


@pytest.mark.parametrize(
    ("text", "step"),
    [
        ("No module named '_ctypes'", "without _ctypes"),
        ("No module named 'sqlite3.dbapi2'", "without sqlite3.dbapi2"),
        ("No module named 'absent_module.part'", "pip install absent_module"),
        ("No module named 'json.absent'", "install the framework anew, from its lock where there is one"),
        ("/x/liby.so: file too short", "the file is damaged"),
        ("anything else", "install the framework anew, from its lock where there is one"),
    ],
)
def test_the_advice_is_the_smallest_step(text, step):
    assert step in blame.advice(text)


def test_a_folder_without_executable_files_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr(blame.wheels, "_noexec", lambda file: True)
    said = blame.advice(f"{tmp_path}/liby.so: failed to map segment from shared object")
    assert "is mounted noexec" in said
