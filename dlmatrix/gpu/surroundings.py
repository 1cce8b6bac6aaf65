"""What this machine is, for remedies: whose packages it has, and whether it is a virtual one."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from dlmatrix.gpu.diagnosis.remedies import FAMILIES
from dlmatrix.system.files import told_by


def system_of(root: Path) -> dict[str, Any]:
    """{"family": one of FAMILIES or None, "virtual": whether a hypervisor runs below, None where unknown}.

    Sources: os-release(5), ID and ID_LIKE; the flag "hypervisor" that the kernel shows in /proc/cpuinfo.
    """
    processors = told_by(root / "proc/cpuinfo")
    flags = re.search(r"^flags\s*:(.*)$", processors, re.M)
    return {"family": _family(root), "virtual": " hypervisor" in flags[1] if flags else None}


def _family(root: Path) -> str | None:
    text = told_by(root / "etc/os-release") or told_by(root / "usr/lib/os-release")
    told = {name: value.strip("\"'") for name, value in re.findall(r"^(ID|ID_LIKE)=(.*)$", text, re.M)}
    # ID first: Ubuntu is like Debian, and its packages are named otherwise.
    words = [told.get("ID", "").lower(), *told.get("ID_LIKE", "").lower().split()]
    for word in words:
        for family, names in FAMILIES.items():
            if word.startswith(names):
                return family
    return None
