"""Whether a step printed what its guide says: blanks, quotes, log lines and what changes from run to run apart."""

from __future__ import annotations

import builtins
import re

#: Lines that frameworks and pip write beside a program's own.
_LOG = re.compile(
    r"^(?:\d{4}-\d\d-\d\d[ T]\d\d:|[WIEF]\d{4} |WARNING|INFO|\[notice\]|DEBUG|To enable the following|Skipping|oneDNN"
    r"|.*(?:Warning: |cuda_|cudart|computation_placer|cpu_feature_guard|TF-TRT|libcu|XLA|absl::|rebuild TensorFlow))"
)
#: What no two runs or machines have in common.
_CHANGES = re.compile(
    r"\d+\.\d+\.\d+|\d+:\d\d|\b(?:ms|us|s)/(?:step|epoch)|0x[0-9a-f]{4,}|\bat 0x|/home/"
    r"|/usr/|[A-Z]:\\|loss|acc(?:uracy)?\b|\.\.\.|…"
    r"|ETA|version|device:|GPU|random|seed|\d{4}-\d\d-\d\d|[<\[{]\w+[>\]}]$"
)
#: What a guide says behind what it shows.
_REMARK = re.compile(r"(?:^|\s+)#\s.*$", re.M)
_DRAWN = re.compile(r"#.*\b(?:may|might|will|can) (?:vary|differ)|#.*\b(?:random|varies|differs|depends)|\+SKIP", re.I)
_FLOAT = re.compile(r"-?\d+\.\d+(?:e[-+]?\d+)?")


#: What a program asks whose answer is another at every moment.
VARIES = re.compile(
    r"\b(?:id|hash|dir)\(|\btime\.|perf_counter|\bnow\(|today\(|getpid|uuid|rand|shuffle|integers\(|choice\(|tempfile"
    r"|gethostname|getsize|__version__|sys\.version|platform\.|\bempty(?:_like)?\(|\bTensor\(\s*[\w.]|data_ptr|\bnew\(\d"
    r"|(?m:^(?:uname|lscpu|lsb_release|hostname|nproc|whoami)\b)"
)


def disagreement(expected: str, printed: str) -> str:
    """What a step should have printed and did not, in one line; empty where it did, or where nobody can tell.

    Only what is short and the same in every run is held against it: a healthy guide is not to be called broken.
    """
    if _DRAWN.search(expected):
        return ""
    wanted = "\n".join(
        line for line in _REMARK.sub("", expected).splitlines() if line.strip() and not _LOG.match(line.strip())
    )
    if not wanted.strip() or len(wanted) > 400 or _CHANGES.search(wanted):
        return ""
    if _bare(wanted) in _bare(printed):
        return ""
    if _FLOAT.search(wanted):
        return ""  # rounded or drawn otherwise, it may be
    if not re.search(r"\d|True|False", wanted) and not wanted.isascii():
        return ""  # words about the output
    return f"the guide says that it prints {' '.join(wanted.split())[:120]!r}"


def raises(expected: str | None) -> str:
    """The error that a guide shows a step to end in; empty where it shows none."""
    found = re.search(
        r"^Traceback \(most recent call last\)(?s:.*?)^(?:[\w.]+\.)?([A-Z]\w*)(?::|$)", expected or "", re.M
    )
    return found[1] if found else ""


def ends_in(promised: str, said: str) -> bool:
    """Whether what a step said has the error that its guide shows, or what newer Pythons call that one."""
    kind = getattr(builtins, promised, None)
    raised = (getattr(builtins, name, None) for name in re.findall(r"^([A-Z]\w*)(?::|$)", said, re.M))
    finer = kind in _FINER and any(isinstance(one, type) and issubclass(one, kind) for one in raised)
    return finer or promised in said


#: Errors that became kinds of errors: IOError and EnvironmentError (PEP 3151) and ImportError (Python 3.6).
_FINER = (OSError, ImportError)


def _bare(text: str) -> str:
    """A text less blanks, quotes, commas, and what Python and NumPy write around a value in one version alone."""
    text = re.sub(r"\b[bu](?=['\"])|<BLANKLINE>|,?\s*\bdtype=[\w.]+", "", text)
    text = re.sub(r"\bnp\.(?:str_|bytes_|u?int\d*|float\d+|bool_?)\(([^()]*)\)", r"\1", text)
    text = re.sub(r"\bnp\.(True|False)_", r"\1", text)
    text = re.sub(r"\b(\d+)L\b", r"\1", text)
    return re.sub(r"[\s'\",]+", "", text)
