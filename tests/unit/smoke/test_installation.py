"""The checks that read what distributions say of themselves: requirements, and the programs that they bring."""

import os
import sys
import textwrap

import pytest

from smoke import distributions, programs
from smoke.checks import programs as programs_check
from smoke.checks import requirements
from tests.unit.smoke.facts import context


def distribution(folder, name, version, *requires, scripts=""):
    place = folder / f"{name}-{version}.dist-info"
    place.mkdir(parents=True)
    lines = [f"Requires-Dist: {line}" for line in requires]
    (place / "METADATA").write_text("Name: {}\n{}\n\nRequires-Dist: in-the-text\n".format(name, "\n".join(lines)))
    (place / "entry_points.txt").write_text(f"[other]\nx = a:b\n\n[console_scripts]\n{scripts}\n\n[more]\ny = c:d\n")


def judged(folder, monkeypatch, name="torch"):
    monkeypatch.setattr(sys, "path", [str(folder)])
    return requirements.run(context({"distribution": name}, distributions.installed()))


TOOLKIT = [
    'nvidia-cublas==13.1.*; sys_platform == "linux" and extra == "cublas"',
    "nvidia-cufft==12.0.*; extra == 'cufft'",
]


def test_extras_are_followed_and_their_libraries_looked_for(tmp_path, monkeypatch):
    distribution(tmp_path, "torch", "2.13.0", 'cuda-toolkit[cublas]==13.0.3; platform_system == "Linux"', "filelock")
    distribution(tmp_path, "cuda_toolkit", "13.0.3", *TOOLKIT)
    distribution(tmp_path, "filelock", "3.20")
    found = judged(tmp_path, monkeypatch)
    assert found.outcome == "failed"
    assert found.found == ["nvidia-cublas==13.1.* (of cuda-toolkit) is missing"]
    distribution(tmp_path, "nvidia_cublas", "13.1.1.3")
    assert judged(tmp_path, monkeypatch).found == "3 requirements of 4 distributions"


@pytest.mark.parametrize(
    ("name", "requires", "wrong"),
    [
        (
            "torchvision",
            "torch (==2.6.0)",
            "torch (==2.6.0) (of torchvision) is required, 2.13.0 is installed",
        ),
        ("numpy", "filelock<3", "filelock<3 (of numpy) is required, 3.20 is installed"),
        ("sympy", "mpmath <1.4,>=1.1.0", "mpmath <1.4,>=1.1.0 (of sympy) is required, 1.4.1 is installed"),
    ],
)
def test_ranges_of_others_are_judged(tmp_path, monkeypatch, name, requires, wrong):
    distribution(tmp_path, "torch", "2.13.0", "filelock", 'sympy; python_version > "3"')
    distribution(tmp_path, "filelock", "3.20")
    distribution(tmp_path, "mpmath", "1.4.1")
    if name != "sympy":
        distribution(tmp_path, "sympy", "1.14", "mpmath")
    assert judged(tmp_path, monkeypatch).outcome == ("passed" if name != "sympy" else "failed")
    distribution(tmp_path, name, "1.0", requires)
    found = judged(tmp_path, monkeypatch)
    assert (found.outcome, found.found) == ("failed", [wrong])


def test_what_is_no_matter_of_the_framework_s_is_named_and_fails_nothing(tmp_path, monkeypatch):
    distribution(tmp_path, "torch", "2.13.0")
    distribution(tmp_path, "pandas", "2.0", "pytz>=2020", "odd (>=1.0.*)")
    found = judged(tmp_path, monkeypatch)
    assert found.outcome == "passed"
    assert found.data == {"elsewhere": ["pytz>=2020 (of pandas) is missing"], "unread": ["pandas: odd (>=1.0.*)"]}
    assert "not the framework's: pytz" in found.found


def test_a_framework_without_metadata_is_no_pass(tmp_path, monkeypatch):
    assert judged(tmp_path, monkeypatch).outcome == "failed"


def started(tmp_path, monkeypatch, requires=(), **texts):
    """The check's answer to programs of these texts, each a module with a main()."""
    for name, text in texts.items():
        (tmp_path / f"prog_{name}.py").write_text(textwrap.dedent(text))
    scripts = "\n".join(f"{name} = prog_{name}:main" for name in texts)
    distribution(tmp_path, "torch", "2.13.0", *requires, scripts=scripts)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(distributions, "folders", lambda path=None: FOLDERS([str(tmp_path)]))
    made = context({"distribution": "torch"})
    made.folder = str(tmp_path)
    return programs_check.run(made)


