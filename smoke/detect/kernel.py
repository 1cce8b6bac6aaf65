"""The kernel's testimony: PCI, the NVIDIA module, device nodes, the kernel log, and what surrounds the process."""

from __future__ import annotations

import os
import re
import stat

from . import nodes, surroundings
from .tree import Tree, clip, errno_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .witness import Notes

_VERSION = re.compile(r"Kernel Module(?: for \S+)?\s+(\d+\.\d+(?:\.\d+)?)")
_LOG = re.compile(
    r"NVRM|Xid|nvidia|nouveau|PM: suspend (entry|exit)|Key was rejected|lockdown: .*module|fabricmanager"
    r"|Loading of .*module.* is rejected|unavailable key|gsp_\w+\.bin",
    re.I,
)
#: What tells of a fault, and must not be driven out by a flood of other lines.
_TELLING = re.compile(
    r"Xid|RmInitAdapter|WPR2|gsp_|firmware|is rejected|Key was rejected|unavailable key|lockdown|mismatch|fallen off"
    r"|DENIED|ignore this GPU|Legacy|not supported by open|requires use of|PM: suspend",
    re.I,
)
_KEPT_TELLING, _KEPT_OTHERS = 60, 40
_SECURE_BOOT = "/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"


def observe(notes: Notes, root: str, framework: str | None = None) -> None:
    """Put every kernel-side fact into `notes`; `root` is the file system to look at."""
    tree = Tree(root)
    notes.put("release", _release(tree))
    notes.put("machine", os.uname().machine)
    notes.put("user", {"uid": os.getuid(), "gid": os.getgid(), "groups": sorted(os.getgroups()),
                       "mapped": _mapped(tree)})  # fmt: skip
    notes.put("cpu", cpu(tree))
    notes.put("wsl", "microsoft" in (tree.text("/proc/sys/kernel/osrelease") or "").lower())
    notes.put("tegra", _tegra(tree))
    notes.put("pci", pci(tree))
    notes.put("modules", modules(tree))
    notes.put("module_files", module_files(tree))
    notes.put("secure_boot", _secure_boot(tree))
    surroundings.look(tree, notes)
    notes.put("majors", nodes.majors(tree))
    notes.put("nodes", nodes.look(tree, notes))
    notes.put("caps", nodes.capabilities(tree, notes))
    notes.calling("read /dev/kmsg")
    notes.put("log", log(tree))


def _release(tree: Tree) -> str:
    return tree.text("/proc/sys/kernel/osrelease") or os.uname().release


#: What wheels are compiled for, in the order in which processors got it.
_INSTRUCTIONS = ("sse4_1", "sse4_2", "avx", "avx2", "fma")


def cpu(tree: Tree) -> dict[str, Any]:
    """The processor's name and which of the instructions that wheels use it lacks, None of either where unknown."""
    text = tree.text("/proc/cpuinfo") or ""
    model, flags = (re.search(rf"^{word}\s*: (.*)$", text, re.M) for word in ("model name", "flags"))
    have = flags.group(1).split() if flags else []
    return {"model": clip(model.group(1), 80) if model else None,
            "lacks": [word for word in _INSTRUCTIONS if word not in have] if have else None}  # fmt: skip


def _mapped(tree: Tree) -> bool | None:
    """Whether users here are others outside (a user namespace, as rootless engines make one), None where unknown."""
    text = tree.text("/proc/self/uid_map")
    return None if not text else text.split() != ["0", "0", "4294967295"]


def _tegra(tree: Tree) -> bool:
    return tree.exists("/etc/nv_tegra_release") or "tegra" in (tree.text("/proc/device-tree/compatible") or "")


def pci(tree: Tree) -> dict[str, Any]:
    """NVIDIA functions of class 03 (display, 3D) and NVSwitches (class 0680) with the driver bound to each."""
    base = "/sys/bus/pci/devices"
    why = tree.why_not(base)
    if why:
        # A machine with sysfs but no PCI bus has no PCI GPU; a sysfs that is not mounted says nothing.
        return {"readable": why == "ENOENT" and tree.why_not("/sys/devices") is None, "error": why, "gpus": []}
    gpus, switches = [], 0
    for name in tree.names(base):
        where = base + "/" + name
        kind = tree.text(where + "/class") or ""
        if (tree.text(where + "/vendor") or "").lower() != "0x10de":
            continue
        if kind.startswith("0x0680"):
            switches += 1
        if not kind.startswith("0x03"):
            continue
        gpus.append(
            {
                "address": clip(name, 40),
                "class": clip(kind, 20),
                "device": clip(tree.text(where + "/device") or "", 20).lower(),
                "driver": tree.link_name(where + "/driver"),
            }
        )
    return {"readable": True, "error": None, "gpus": gpus[:64], "nvswitches": switches}


