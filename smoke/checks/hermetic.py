"""The container is closed."""

from __future__ import annotations

import os
from typing import Any

from smoke.context import Context, Result, SkipError, failed, passed

ID = "hermetic"
KIND = "verify"
ASSERTS = "no network but loopback, a read-only root, no capability, no new privileges, a user that is not root"
APPLIES: dict[str, tuple[str, ...]] = {}


def observe(root: str = "/") -> dict[str, Any]:
    """The five facts, from /proc below ``root``; /sys may be that of the machine, network interfaces and all."""
    with open(os.path.join(root, "proc/self/status")) as stream:
        status = dict(line.rstrip("\n").split(":\t", 1) for line in stream if ":\t" in line)
    with open(os.path.join(root, "proc/self/mounts")) as stream:
        mounts = [line.split() for line in stream]
    with open(os.path.join(root, "proc/self/net/dev")) as stream:
        interfaces = [line.partition(":")[0].strip() for line in stream if ":" in line]
    # The last mount on a path is the one that counts.
    options = [words[3].split(",") for words in mounts if words[1] == "/"][-1]
    return {
        "network": sorted(set(interfaces) - {"lo"}),
        "read-only root": "ro" in options,
        "capabilities": int(status["CapEff"], 16),
        "no new privileges": status.get("NoNewPrivs") == "1",
        "user": int(status["Uid"].split()[1]),
    }


def judge(found: dict[str, Any]) -> list[str]:
    """What of the facts is open."""
    return [
        name
        for name, bad in (
            ("a network interface", found["network"]),
            ("a writable root", not found["read-only root"]),
            ("capabilities", found["capabilities"]),
            ("new privileges", not found["no new privileges"]),
            ("the user root", found["user"] == 0),
        )
        if bad
    ]


def run(context: Context) -> Result:
    """Look, and name what is open."""
    if not context.expect.get("hermetic"):
        raise SkipError("only a container is closed; this run is not said to be in one")
    found = observe()
    wrong = judge(found)
    if wrong:
        return failed("the container has " + ", ".join(wrong) + "; run it as plan prints it", [], found)
    return passed(found)
