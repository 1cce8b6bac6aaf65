"""What several checks ask about GPUs: the witnesses' counts, architectures, library versions and loaded files."""

import ctypes
import glob
import os
import re
import sys

from smoke.context import SkipError


def facts(context):
    """The detection facts, collected once."""

    def collect():
        from smoke import detect

        return detect.collect(framework=context.framework, here=context.expect.get("variant") == "cpu")

    return context.once("detection", collect)


def require(context):
    """SkipError unless this run was promised a GPU."""
    if not context.want("gpu"):
        raise SkipError("no GPU was given to this run; on a machine with one, run the gpu env there")


def counts(found):
    """{witness: number of GPUs it sees}; None where the witness could not count."""
    return {name: (found.get(name) or {}).get("count") for name in ("nvml", "cuda", "framework")}


def capabilities(found):
    """{index: (major, minor)} by the CUDA driver."""
    devices = (found.get("cuda") or {}).get("devices") or []
    return {d["index"]: tuple(d["compute_capability"]) for d in devices if d.get("compute_capability")}


def runs_on(capability, architectures):
    """How a wheel built for ``architectures`` (sm_86, compute_90, sm_90a, …) runs on a capability: sass, ptx or None.

    Machine code runs on the same major with an equal or later minor, PTX on anything as new or newer. Code for an
    architecture with an "a" runs on exactly that one, with an "f" on its family: the same major, an equal or later
    minor (CUDA C++ Programming Guide, compute capabilities). The host side holds the same rule, and one table of
    cases both.
    """
    how = None
    for architecture in architectures:
        match = re.match(r"^(sm|compute)_(\d{1,3})(\d)([af]?)$", architecture)
        if not match:
            continue
        kind, built, narrower = match.group(1), (int(match.group(2)), int(match.group(3))), match.group(4)
        if narrower == "a":
            fits = built == capability
        elif narrower == "f" or kind == "sm":
            fits = built[0] == capability[0] and built <= capability
        else:
            fits = built <= capability
        if fits and kind == "sm":
            return "sass"
        how = "ptx" if fits else how
    return how


def cudnn_version(number):
    """(major, minor, patch) of cudnnGetVersion(), which counts differently from 9 on: 8902 is 8.9.2, 90100 is 9.1.0."""
    base = 10000 if number >= 90000 else 1000
    return number // base, number % base // 100, number % 100


def libraries(stem):
    """Files of a CUDA library: those this process has loaded, then those of the nvidia wheels."""
    found = []
    with open("/proc/self/maps") as stream:
        for line in stream:
            path = line.rstrip("\n").partition("/")[2]
            if os.path.basename(path).startswith(stem + ".so"):
                found.append("/" + path)
    for folder in sys.path:
        # nvidia/<library>/lib up to CUDA 12, nvidia/cu13/lib from 13 on.
        found += sorted(glob.glob(os.path.join(folder, "nvidia", "*", "lib", stem + ".so*")))
    return list(dict.fromkeys(os.path.realpath(path) for path in found))


def opened(path):
    """The library, or the loader's own words."""
    try:
        return ctypes.CDLL(path), None
    except OSError as problem:
        return None, str(problem)
