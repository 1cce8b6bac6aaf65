"""Which lines of a framework's log are warnings or errors, and which of those are known."""

from __future__ import annotations

import json
import os
import re
from typing import Any

DATA = os.path.join(os.path.dirname(os.path.abspath(__file__)), "data")

#: The forms in which Python's logging, TensorFlow's and absl's C++ and PyTorch's C++ mark a warning or worse. A line of
#: INFO has none of them, whatever its words: "I …] failed to allocate 4.00G …: CUDA_ERROR_OUT_OF_MEMORY" is followed
#: by a smaller attempt, and by a line of its own where that fails too.
SUSPICIOUS = re.compile(
    r"""^(WARNING|ERROR|CRITICAL|FATAL)\b
    | ^\d{4}-\d\d-\d\d\ [\d:.]+:\ [WEF]\        # 2026-11-24 08:00:00.123: W tensorflow/core/…
    | ^[WEF]\ (tensorflow|external)/             # the same without its time
    | ^[WEF]\d{4}\ [\d:.]+                       # E0000 00:00:1700000000.1 …
    | ^(\[rank\d+\]:\ ?)?\[[WEF](\d{3,4})?\       # [W1124 08:00:00 file.cpp:12]
    | ^\S+:\d+:\ \w*(Warning|Error):             # file.py:12: UserWarning:
    | ^[\w.]*(Warning|Error):\ | ^Traceback\     # torch.OutOfMemoryError: …
    | ^(\[[\s\d.]+\]\ )?NVRM:\ Xid               # the kernel's, where a program repeats it
    """,
    re.X,
)
#: A warning whose text begins on the next line.
EMPTY = re.compile(r"(Warning|Error):\s*$")


def known_lines() -> list[dict[str, Any]]:
    """The data file: a list of {"pattern", "frameworks", "reason", "source"}, and of some entries

    "mark": true        the machine at this moment (little memory, a busy processor), and so nothing that the
                        installation is answerable for: shown, and no failure
    "without_gpu": true  only where no GPU was given to the run; where one was, the line is a failure
    """
    with open(os.path.join(DATA, "known_log_lines.json")) as stream:
        return [dict(entry, pattern=re.compile(entry["pattern"])) for entry in json.load(stream)]


def judge(lines: list[str], framework: str, gpu: bool = False) -> tuple[dict[str, int], dict[str, int], list[str]]:
    """({reason: number of lines}, {reason of a mark: number of lines}, [unknown lines]).

    ``gpu`` says whether the run was given a GPU.
    """
    entries = [entry for entry in known_lines() if framework in entry["frameworks"]]
    entries = [entry for entry in entries if not (gpu and entry.get("without_gpu"))]
    known: dict[str, int] = {}
    marks: dict[str, int] = {}
    unknown = []
    for index, line in enumerate(lines):
        if not SUSPICIOUS.search(line):
            continue
        after = lines[index + 1 : index + 4] if EMPTY.search(line) else []
        text = " ".join([line] + [more.strip() for more in after])
        entry = next((entry for entry in entries if entry["pattern"].search(text)), None)
        if entry is None:
            unknown.append(text[:500])
        else:
            found = marks if entry.get("mark") else known
            found[entry["reason"]] = found.get(entry["reason"], 0) + 1
    return known, marks, unknown