def modules(tree: Tree) -> dict[str, Any]:
    """The NVIDIA module that is loaded: its version and its flavour (open or proprietary)."""
    text, why = tree.read("/proc/driver/nvidia/version")
    match = _VERSION.search(text or "")
    version = tree.text("/sys/module/nvidia/version")
    return {
        "version": clip(version, 40) if version else (match.group(1) if match else None),
        "open": None if text is None else "Open Kernel Module" in text,
        "text": clip(text.splitlines()[0]) if text and text.strip() else None,
        "error": why,
        "hmm_disabled": {"Y": True, "1": True, "N": False, "0": False}.get(
            tree.text("/sys/module/nvidia_uvm/parameters/uvm_disable_hmm") or ""
        ),
        "loaded": [
            name for name in ("nvidia", "nvidia_uvm", "nouveau", "vfio_pci") if tree.exists("/sys/module/" + name)
        ],
    }


#: Where distributions and dkms put nvidia.ko; a full walk of /lib/modules costs seconds on a slow disk.
_MODULE_FOLDERS = (
    "updates/dkms", "updates", "extra", "extra/nvidia", "extramodules", "weak-updates", "weak-updates/nvidia", "nvidia",
    "kernel/drivers/video", "kernel/drivers/video/nvidia", "kernel/drivers/char/drm", "kernel/nvidia",
)  # fmt: skip


def module_files(tree: Tree) -> dict[str, Any]:
    """Kernel releases that have an nvidia.ko on disk: {release: path}, and {"error": …} where none can be listed."""
    base = "/lib/modules"
    why = tree.why_not(base)
    if why:
        return {"error": why, "kernels": {}}
    found = {}
    for release in tree.names(base)[:40]:
        here = base + "/" + release
        folders = [here + "/" + place for place in _MODULE_FOLDERS]
        folders += [here + "/kernel/" + name for name in tree.names(here + "/kernel") if name.startswith("nvidia")]
        for folder in folders:
            names = [n for n in tree.names(folder) if re.match(r"nvidia(-current)?\.ko(\.\w+)?$", n)]
            if names:
                found[release] = folder + "/" + names[0]
                break
    return {"error": None, "kernels": found}


def _secure_boot(tree: Tree) -> bool | None:
    """True, False, or None where the firmware does not tell (no EFI, or not readable)."""
    try:
        with open(tree.at(_SECURE_BOOT), "rb") as stream:
            return stream.read(16)[-1:] == b"\x01"
    except OSError:
        return None


def log(tree: Tree) -> dict[str, Any]:
    """The last lines of the kernel log that speak of NVIDIA, suspend or rejected modules."""
    why = None
    for path in ("/dev/kmsg", "/var/log/kern.log", "/var/log/messages", "/var/log/dmesg"):
        lines, error = _lines(tree.at(path))
        if lines is not None:
            return {"source": path, "error": None, "lines": _kept([line for line in lines if _LOG.search(line)])}
        why = why or error
    return {"source": None, "error": why, "lines": []}


def _kept(lines: list[str]) -> list[str]:
    """The last of the lines that tell of a fault, the first of each Xid among them, and the last of the others."""
    telling = [index for index, line in enumerate(lines) if _TELLING.search(line)]
    others = [index for index, line in enumerate(lines) if not _TELLING.search(line)]
    first: dict[Any, int] = {}
    for index in telling:
        match = re.search(r"Xid \((\S+)\): (\d+)", lines[index])
        first.setdefault(match.groups() if match else None, index)
    chosen = set(list(first.values())[:_KEPT_OTHERS] + telling[-_KEPT_TELLING:] + others[-_KEPT_OTHERS:])
    return [clip(lines[index], 300) for index in sorted(chosen)]


def _lines(path: str, limit: int = 4 * 1024 * 1024) -> tuple[list[str] | None, str | None]:
    # /dev/kmsg gives one record per read and EAGAIN at the end; a file gives larger pieces and then b"".
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        return None, errno_name(error)
    pieces, size = [], 0
    try:
        status = os.fstat(handle)
        if stat.S_ISREG(status.st_mode) and status.st_size > limit:
            os.lseek(handle, -limit, os.SEEK_END)  # the newest lines stand last
        while size < limit:
            try:
                piece = os.read(handle, 8192)
            except BlockingIOError:
                break
            except BrokenPipeError:  # the record was overwritten while reading: go on with the next
                continue
            if not piece:
                break
            pieces.append(piece)
            size += len(piece)
    except OSError as error:
        return None, errno_name(error)
    finally:
        os.close(handle)
    return b"".join(pieces).decode("utf-8", "replace").splitlines(), None
