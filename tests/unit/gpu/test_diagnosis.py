"""The catalogue is sound, and the diagnosis keeps its promises on facts given by hand."""

from __future__ import annotations

from typing import Any

import pytest

from dlmatrix.gpu.diagnosis import LAYERS, Launch, diagnose, headline
from dlmatrix.gpu.diagnosis.catalogue import catalogue
from dlmatrix.gpu.diagnosis.predicates import PREDICATES

ROWS = catalogue().rows
LABELS = {row.label for row in ROWS}
GPU = {"address": "0000:01:00.0", "device": "0x20b0", "driver": "nvidia"}


def facts(**changes: Any) -> dict[str, Any]:
    """A host with one GPU whose driver is loaded and of which nothing else is known."""
    kernel = {"pci": {"readable": True, "gpus": [GPU]}, "modules": {"version": "580.95.05"}, "log": {"error": "EPERM"}}
    node = {"present": True, "open": "ok", "mode": "0666", "major": 195}
    kernel["nodes"] = {path: dict(node) for path in ("/dev/nvidiactl", "/dev/nvidia0", "/dev/nvidia-uvm")}
    return {"kernel": kernel, "framework": None, **changes}


def test_the_catalogue_has_every_published_row_once() -> None:
    numbers = [row.row for row in ROWS]
    assert len(set(numbers)) == len(numbers) == len(LABELS)
    assert set(range(1, 65)) <= set(numbers)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.label)
def test_a_row_is_complete(row: Any) -> None:
    assert row.layer in LAYERS
    assert row.severity in ("blocks", "degrades", "warns")
    assert all((row.title, row.looks_at, row.remedy, row.source))
    assert row.when or row.launch or row.says or row.predicate
    assert set(row.explained_by) | {label for label, _ in row.apart} <= LABELS - {row.label}


def test_every_predicate_is_named_by_the_catalogue_and_the_reverse() -> None:
    named = {row.predicate for row in ROWS if row.predicate} | {blind.predicate for blind in catalogue().blinds}
    assert named == set(PREDICATES)


def test_two_causes_that_the_evidence_fits_are_both_given_with_the_command_that_tells_them_apart() -> None:
    causes = diagnose(facts(cuda={"init": {"code": 802}})).causes
    assert [(cause.label, cause.possible) for cause in causes] == [("FABRIC_NOT_READY", True), ("CC_NOT_READY", True)]
    assert all(cause.apart for cause in causes)


def test_an_unread_log_leaves_a_stale_uvm_possible() -> None:
    diagnosis = diagnose(facts(cuda={"init": {"code": 999}}))
    assert [(cause.label, cause.possible) for cause in diagnosis.causes] == [("UVM_STALE_AFTER_SUSPEND", True)]
    assert ("the kernel log", "EPERM") in [(spot.what, spot.why) for spot in diagnosis.blind]


def test_a_code_that_no_row_knows_is_said_to_be_unexplained() -> None:
    diagnosis = diagnose(facts(cuda={"init": {"code": 719, "name": "CUDA_ERROR_LAUNCH_FAILED", "text": "odd"}}))
    assert [cause.label for cause in diagnosis.causes] == ["CUINIT_UNEXPLAINED"]
    assert "719 (CUDA_ERROR_LAUNCH_FAILED: odd)" in diagnosis.causes[0].evidence[0]


def test_an_unknown_refusal_is_shown_whole() -> None:
    text = "Error response from daemon:\n  something\n  on three lines"
    diagnosis = diagnose(facts(), Launch(error=text))
    assert diagnosis.causes[0].label == "LAUNCH_UNEXPLAINED"
    assert diagnosis.causes[0].evidence == (text,)


