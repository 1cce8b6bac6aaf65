"""What this machine is, for remedies: whose packages it has, and whether it is a virtual one."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from dlmatrix.gpu.diagnosis.remedies import FAMILIES
from dlmatrix.system.files import told_by


def system_of(root: Path) -> dict[str, Any]:
    """What remedies depend on, None where unknown.

    {"family": one of FAMILIES, "virtual": whether a hypervisor runs below, "bbswitch": the address of a laptop's second
    GPU and ON or OFF, "toolkit_root": the folder in which NVIDIA's container toolkit looks for the driver, "preload":
    the libraries that every program loads first}. Sources: os-release(5), ID and ID_LIKE; the flag "hypervisor" in
    /proc/cpuinfo; bbswitch's README; the toolkit's config.toml; ld.so(8), /etc/ld.so.preload.
    """
    processors = told_by(root / "proc/cpuinfo")
    flags = re.search(r"^flags\s*:(.*)$", processors, re.M)
    switch = re.match(r"[0-9a-f:.]{7,20} (?:ON|OFF)", told_by(root / "proc/acpi/bbswitch"))
    toolkit = told_by(root / "etc/nvidia-container-runtime/config.toml")
    folder = re.search(r'^\s*root\s*=\s*"([^"\n]{1,200})"', toolkit, re.M)
    return {
        "family": _family(root),
        "virtual": " hypervisor" in flags[1] if flags else None,
        "bbswitch": switch[0] if switch else None,
        "toolkit_root": folder[1] if folder else None,
        "preload": " ".join(told_by(root / "etc/ld.so.preload").split())[:400] or None,
    }


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
