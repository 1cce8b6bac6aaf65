"""Predicates on the files that the framework loads, and on why its import failed (rows 83, 93, 110 to 114, 119)."""

from __future__ import annotations

import re

from dlmatrix.gpu.diagnosis.view import Case, Match, View, found, listing, predicate

#: Where a loader looks without being told (ld.so(8)), and what the toolkit's ldconfig adds.
_SEARCHED = re.compile(r"/(?:usr/)?lib(?:32|64)?/(?:[\w-]+-linux-gnu\w*/)?[^/]+$")
#: The driver's libraries, which come from the host.
_DRIVERS = re.compile(r"lib(?:cuda|nvidia-[\w-]+|nvcuvid)\.so")
#: A Jetson's own, which its container runtime mounts from the host.
_TEGRAS = re.compile(r"libnv(?:rm|os|map|buf|media|sci|tegra|dla|argus|dsi|ll|parser|mm)\w*\.so")
#: cuDNN's words where it does not find a part of itself, which it loads once an operation needs it.
_PART_NOT_LOADED = r"[^\n]*(?:Unable to load any of \{lib|CUDNN_STATUS_SUBLIBRARY_LOADING_FAILED)[^\n]*"
#: What a runtime says that finds another of its kind in the same process.
_TWO_RUNTIMES = (
    r"[^\n]*(?:OMP: Error #15|Intel MKL FATAL ERROR|MKL_THREADING_LAYER=\w+ is incompatible with)[^\n]{0,160}"
)
#: The library that a symbol is of, by the symbol's first letters.
_SYMBOLS = (("nccl", "NCCL"), ("cudnn", "cuDNN"), ("cublas", "cuBLAS"), ("cusparse", "cuSPARSE"), ("cufft", "cuFFT"),
            ("cusolver", "cuSOLVER"), ("curand", "cuRAND"), ("nvtx", "NVTX"), ("cuda", "the CUDA runtime"),
            ("iJIT_", "Intel MKL before 2024.1"))  # fmt: skip


@predicate
def _wheel_damaged(_case: Case, view: View) -> Match | None:
    ill = [row for row in view.rows("framework.files") if row.text("problem") != "missing"]
    # A file that is gone may have been taken out on purpose, unless the framework asks for it.
    words = view.framework_words
    gone = [row for row in view.rows("framework.files") if row.text("problem") == "missing"
            and row.text("file").rpartition("/")[2] in words]  # fmt: skip
    told = {row.text("file") for row in (*ill, *gone)}
    named = [row for row in view.rows("framework.blamed") if _of_a_wheel(row) and row.text("file") not in told]
    lines = [_line(row) for row in (*ill, *gone, *named)]
    return found(*lines[:6], when=lines)


def _of_a_wheel(row: View) -> bool:
    broken = not row.text("problem").startswith(("undefined symbol", "cannot enable", "failed to map"))
    return broken and bool(row.text("distribution")) and not _elsewhere(row)


def _elsewhere(row: View) -> bool:
    """Whether a file is said to be nowhere and lies in its wheel, where the loader does not look."""
    return row.text("problem") == "cannot open shared object file" and bool(row.text("there"))


def _line(row: View) -> str:
    size, recorded = row.integer("size"), row.integer("recorded")
    sizes = f", {size} bytes instead of {recorded}" if size is not None and recorded is not None else ""
    return f"{row.text('file')}: {row.text('problem')}{sizes}; of {row.text('distribution')}=={row.text('version')}"


def _last_words(view: View) -> list[str]:
    """What cuDNN says of a library of its own before it ends the process; elsewhere the same words may do no harm."""
    said = re.findall(r"Could not load library \S+\. Error: [^\n]+", view.framework_words)
    return said if view.text("framework.witness.status") == "crash" else []