OCI = "failed to create task for container: OCI runtime create failed: runc create failed: "
HOOK = OCI + "error running prestart hook #0: exit status 1, stderr: nvidia-container-cli: "


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ('could not select device driver "" with capabilities: [[gpu]]', "TOOLKIT_MISSING"),
        ('could not select device driver "nvidia" with capabilities: [[compute utility gpu]]', "TOOLKIT_MISSING"),
        ("fork/exec /usr/bin/nvidia-container-runtime: no such file or directory", "TOOLKIT_MISSING"),
        ('exec: "nvidia-container-runtime-hook": executable file not found in $PATH', "TOOLKIT_MISSING"),
        ("unknown or invalid runtime name: nvidia", "RUNTIME_NOT_REGISTERED"),
        ("Unknown runtime specified nvidia", "RUNTIME_NOT_REGISTERED"),
        ("failed to discover GPU vendor from CDI: no known GPU vendor found", "CDI_NO_VENDOR"),
        (HOOK + "initialization error: load library failed: libnvidia-ml.so.1: cannot open", "HOST_DRIVER_ABSENT"),
        (HOOK + "initialization error: nvml error: driver not loaded: unknown", "HOST_DRIVER_ABSENT"),
        (HOOK + "requirement error: unsatisfied condition: cuda>=12.8, please update", "IMAGE_NEEDS_NEWER_DRIVER"),
        (HOOK + "device error: 7: unknown device: unknown", "BAD_DEVICE_ID"),
        (HOOK + "device error: GPU-1234: unknown device: unknown", "BAD_DEVICE_ID"),
        (HOOK + "mount error: file creation failed: /x/libcuda.so.1: file exists", "IMAGE_BAKES_DRIVER_LIBS"),
        ("Error: setting up CDI devices: unresolvable CDI devices nvidia.com/gpu=all", "CDI_MISSING"),
    ],
)
def test_the_engines_refusals(text: str, label: str) -> None:
    assert [cause.label for cause in diagnose(facts(), Launch(error=text)).causes] == [label]


def test_nothing_known_is_unknown_and_no_cause_is_made_up() -> None:
    diagnosis = diagnose({})
    assert (diagnosis.verdict, diagnosis.causes) == ("unknown", ())
    assert "the PCI bus" in [spot.what for spot in diagnosis.blind]


def test_a_host_fault_is_no_cause_where_the_container_can_use_the_gpu() -> None:
    host = facts()
    host["kernel"]["nodes"]["/dev/nvidiactl"].update(open="EACCES", mode="0660")
    assert [cause.label for cause in diagnose(host).causes] == ["DEVNODE_PERMISSION"]
    inside = facts(cuda={"init": {"code": 0}, "count": 1, "devices": [{"context": {"code": 0}}]})
    assert diagnose(host, Launch(), inside).verdict == "usable"
    assert diagnose(host, Launch(), inside).causes == ()


@pytest.mark.parametrize(
    ("version", "warned"), [("1.17.7", True), ("1.17.8", False), ("1.9.0", True), ("2.0.0", False), ("1.17", False)]
)
def test_an_old_container_toolkit_is_a_security_warning(version: str, warned: bool) -> None:
    host = facts()
    host["kernel"]["toolkit"] = {"version": version}
    warnings = diagnose(host).warnings
    assert [w.label for w in warnings] == (["TOOLKIT_INSECURE"] if warned else [])
    assert all("CVE-2025-23266" in w.title and "CVE-2025-23359" in w.title for w in warnings)


@pytest.mark.parametrize(
    ("device", "said"),
    [
        ("0x1080", "Fermi, last supported by R390"),  # GeForce GTX 580, between two ranges of Kepler
        ("0x1140", "Fermi, last supported by R390"),
        ("0x1180", "Kepler, last supported by R470"),  # GeForce GTX 680
        ("0x1001", "Kepler, last supported by R470"),
        ("0x1b06", "Pascal, last supported by R580"),
    ],
)
def test_an_old_gpu_is_named_with_its_last_driver(device: str, said: str) -> None:
    kernel = facts()["kernel"] | {"pci": {"readable": True, "gpus": [{**GPU, "device": device}]}}
    kernel["modules"] = {"version": "590.44.01"}
    cause = diagnose(facts(kernel=kernel, nvml={"count": 0})).causes[0]
    assert cause.label == "GPU_DROPPED_BY_BRANCH"
    assert said in cause.evidence[0]
    assert said.rsplit(maxsplit=1)[-1] in cause.remedy


