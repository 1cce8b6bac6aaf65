"""The installed packages of a scenario: a framework that gives its answers, and the wheels whose files it names."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def install(facts: Mapping[str, Any], packages: Path) -> None:
    """A package of the framework's name that gives these answers, and the metadata of installed distributions."""
    package = "torch" if facts["name"] == "torch" else "tensorflow"
    packages.mkdir()
    (packages / f"{package}.py").write_text((Path(__file__).parent / f"fake_{package}.py").read_text(encoding="utf-8"))
    (packages / "lab_framework.json").write_text(json.dumps(dict(facts)))
    for name, version in {package: facts.get("version", "0"), **facts.get("distributions", {})}.items():
        (packages / f"{name.replace('-', '_')}-{version.replace('-', '_')}.dist-info").mkdir()
    for name, files in facts.get("wheels", {}).items():
        _wheel(packages, name, files)
    # Distributions in a folder behind the first.
    for name, version in facts.get("behind", {}).items():
        later = packages / "behind"
        (later / f"{name}-{version}.dist-info").mkdir(parents=True)
        if name == "torch" and "cpu" not in version:
            (later / "torch" / "lib").mkdir(parents=True)
            (later / "torch" / "lib" / "libtorch_cuda.so").write_bytes(_elf64())


def _wheel(packages: Path, name: str, files: Mapping[str, str]) -> None:
    """The files of an installed wheel, each whole, empty, cut off or missing, and its RECORD of them."""
    contents = {"whole": _elf64(), "empty": b"", "cut": _elf64()[:80]}
    for path, state in files.items():
        target = packages / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if state in contents:
            target.write_bytes(contents[state])
    record = "".join(f"{path},sha256=x,{len(_elf64())}\n" for path in files)
    folder = packages / f"{name}.dist-info"
    folder.mkdir(exist_ok=True)
    (folder / "RECORD").write_text(record, encoding="utf-8")


def _elf64() -> bytes:
    """A shared object with one segment that ends with the file."""
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, 0, 0, 120 + 400, 120 + 400, 4096)
    return b"\x7fELF\x02\x01\x01" + b"\0" * 9 + struct.pack(
        "<HHIQQQIHHHHHH", 3, 62, 1, 0, 64, 0, 0, 64, 56, 1, 0, 0, 0
    ) + segment + b"\0" * 400  # fmt: skip
