"""Predicates on the state of each GPU (rows 46 to 52, 78 to 81, 87)."""

from __future__ import annotations

import re

from dlmatrix.gpu.diagnosis.view import Case, Match, View, found, listing, predicate

#: Hardware slowdown 0x8, software thermal 0x20, hardware thermal 0x40, power brake 0x80 (nvml.h).
_FAULTY_REASONS = 0xE8
#: Percent of the time with a kernel running from which a GPU counts as under load.
BUSY = 20
#: A GPU with less than this part of its memory free counts as full.
FULL = 0.10
#: What CUDA says where no context can be had, in the words of old and new versions.
_OFF_THE_BUS = r"Xid.*: 79\b|fallen off the bus|nvidia [\da-f:.]+: .*hange power state from D3cold to D0"
BUSY_WORDS = r"CUDA-capable device(?:s are|\(s\) is/are) busy or unavailable"


def _answering(view: View, code: int) -> list[str]:
    """The GPUs, or the calls, that NVML answered with this code."""
    found_at = [f"GPU {row.get('index')}" for row in view.rows("nvml.devices")
                if row.integer("error.code") == code or code in row.all("failed.*")]  # fmt: skip
    if not found_at and (code in view.all("nvml.calls.*") or view.nv == code):
        found_at = ["a GPU"]
    return found_at


def reported(view: View, pattern: str) -> str:
    """A line of the kernel log on a GPU that is this process's, unless every GPU works: then it was overcome since."""
    overcome = view.cuda_works and (view.integer("cuda.count") or 0) >= len(view.gpus)
    lines = [line for line in view.log if re.search(pattern, line) and not _of_another(line, view)]
    return lines[-1] if lines and not overcome else ""


def _address(text: str) -> tuple[int, int, int] | None:
    match = re.search(r"([0-9a-fA-F]{4,8}):([0-9a-fA-F]{2}):([0-9a-fA-F]{2})", text)
    return (int(match[1], 16), int(match[2], 16), int(match[3], 16)) if match else None


def _of_another(line: str, view: View) -> bool:
    """Whether a line names the address of a GPU that is not open to this process, all of whose own are seen."""
    rows = [row for path in ("nvml.devices", "cuda.devices") for row in view.rows(path)]
    seen = {_address(row.text("pci")) for row in rows} - {None}
    numbered = [path for path in view.gpu_nodes if path != "/dev/nvidiactl"]
    mine = [path for path in numbered if view.nodes[path].text("open") == "ok"]
    address = _address(line)
    return address is not None and address not in seen and len(mine) == len(seen) > 0 and len(mine) < len(view.gpus)


def _by_code(view: View, code: int, word: str, logged: str = "") -> Match | None:
    where = _answering(view, code)
    return found(f"NVML answers {code} ({word}) for {listing(where)}" if where else "", logged, when=where or logged)


@predicate
def _gpu_lost(_case: Case, view: View) -> Match | None:
    return _by_code(view, 15, "GPU is lost", reported(view, _OFF_THE_BUS))


@predicate
def _gsp_timeout(_case: Case, view: View) -> Match | None:
    line = reported(view, r"Xid.*: (119|120)\b")
    return found(line, when=line)


@predicate
def _power_cable(_case: Case, view: View) -> Match | None:
    return _by_code(view, 8, "insufficient external power")


@predicate
def _irq_blocked(_case: Case, view: View) -> Match | None:
    return _by_code(view, 11, "interrupt issue")


@predicate
def _inforom_corrupt(_case: Case, view: View) -> Match | None:
    return _by_code(view, 14, "infoROM is corrupted")


@predicate
def _reset_required(_case: Case, view: View) -> Match | None:
    where = _answering(view, 16)
    pending = [
        f"GPU {row.get('index')}: {word}"
        for row in view.rows("nvml.devices")
        for key, word in (("retirement_pending", "page retirement pending"), ("remap_pending", "row remapping pending"))
        if row.get(f"ecc.{key}") in (1, True)
    ]
    logged = reported(view, r"Xid.*: (48|63|95)\b|Xid.*: 154,.*(Reset|Reboot|Drain)")
    return found(
        f"NVML answers 16 (reset required) for {listing(where)}" if where else "",
        listing(pending),
        logged,
        when=where or pending or logged,
        sure=bool(where or pending),
        seen=["reboot"] if re.search(r"Xid.*: 154,.*Reboot", logged) else [],
    )


@predicate
def _ecc(_case: Case, view: View) -> Match | None:
    counted = [(row.get("index"), row.integer("ecc.volatile_uncorrected") or 0) for row in view.rows("nvml.devices")]
    bad = [
        f"GPU {index}: {count} uncorrected errors since the driver was loaded" for index, count in counted if count > 0
    ]
    return found(
        "creating a context returned 214" if 214 in view.contexts else "", *bad, when=bad or 214 in view.contexts
    )