def test_the_headline_names_cause_and_remedy() -> None:
    line = headline(diagnose({"kernel": {"pci": {"readable": True, "gpus": []}}}))
    assert line.startswith("NO_GPU: this machine has no NVIDIA GPU; do: use a cpu env")
    assert headline(diagnose({})) == "could not look: the PCI bus (no facts from the kernel)"


@pytest.mark.parametrize(
    ("folder", "version", "by_conda"),
    [
        ("/home/u/miniconda3/envs/x/lib/python3.9/site-packages", "1.10.2", True),
        ("/opt/mambaforge/lib/python3.12/site-packages", "2.5.1", True),
        ("/home/u/miniconda3/envs/x/lib/python3.9/site-packages", "2.13.0+cpu", False),
        ("/home/u/venv/lib/python3.12/site-packages", "2.2.2", False),
    ],
)
def test_a_build_without_cuda_that_conda_chose_is_mended_by_conda(folder: str, version: str, by_conda: bool) -> None:
    # vocalpy/vak#470
    torch = {"name": "torch", "version": version, "file": f"{folder}/torch/__init__.py"}
    (cause,) = diagnose(facts(cuda={"init": {"code": 0}, "count": 1}, framework=torch)).causes
    assert cause.label == "TORCH_CPU_WHEEL"
    assert ("conda install -c conda-forge pytorch-gpu" in cause.remedy) is by_conda


@pytest.mark.parametrize("place", ["host", "docker"])
@pytest.mark.parametrize(
    ("error", "label"),
    [
        ("/lib/libc.so.6: version `GLIBC_2.34' not found (required by /.singularity.d/libs/libcuda.so.1)",
         "DRIVER_LIB_TOO_NEW"),
        ("libcuda.so.1: failed to map segment from shared object", "LIBCUDA_UNLOADABLE"),
        ("libcuda.so.1: cannot open shared object file: Permission denied", "LIBCUDA_UNLOADABLE"),
        ("libnvidia-ptx.so.1: cannot open shared object file: No such file or directory", "LIBCUDA_UNLOADABLE"),
        ("/usr/lib/libcuda.so.1: undefined symbol: nvidia_internal", "LIBCUDA_UNLOADABLE"),
        ("libcuda.so.1: file too short", "ZERO_BYTE_LIB"),
        ("libcuda.so.1: wrong ELF class: ELFCLASS32", "WRONG_ARCH_LIB"),
    ],
)  # fmt: skip
def test_a_libcuda_that_does_not_load_is_never_without_a_cause(place: str, error: str, label: str) -> None:
    seen = facts(cuda={"library": {"loaded": False, "error": error}})
    seen["kernel"]["container"] = {"kind": "docker" if place == "docker" else None}
    diagnosis = diagnose(seen) if place == "host" else diagnose(None, None, seen)
    assert [cause.label for cause in diagnosis.causes] == [label]
    assert diagnosis.verdict == "unusable"


def test_few_addresses_keep_libcuda_from_being_mapped() -> None:
    seen = facts(cuda={"library": {"loaded": False, "error": "libcuda.so.1: failed to map segment from shared object"}})
    seen["kernel"]["limits"] = {"address_space": {"soft": 1 << 30}}
    assert [cause.label for cause in diagnose(seen).causes] == ["ADDRESS_SPACE_LIMIT"]


def test_a_jetsons_libcuda_that_misses_a_library_of_another_jetpack() -> None:
    error = "libnvrm_gpu.so: cannot open shared object file: No such file or directory"
    seen: dict[str, Any] = {"cuda": {"library": {"loaded": False, "error": error}}, "kernel": {
        "release": "5.15.148-tegra", "container": {"kind": "docker"}, "pci": {"readable": True, "gpus": []},
        "nodes": {"/dev/nvmap": {"present": True, "open": "ok"}}}}  # fmt: skip
    assert [cause.label for cause in diagnose(None, None, seen).causes] == ["L4T_MISMATCH"]
