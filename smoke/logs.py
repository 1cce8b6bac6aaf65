"""Which lines of a framework's log are warnings or errors, and which of those are known."""

import json
import os
import re

from smoke.digits import DATA

#: The forms in which Python's logging, TensorFlow's and absl's C++ and PyTorch's C++ mark a warning or worse.
SUSPICIOUS = re.compile(
    r"""^(WARNING|ERROR|CRITICAL|FATAL)\b
    | ^\d{4}-\d\d-\d\d\ [\d:.]+:\ [WEF]\        # 2026-11-24 08:00:00.123: W tensorflow/core/…
    | ^[WEF]\d{4}\ [\d:.]+                       # E0000 00:00:1700000000.1 …
    | ^\[[WEF](\d{3,4})?\                           # [W1124 08:00:00 file.cpp:12]
    | ^\S+:\d+:\ \w*(Warning|Error):             # file.py:12: UserWarning:
    | ^\w*(Warning|Error):\ | ^Traceback\ """,
    re.X,
)


def known_lines():
    """The data file: a list of {"pattern", "frameworks", "reason"}."""
    with open(os.path.join(DATA, "known_log_lines.json")) as stream:
        return [dict(entry, pattern=re.compile(entry["pattern"])) for entry in json.load(stream)]


def judge(lines, framework):
    """({reason: number of lines}, [unknown lines])."""
    entries = [entry for entry in known_lines() if framework in entry["frameworks"]]
    known, unknown = {}, []
    for line in lines:
        if not SUSPICIOUS.search(line):
            continue
        reason = next((entry["reason"] for entry in entries if entry["pattern"].search(line)), None)
        if reason is None:
            unknown.append(line[:500])
        else:
            known[reason] = known.get(reason, 0) + 1
    return known, unknown
