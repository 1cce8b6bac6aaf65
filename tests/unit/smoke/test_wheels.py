"""Which files of a framework's wheels are not whole, and whose file it is that an error names."""

import os
import struct
import sys

import pytest

from smoke.detect import surroundings, wheels
from smoke.detect.tree import Tree

SEGMENT = struct.pack("<IIQQQQQQ", 1, 5, 0, 0, 0, 520, 520, 4096)
HEADER = b"\x7fELF\x02\x01\x01" + b"\0" * 9 + struct.pack("<HHIQQQIHHHHHH", 3, 62, 1, 0, 64, 0, 0, 64, 56, 1, 0, 0, 0)
WHOLE = HEADER + SEGMENT + b"\0" * 400


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Put a file of this content into a wheel of this name on sys.path; None leaves it out."""
    monkeypatch.setattr(sys, "path", [str(tmp_path)])

    def put(content, wheel="nvidia_cudnn_cu13-9.19.0.56", path="nvidia/cudnn/lib/libcudnn.so.9", recorded=520):
        target = tmp_path / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if content is not None:
            target.write_bytes(content)
        (tmp_path / (wheel + ".dist-info")).mkdir(exist_ok=True)
        with open(str(tmp_path / (wheel + ".dist-info") / "RECORD"), "a") as record:
            record.write(f"{path},sha256=x,{recorded}\n")
        return str(target)

    return put


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (WHOLE, None),
        (WHOLE + b"more", None),  # the size is not what is judged: strip and patchelf change it
        (b"", "empty"),
        (WHOLE[:-1], "cut off"),
        (WHOLE[:80], "cut off"),
        (WHOLE[:20], "cut off"),
        (b"version https://git-lfs.github.com/spec/v1\n", "not an ELF file"),
        (b"/* GNU ld script */ INPUT(libc.so.6)\n", None),
        (None, "missing"),
    ],
)
def test_a_shared_object_is_whole_or_not(install, content, problem):
    file = install(content)
    found = wheels.damaged()
    assert [entry["problem"] for entry in found] == ([problem] if problem else [])
    if problem:
        assert found[0]["file"] == file
        assert (found[0]["distribution"], found[0]["version"]) == ("nvidia-cudnn-cu13", "9.19.0.56")
        assert found[0]["size"] == (None if content is None else len(content))


def test_a_file_that_was_always_empty_and_a_wheel_of_somebody_else_are_no_matter(install):
    install(b"", recorded=0)
    install(b"", wheel="other-1.0", path="other/libother.so")
    assert wheels.damaged() == []


def test_the_file_of_an_error_is_traced_to_its_wheel(install):
    file = install(b"")
    assert wheels.blamed("ImportError: " + file + ": file too short") == [
        {
            "file": file,
            "problem": "file too short",
            "distribution": "nvidia-cudnn-cu13",
            "version": "9.19.0.56",
            "noexec": False,
            "there": file,
        }
    ]
    (missing,) = wheels.blamed("libcudnn.so.9: cannot open shared object file: No such file or directory")
    assert (missing["problem"], missing["distribution"]) == ("cannot open shared object file", "nvidia-cudnn-cu13")
    assert missing["there"] == file
    os.unlink(file)
    (gone,) = wheels.blamed("libcudnn.so.9: cannot open shared object file: No such file or directory")
    assert (gone["distribution"], gone["there"]) == ("nvidia-cudnn-cu13", None)


def test_a_file_outside_the_wheels_has_no_owner(install):
    install(WHOLE)
    (found,) = wheels.blamed("/usr/local/cuda/lib64/libcudnn.so.9: undefined symbol: x")
    assert (found["file"], found["distribution"]) == ("/usr/local/cuda/lib64/libcudnn.so.9", None)
    assert wheels.blamed("nothing about files") == []


def test_the_limits_of_this_process(tmp_path):
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/limits").write_text(
        "Limit                     Soft Limit           Hard Limit           Units     \n"
        "Max address space         12288000000          unlimited            bytes     \n"
        "Max open files            40                   524288               files     \n"
        "Max locked memory         garbage              8                    bytes     \n"
    )
    assert surroundings.limits(Tree(str(tmp_path))) == {
        "address_space": {"soft": 12288000000, "hard": None},
        "open_files": {"soft": 40, "hard": 524288},
    }
    assert {"address_space", "open_files", "locked_memory", "processes"} == set(surroundings.limits(Tree("/")))