FOLDERS = distributions.folders
HELP = """
    import sys
    def main():
        assert sys.argv[1:] == ["--help"]
        print("usage"); raise SystemExit({})
"""


def test_programs_that_answer_pass_and_so_do_those_that_do_not_know_the_question(tmp_path, monkeypatch):
    found = started(
        tmp_path, monkeypatch, good=HELP.format(0), other=HELP.format(2),
        odd="def main():\n    open('--help')", back="def main():\n    return 3", loud="def main():\n    exit('what?')",
    )  # fmt: skip
    assert (found.outcome, found.found) == ("passed", "5 programs"), found.reason
    assert found.data["late"] == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("import absent_module", "No module named 'absent_module'; it is not installed: pip install absent_module"),
        ("import pkg_resources_gone as pkg_resources", "pkg_resources_gone"),
        ("def main():\n    from json import absent", "ImportError: cannot import name 'absent'"),
        ("import json\ndef main():\n    json.absent()", "AttributeError: module 'json' has no attribute 'absent'"),
        ("raise TypeError('Descriptors cannot be created directly')", "TypeError: Descriptors cannot"),
        ("import os\ndef main():\n    os.kill(os.getpid(), 9)", "killed by SIGKILL"),
        ("main = None\ndel main", "has no attribute 'main'"),
    ],
)
def test_a_program_that_lacks_something_or_crashes_fails(tmp_path, monkeypatch, text, words):
    found = started(tmp_path, monkeypatch, good=HELP.format(0), bad=text)
    assert found.outcome == "failed"
    assert len(found.found) == 1
    assert found.found[0].startswith("bad: ")
    assert words in found.reason


def test_a_program_of_an_extra_that_nobody_asked_for_fails_nothing(tmp_path, monkeypatch):
    needs = ['absent-module>=6; extra == "tool"', 'absentmodule; extra == "tool"']
    found = started(tmp_path, monkeypatch, needs, tool="import absentmodule")
    assert (found.outcome, found.data["of an extra"]) == ("passed", ["tool"])


def test_a_program_that_does_not_end_is_named(tmp_path):
    (tmp_path / "prog_slow.py").write_text("import signal\ndef main():\n    signal.pause()")
    (tmp_path / "prog_bad.py").write_text("import absent_module")
    sys.path.insert(0, str(tmp_path))
    try:
        wrong, late = programs.start({"slow": "prog_slow:main", "bad": "prog_bad:main"}, str(tmp_path), 1.0)
    finally:
        sys.path.remove(str(tmp_path))
    assert (list(wrong), late) == (["bad"], ["slow"])


def test_the_script_of_an_environment_that_was_moved(tmp_path):
    (tmp_path / "tensorboard").write_text("#!/gone/venv/bin/python\nimport x\n")
    (tmp_path / "torchrun").write_text(f"#!{sys.executable}\n")
    (tmp_path / "other").write_bytes(b"\x7fELF")
    told = [programs_check.moved(name, str(tmp_path)) for name in ("tensorboard", "torchrun", "other", "absent")]
    assert "names /gone/venv/bin/python, which is not there" in told[0]
    assert told[1:] == [""] * 3
    assert os.listdir(str(tmp_path))


def test_what_a_package_carries_for_itself_is_not_installed(tmp_path):
    vendor = tmp_path / "setuptools" / "_vendor"
    for folder in (tmp_path, vendor):
        (folder / "packaging-24.0.dist-info").mkdir(parents=True)
    (vendor / "wheel-0.1.dist-info").mkdir()
    found = distributions.installed([str(tmp_path), str(vendor)])
    assert found == {"packaging": "24.0"}


def test_what_the_framework_needs_and_has_not_is_told_extras_followed(tmp_path):
    distribution(tmp_path, "tensorflow", "2.7.1", "protobuf<3.20", "keras[fast]==2.7.0", "gone", "unused; extra == 'x'")
    distribution(tmp_path, "protobuf", "4.21.0")
    distribution(tmp_path, "keras", "2.7.0", "quick>=2; extra == 'fast'")
    distribution(tmp_path, "quick", "1.0")
    distribution(tmp_path, "other", "1.0", "protobuf<3")
    assert distributions.unmet("tensorflow", [str(tmp_path)]) == [
        "protobuf<3.20 (of tensorflow) is required, 4.21.0 is installed",
        "gone (of tensorflow) is missing",
        "quick>=2 (of keras) is required, 1.0 is installed",
    ]