def _two_cudas(view: View) -> list[str]:
    """Wheels of one library for two CUDAs, which put their files into one folder: the last one installed wins."""
    table = view.get("framework.distributions")
    kinds: dict[str, list[str]] = {}
    for name in sorted(table) if isinstance(table, dict) else []:
        match = re.fullmatch(r"nvidia-(\w[\w-]*)-cu\d\d", str(name))
        if match:
            kinds.setdefault(match[1], []).append(f"{name} {listing(view.words(f'framework.distributions.{name}'))}")
    return [f"installed into one folder: {listing(names)}" for names in kinds.values() if len(names) > 1]


@predicate
def _wheels_of_two_cudas(_case: Case, view: View) -> Match | None:
    two = _two_cudas(view)
    return found(*two[:3], when=True, seen=["two_cudas"] if two else [])


@predicate
def _library_conflict(_case: Case, view: View) -> Match | None:
    rows = [row for row in view.rows("framework.blamed") if row.text("problem").startswith("undefined symbol: ")]
    lines = []
    for row in rows:
        symbol = row.text("problem").partition(": ")[2]
        owner = next((name for start, name in _SYMBOLS if symbol.lstrip("_").startswith(start)), "")
        if "nvJitLink" not in symbol:  # which has a row of its own
            lines.append(f"{row.text('file')} misses {symbol}" + (f" of {owner}" if owner else ""))
    lines += [m[0] for m in re.finditer(r"\S+: version .lib[\w.-]+. not found[^\n]{0,120}", view.framework_words)]
    lines += [m[0] for m in re.finditer(r"\S+: symbol \w+,? version \S+ not defined in file \S+", view.framework_words)]
    lines += [line for line in _last_words(view) if "undefined symbol" in line]
    two = re.search(_TWO_RUNTIMES, view.framework_words)
    lines += [two[0].strip()] if two and not view.usable else []
    path, cudas = view.variable("LD_LIBRARY_PATH"), _two_cudas(view)
    return found(
        *lines[:3],
        *cudas[:3],
        f"LD_LIBRARY_PATH={path}" if path else "",
        when=lines,
        seen=["mkl"] if any("iJIT_" in line for line in lines) else ["two_runtimes"] if two
        else ["two_cudas"] if cudas else [],
    )  # fmt: skip


@predicate
def _library_not_found(_case: Case, view: View) -> Match | None:
    rows = [row for row in view.rows("framework.blamed") if row.text("problem") == "cannot open shared object file"]
    # The driver's own libraries come with no wheel: where they are absent, another cause says why.
    names = [row.text("file") for row in rows if not row.text("distribution") and not _DRIVERS.match(row.text("file"))]
    apart = [row for row in rows if _elsewhere(row)]
    gone = [line for line in _last_words(view) if "cannot open shared object file" in line and "libcuda.so" not in line]
    # A part that its wheel has lost is the wheel's matter.
    part = None if view.usable or view.rows("framework.files") else re.search(_PART_NOT_LOADED, view.framework_words)
    return found(
        f"{listing(names, 3)}: in no folder that is searched, and in no installed wheel" if names else "",
        *(f"{row.text('there')} ({row.text('distribution')}=={row.text('version')}): the framework does not look there"
          for row in apart[:3]),
        *gone[:2],
        part[0].strip() if part else "",
        when=names or apart or gone or part,
        seen=["elsewhere"] if apart and not names else ["part"] if part and not (names or gone) else [],
    )  # fmt: skip


@predicate
def _l4t_mismatch(_case: Case, view: View) -> Match | None:
    rows = [row for row in view.rows("framework.blamed") if row.text("problem") == "cannot open shared object file"]
    named = [row.text("file") for row in rows] + [view.text("cuda.library.error").partition(":")[0]]
    names = [name for name in named if _TEGRAS.match(name)]
    return found(
        f"{listing(names, 3)}: a library of the Jetson itself, which its JetPack does not have",
        when=names and view.tegra and view.container and not view.absent("cuda"),
    )


