"""Device nodes: present, mode, numbers, and the errno of opening them.

ENOENT no node; EPERM the cgroup's device list; EACCES mode or SELinux; ENXIO no driver behind the node.
"""

from __future__ import annotations

import os
import re
import stat

from .tree import errno_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .tree import Tree
    from .witness import Notes

#: Looked at even where absent: that they are not there is the fact.
ALWAYS = ("/dev/nvidiactl", "/dev/nvidia0", "/dev/nvidia-uvm", "/dev/dxg")
_NODE = re.compile(r"^(nvidia(\d+|ctl|-uvm|-uvm-tools|-modeset|-nvswitch(ctl|\d+))|nvhost-.*|nvmap|nvgpu|dxg)$")
_LIMIT = 80


def present(tree: Tree) -> list[str]:
    """The NVIDIA nodes that there are; none is opened, so this returns however ill the driver is."""
    return ["/dev/" + name for name in tree.names("/dev") if _NODE.match(name)][:_LIMIT]


def look(tree: Tree, notes: Notes) -> dict[str, dict[str, Any]]:
    """{path: {present, mode, uid, gid, major, minor, open}} for every NVIDIA node and the WSL one."""
    found = {}
    for path in sorted(set(present(tree)) | set(ALWAYS)):
        notes.calling("open " + path)
        found[path] = _node(tree.at(path))
    return found


def capabilities(tree: Tree, notes: Notes) -> dict[str, str] | None:
    """{name: the errno of opening it, or ok} for MIG's and IMEX's own nodes, None where the driver has made none."""
    found = {}
    for folder in ("/dev/nvidia-caps", "/dev/nvidia-caps-imex-channels"):
        for name in tree.names(folder)[:_LIMIT]:
            notes.calling("open " + folder + "/" + name)
            try:
                os.close(os.open(tree.at(folder + "/" + name), os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK))
                found[name] = "ok"
            except OSError as error:
                found[name] = errno_name(error)
    return found or None


def _node(path: str) -> dict[str, Any]:
    try:
        status = os.stat(path)
    except OSError as error:
        return {"present": False, "open": errno_name(error)}
    facts = {
        "present": True,
        "char": stat.S_ISCHR(status.st_mode),
        "mode": f"{stat.S_IMODE(status.st_mode):04o}",
        "uid": status.st_uid,
        "gid": status.st_gid,
        "major": os.major(status.st_rdev),
        "minor": os.minor(status.st_rdev),
        "open": "ok",
    }
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK))
    except OSError as error:
        facts["open"] = errno_name(error)
    return facts


def majors(tree: Tree) -> dict[str, Any]:
    """Character device majors by driver name, from /proc/devices ("nvidia-frontend" counts as "nvidia")."""
    text, why = tree.read("/proc/devices")
    if text is None:
        return {"error": why}
    found: dict[str, Any] = {}
    for line in text.splitlines():
        if line.startswith("Block devices"):
            break
        match = re.match(r"^\s*(\d+)\s+(nvidia\S*)\s*$", line)
        if match:
            name = "nvidia" if match.group(2) == "nvidia-frontend" else match.group(2)
            found.setdefault(name, int(match.group(1)))
    return found