def foreign(pids: list[object], view: View) -> list[int]:
    """The processes on a GPU that are not the examination's own."""
    return [pid for pid in pids if isinstance(pid, int) and pid not in view.own_pids]


def _processes(view: View) -> str:
    pids = foreign(view.all("nvml.devices.*.processes.*.pid"), view)
    return (
        f"processes on the GPU: {listing(pids)}"
        if pids
        else "no process is visible (a container may not see the host's)"
    )


@predicate
def _exclusive_mode(_case: Case, view: View) -> Match | None:
    modes = [row.integer("compute_mode") for row in view.rows("nvml.devices")]
    words = {2: "prohibited", 3: "exclusive process"}
    strict = [f"GPU {i} is in compute mode {mode} ({words[mode]})" for i, mode in enumerate(modes) if mode in (2, 3)]
    said = re.search(BUSY_WORDS, view.framework_words)
    refusing = next((mode for mode, code in zip(modes, view.contexts, strict=False) if code == 46 and mode in (2, 3)),
                    next((mode for mode in modes if mode in (2, 3)), None))  # fmt: skip
    # Programs take the first GPU: that one of the others is taken is nobody's fault.
    hidden = view.cuda_works and view.contexts[:1] != [46] and (view.usable or not said)
    return found(
        "creating a context returned 46" if 46 in view.contexts else "cuInit returned 46" if view.cu == 46 else "",
        listing(strict),
        _processes(view),
        when=not hidden
        and (((46 in view.contexts or view.cu == 46) and (strict or None in modes or not modes)) or (said and strict)),
        sure=bool(strict),
        # Another GPU's mode is not this one's: the first that is refused is the one that a program meets.
        seen=["prohibited"] if refusing == 2 else ["mps"] if view.variable("CUDA_MPS_PIPE_DIRECTORY") else [],
    )


def _sizes(view: View) -> list[tuple[int, int]]:
    """Free and total memory of each GPU of which NVML tells both."""
    sizes = [(row.integer("memory.free"), row.integer("memory.total")) for row in view.rows("nvml.devices")]
    return [(free, total) for free, total in sizes if free is not None and total]


def full_memory(view: View) -> list[str]:
    """The GPUs that have next to no free memory, in words."""
    return [
        f"{free / 2**20:.0f} of {total / 2**20:.0f} MiB free" for free, total in _sizes(view) if free < FULL * total
    ]


@predicate
def _memory_share(_case: Case, view: View) -> Match | None:
    return found("the framework's first operation failed", when=not view.usable)


@predicate
def _memory_taken(_case: Case, view: View) -> Match | None:
    known, full = _sizes(view), full_memory(view)
    words = view.framework_words
    # A library that is refused its memory says that it could not be started.
    vague = full and re.search(
        r"CU(?:DNN|BLAS|SPARSE|SOLVER|FFT)_STATUS_(?:NOT_INITIALIZED|ALLOC_FAILED|INTERNAL_ERROR)", words
    )
    said = "out of memory" in words.lower() or "CUDA_ERROR_OUT_OF_MEMORY" in words or vague
    return found(
        "creating a context returned 2" if 2 in view.contexts else "cuInit returned 2" if view.cu == 2 else "",
        vague[0] if vague else "",
        listing(full),
        _processes(view),
        when=(2 in view.contexts or said or (view.cu == 2 and full)) and (full or not known),
        sure=bool(full),
    )


@predicate
def _context_unexplained(_case: Case, view: View) -> Match | None:
    names = [f"{row.integer('context.code')} ({row.text('context.name')})" for row in view.rows("cuda.devices")]
    return found(f"creating a context returned {listing(names)}", when=view.contexts and 0 not in view.contexts)


def busy(view: View) -> list[View]:
    """The GPUs under load."""
    return [row for row in view.rows("nvml.devices") if (row.integer("utilization.gpu") or 0) >= BUSY]


@predicate
def _throttled(_case: Case, view: View) -> Match | None:
    slow = [(row.get("index"), (row.integer("clocks.event_reasons") or 0) & _FAULTY_REASONS) for row in busy(view)]
    words = [f"GPU {index}: clock event reasons {reasons:#x}" for index, reasons in slow if reasons]
    return found(*words, when=words)


@predicate
def _pcie_degraded(_case: Case, view: View) -> Match | None:
    words = []
    for row in busy(view):
        for now, best, word in (("generation", "max_generation", "generation"), ("width", "max_width", "width")):
            have, could = row.integer(f"pcie.{now}"), row.integer(f"pcie.{best}")
            # Laptops wire half of a card's lanes, and boards with two cards share sixteen.
            enough = could // 2 if now == "width" and could is not None else could
            if have is not None and enough is not None and have < enough:
                words.append(f"GPU {row.get('index')}: PCIe {word} {have} of {could}")
    return found(*words, when=words)