@predicate
def _executable_stack(_case: Case, view: View) -> Match | None:
    rows = [row for row in view.rows("framework.blamed") if row.text("problem").startswith("cannot enable exec")]
    return found(*[f"{row.text('file')}: {row.text('problem')}" for row in rows], when=rows)


@predicate
def _noexec_mount(_case: Case, view: View) -> Match | None:
    rows = [row for row in view.rows("framework.blamed") if row.flag("noexec")]
    return found(*[f"{row.text('file')} lies on a file system that is mounted noexec" for row in rows[:2]], when=rows)


@predicate
def _module_missing(_case: Case, view: View) -> Match | None:
    said = re.search(r"No module named '?([\w.]+)'?|Numpy is not available", "\n".join(view.framework_errors))
    return found(said[0] if said else "", when=said)


@predicate
def _cpu_too_old(_case: Case, view: View) -> Match | None:
    lacks, model = view.words("kernel.cpu.lacks"), view.text("kernel.cpu.model")
    illegal = "SIGILL" in view.text("framework.witness.detail")
    return found(
        view.text("framework.witness.detail"),
        f"the processor ({model or 'of unknown model'}) lacks {listing(lacks)}",
        when=illegal and lacks,
    )


#: What Python says of a package that has something else than its user expects.
_OF_ANOTHER_VERSION = (
    r"Descriptors can(?:not)? (?:not )?be created directly"
    r"|module '(?!torch|tensorflow)[\w.]+' has no attribute '\w+'"
    r"|cannot import name '\w+' from '(?!torch|tensorflow)[\w.]+'"
    r"|cannot import name '\w+' from 'tensorflow\.compat[\w.]+'"
    r"|numpy\.\w+ size changed, may indicate binary incompatibility"
)


@predicate
def _dependency_version(_case: Case, view: View) -> Match | None:
    said = re.search(_OF_ANOTHER_VERSION, view.text("framework.import_error"))
    other = re.search(r"compiled using NumPy 1\.x|_ARRAY_API not found", view.framework_words)
    return found(said[0] if said else "", *view.words("framework.unmet")[:4], when=said and not other)


@predicate
def _framework_crash(_case: Case, view: View) -> Match | None:
    return found(view.text("framework.witness.detail"), *view.words("framework.messages")[-5:])


def _lost(view: View) -> list[str]:
    """The driver's libraries on disk whose name without the version is not found."""
    files = [row.text("real") for row in view.rows("kernel.libraries") if row.integer("size")]
    stems = {"cuda": r"/libcuda\.so\.\d+\.\d+", "nvml": r"/libnvidia-ml\.so\.\d+\.\d+"}
    absent = [stem for witness, stem in stems.items() if view.absent(witness)]
    # A compat folder is only for those who name it.
    return [path for path in files if "/compat/" not in path and any(re.search(stem, path) for stem in absent)]


@predicate
def _links_missing(_case: Case, view: View) -> Match | None:
    lost = _lost(view)
    return found(f"{listing(lost, 2)} is there, and no link with the name that programs ask for", when=lost)


@predicate
def _driver_off_path(_case: Case, view: View) -> Match | None:
    named = view.variable("LD_LIBRARY_PATH") or ""
    foreign = "/nix/store/" in named  # a loader of its own, which knows none of the system's folders
    lost = [path for path in _lost(view) if foreign or not _SEARCHED.match(path)]
    # cuDNN 8 asks for the name without a number, which only developers' packages link.
    said = re.search(r"[^\n]*libcuda\.so: cannot open shared object file[^\n]*", view.framework_words)
    if said and not lost:
        return found(said[0], f"libcuda.so.1 is {view.text('cuda.library.path')}", when=view.cu == 0)
    return found(
        f"{listing(lost, 2)} is there; the loader does not look in that folder",
        f"LD_LIBRARY_PATH={named}" if named else "LD_LIBRARY_PATH is not set",
        when=lost,
        seen=["nix"] if foreign else [],
    )
