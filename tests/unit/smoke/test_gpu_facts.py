"""The checks' arithmetic on what is known of GPUs and of CUDA's libraries."""

import json
import os

import pytest

from smoke import distributions, gpu
from smoke.checks import (
    arch_gate,
    cpu_guard,
    cuda_identity,
    cuda_libraries,
    cuda_start,
    cudnn_nccl,
    driver,
    gpu_count,
    gpu_guard,
)
from smoke.context import Context, SkipError
from tests.unit.smoke.facts import Backend, context

#: The cases that the host side's rule is held against too (tests/unit/gpu/test_kernels.py).
with open(os.path.join(os.path.dirname(__file__), "kernels.json")) as _stream:
    KERNELS = json.load(_stream)


@pytest.mark.parametrize(("capability", "architectures", "how"), KERNELS)
def test_which_code_runs_on_which_gpu(capability, architectures, how):
    assert gpu.runs_on(tuple(capability), architectures) == how


@pytest.mark.parametrize(
    ("number", "version"), [(8902, (8, 9, 2)), (90100, (9, 1, 0)), (7605, (7, 6, 5)), (91300, (9, 13, 0))]
)
def test_cudnn_counts_differently_from_nine_on(number, version):
    assert gpu.cudnn_version(number) == version


@pytest.mark.parametrize(
    ("loaded", "compiled", "fits"),
    [
        ((9, 3, 0), (9,), True),
        ((9, 3, 0), (9, 1, 0), True),
        ((9, 1, 0), (9, 3, 0), False),
        ((8, 9, 7), (9,), False),
        ((9, 0, 0), (8, 9), False),
    ],
)
def test_cudnns_rule(loaded, compiled, fits):
    assert cudnn_nccl.compatible(loaded, compiled) is fits


def test_the_wheel_of_a_library_is_found_whatever_its_suffix():
    installed = {"nvidia-cudnn-cu12": "9.1.0.70", "nvidia-nccl-cu13": "2.27.5"}
    assert cudnn_nccl.wheels(installed, "nvidia-cudnn") == {"nvidia-cudnn-cu12": (9, 1, 0)}
    assert cudnn_nccl.wheels({"nvidia-cudnn": "9.13.0"}, "nvidia-cudnn") == {"nvidia-cudnn": (9, 13, 0)}
    assert cudnn_nccl.wheels(installed, "nvidia-cufft") == {}


def test_of_two_wheels_the_one_that_the_framework_requires_counts():
    installed = {"nvidia-cudnn-cu11": "8.9.6.50", "nvidia-cudnn-cu12": "9.1.0.70"}
    assert cudnn_nccl.wheels(installed, "nvidia-cudnn", ["nvidia-cudnn-cu12"]) == {"nvidia-cudnn-cu12": (9, 1, 0)}
    assert sorted(cudnn_nccl.wheels(installed, "nvidia-cudnn")) == ["nvidia-cudnn-cu11", "nvidia-cudnn-cu12"]


@pytest.mark.parametrize(
    ("found", "pin", "agree"),
    [
        ("12.5.1", "12.5", True),
        ("12.8", "12.8", True),
        ("12.8", "12.6", False),
        (None, "12.8", False),
        ("1", "12", False),
    ],
)
def test_cuda_versions_agree_in_what_both_name(found, pin, agree):
    assert cuda_identity.same(found, pin) is agree


GPU = {"variant": "gpu", "cuda": "13.0", "gpu": True, "distribution": "torch"}


def test_cuda_identity():
    assert cuda_identity.run(context(GPU, cuda="13.0", gpus=1)).outcome == "passed"
    assert "no CUDA" in cuda_identity.run(context(GPU)).reason
    assert "another CUDA" in cuda_identity.run(context(GPU, cuda="12.8", gpus=1)).reason
    assert "finds no GPU" in cuda_identity.run(context(GPU, cuda="13.0")).reason
    assert cuda_identity.run(context(dict(GPU, gpu=False), cuda="13.0")).outcome == "passed"


def test_guards(monkeypatch):
    monkeypatch.setattr(gpu, "loadable", lambda stem: (None, None, "no file of that name"))
    assert cpu_guard.run(context({}, {"torch": "2.13.0+cpu"})).outcome == "passed"
    assert "nvidia-cudnn-cu12 9.1" in cpu_guard.run(context({}, {"nvidia-cudnn-cu12": "9.1"})).reason
    seen = {"nvidia-ml-py": "13.580.82", "nvidia-htop": "1.2.0", "nvidia-nat": "1.4"}
    assert cpu_guard.run(context({}, seen)).outcome == "passed"
    assert "without CUDA libraries" in gpu_guard.run(context(GPU, dict(seen, torch="2.11.0"), cuda="13.0")).reason
    assert "CPU build" in gpu_guard.run(context(GPU, {"torch": "2.11.0+cpu"})).reason
    assert "without CUDA libraries" in gpu_guard.run(context(GPU, {"torch": "2.11.0"}, cuda="13.0")).reason
    wheels = {"torch": "2.11.0", "nvidia-cudnn-cu13": "9.13"}
    assert gpu_guard.run(context(GPU, wheels, cuda="13.0")).outcome == "passed"


def test_cuda_of_the_system_or_of_torchs_own_wheel_is_no_missing_library(monkeypatch):
    monkeypatch.setattr(gpu, "loadable", lambda stem: (object(), "libcudart.so.12", None))
    assert gpu_guard.run(context(GPU, {"torch": "2.0.1+cu118"}, cuda="11.8")).outcome == "passed"


def witnesses(nvml, cuda, framework, *, capability=(9, 0), mig=None, free=None):
    """Detection facts of ``nvml`` GPUs, of which CUDA sees the last ``cuda``."""
    places = [f"0000:{index + 1:02x}:00.0" for index in range(max(nvml or 0, cuda or 0))]
    seen = places[len(places) - (cuda or 0) :]
    devices = [
        {"index": index, "compute_capability": list(capability), "pci": place} for index, place in enumerate(seen)
    ]
    known = [
        {
            "index": index,
            "pci": "0000" + place.upper(),
            "mig": {"enabled": mig},
            "memory": free and {"free": free, "total": 80 << 30, "used": 0},
        }
        for index, place in enumerate(places)
    ]
    return {
        "nvml": {"count": nvml, "devices": known if nvml is not None else []},
        "cuda": {"count": cuda, "devices": devices},
        "framework": {"count": framework},
    }


@pytest.mark.parametrize(
    ("counts", "mig", "hidden", "outcome"),
    [
        ((2, 2, 2), None, False, "passed"),
        ((2, 2, 1), None, False, "failed"),
        ((0, 0, 0), None, False, "failed"),
        ((1, None, 1), None, False, "failed"),
        ((1, 2, 2), None, True, "failed"),
        # A scheduler's share of a machine; without the variable, a GPU that CUDA has lost.
        ((8, 2, 2), None, True, "passed"),
        ((8, 2, 2), None, False, "failed"),
        # Two GPUs in slices, of which a process gets one.
        ((2, 1, 1), True, False, "passed"),
        # No nvidia-ml-py, or a container without NVML: CUDA works all the same.
        ((None, 1, 1), None, False, "passed"),
    ],
)
def test_gpu_counts(counts, mig, hidden, outcome, monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if hidden:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "6,7")
    found = gpu_count.run(context(GPU, detection=witnesses(*counts, mig=mig)))
    assert found.outcome == outcome
    assert outcome == "failed" or ("note" in found.found) is (counts[0] != counts[1])


def test_a_gpu_that_nvml_counts_and_may_not_open_is_not_this_runs(monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    found = witnesses(8, 1, 1)
    for entry in found["nvml"]["devices"][:7]:
        entry["error"] = {"code": 4, "name": "NoPermission"}
    assert gpu_count.run(context(GPU, detection=found)).outcome == "passed"
    found["nvml"]["devices"][0]["error"] = {"code": 15, "name": "GpuIsLost"}
    assert gpu_count.run(context(GPU, detection=found)).outcome == "failed"


def test_nvmls_entries_of_the_gpus_that_cuda_offers():
    assert [entry["index"] for entry in gpu.ours(witnesses(8, 2, 2))] == [6, 7]
    assert [entry["index"] for entry in gpu.ours(witnesses(2, 2, 2))] == [0, 1]
    assert gpu.ours(witnesses(None, 1, 1)) == []


def test_arch_gate():
    new = ["sm_80", "sm_90"]
    assert arch_gate.run(context(GPU, detection=witnesses(1, 1, 1), architectures=new)).outcome == "passed"
    blackwell = arch_gate.run(context(GPU, detection=witnesses(1, 1, 1, capability=(12, 0)), architectures=new))
    assert "GPU 0 is 12.0" in blackwell.reason
    beside = witnesses(2, 2, 2)
    beside["cuda"]["devices"][1]["compute_capability"] = [6, 1]
    display = arch_gate.run(context(GPU, detection=beside, architectures=new))
    assert (display.outcome, display.found[1]) == ("passed", "nothing: it cannot be used")
    assert arch_gate.run(context(GPU, detection=witnesses(1, 1, 1))).outcome == "failed"
    with pytest.raises(SkipError, match="sm_80 sm_90"):
        arch_gate.run(context(dict(GPU, gpu=False), architectures=new))


def test_without_a_gpu_the_skip_says_so():
    with pytest.raises(SkipError, match="no GPU was given"):
        gpu_count.run(context(dict(GPU, gpu=False)))


def test_libraries_are_found_among_the_loaded_and_in_wheels(tmp_path, monkeypatch):
    loaded = gpu.libraries("libc")
    assert loaded
    assert os.path.basename(loaded[0]).startswith("libc")
    place = tmp_path / "nvidia" / "cudnn" / "lib"
    place.mkdir(parents=True)
    (place / "libcudnn.so.9").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    files = gpu.libraries("libcudnn")
    assert files == [os.path.realpath(str(place / "libcudnn.so.9"))]
    library, problem = gpu.opened(files[0])
    assert library is None
    assert "file too short" in problem


class Allocator(Backend):
    def allocate(self, index):
        if index >= self.said["gpus"] and not self.said.get("silent"):
            raise RuntimeError("invalid device ordinal")
        return 1.0


def started(monkeypatch, limit, **said):
    made = Context("torch", GPU, 1, None, None)
    made.once("backend", lambda: Allocator(gpus=1, **said))
    made.once("detection", lambda: witnesses(1, 1, 1))
    monkeypatch.setattr(cuda_start, "LIMIT", limit)
    return cuda_start.run(made)


def test_cuda_starts_in_time_and_its_errors_come_out(monkeypatch):
    assert started(monkeypatch, 20.0).outcome == "passed"
    assert "starts slowly" in started(monkeypatch, -1.0, architectures=["sm_90"]).reason
    # The gate lets it run: "after minutes of compiling".
    assert "PTX" in started(monkeypatch, -1.0, architectures=["sm_80", "compute_80"]).found["note"]
    assert "did not raise" in started(monkeypatch, 20.0, silent=True).reason


def test_the_driver_is_missed_where_a_gpu_was_promised(monkeypatch):
    monkeypatch.setattr(gpu, "opened", lambda path: (None, "libcuda.so.1: cannot open shared object file"))
    found = driver.run(context(GPU))
    assert found.outcome == "failed"
    assert "libcuda.so.1: cannot open" in found.reason
    monkeypatch.setattr(gpu, "opened", lambda path: (object(), None))
    monkeypatch.setattr(driver, "NODES", ("/dev/null",))
    assert driver.run(context(GPU)).outcome == "passed"
    monkeypatch.setattr(driver, "NODES", ("/dev/not-there",))
    assert "none of /dev/not-there" in driver.run(context(GPU)).reason


def test_cuda_libraries_that_are_missing_are_named(monkeypatch, tmp_path):
    real = gpu.opened
    monkeypatch.setattr(gpu, "libraries", lambda stem: [])
    monkeypatch.setattr(gpu, "opened", lambda path: (None, "not there"))
    found = cuda_libraries.run(context(GPU))
    assert "libcudart: no file of that name" in found.reason
    assert "libcudnn: no file of that name" in found.reason
    system = {"libcudart.so.12", "libcudnn.so.8"}
    monkeypatch.setattr(gpu, "opened", lambda path: (object(), None) if path in system else (None, "not there"))
    assert set(cuda_libraries.run(context(GPU)).found.values()) == system
    monkeypatch.setattr(gpu, "opened", real)
    broken = tmp_path / "libcudnn.so.9"
    broken.write_text("")
    monkeypatch.setattr(gpu, "libraries", lambda stem: [str(broken)])
    assert "file too short" in cuda_libraries.run(context(GPU)).reason
    monkeypatch.setattr(gpu, "opened", lambda path: (object(), None))
    assert cuda_libraries.run(context(GPU)).outcome == "passed"


class Library:
    def __init__(self, number):
        self.number = number

    def cudnnGetVersion(self):  # noqa: N802 - the library's own name
        return self.number


@pytest.mark.parametrize(
    ("number", "compiled", "wheel", "words"),
    [
        (90300, (9, 1, 0), "9.3.0.75", ""),
        (90300, (9, 5, 0), "9.3.0.75", "another cuDNN than the build's"),
        (8907, (9,), None, "another cuDNN than the build's"),
        (90300, (9,), "9.1.0.70", "not the wheel's"),
    ],
)
def test_cudnn(number, compiled, wheel, words, monkeypatch):
    monkeypatch.setattr(gpu, "libraries", lambda stem: ["/lib/libcudnn.so.9"])
    monkeypatch.setattr(gpu, "opened", lambda path: (Library(number), None))
    made = context(GPU, {"nvidia-cudnn-cu12": wheel} if wheel else {})
    made.backend.cudnn_compiled = lambda: compiled
    made.backend.nccl = lambda: None
    found = cudnn_nccl.run(made)
    assert words in found.reason
    assert found.outcome == ("failed" if words else "passed")


def test_nccl_that_is_not_the_wheels(monkeypatch):
    monkeypatch.setattr(gpu, "libraries", lambda stem: ["/lib/libcudnn.so.9"])
    monkeypatch.setattr(gpu, "opened", lambda path: (Library(90300), None))
    made = context(GPU, {"nvidia-nccl-cu12": "2.21.5"})
    made.backend.cudnn_compiled = lambda: None
    made.backend.nccl = lambda: (2, 20, 5)
    assert "NCCL loaded is not the wheel's" in cudnn_nccl.run(made).reason
    made.backend.nccl = lambda: (2, 21, 5)
    assert cudnn_nccl.run(made).outcome == "passed"


def test_nccl_inside_the_build_is_not_held_against_another_packages_wheel(monkeypatch):
    monkeypatch.setattr(gpu, "libraries", lambda stem: ["/lib/libcudnn.so.9"])
    monkeypatch.setattr(gpu, "opened", lambda path: (Library(90300), None))
    monkeypatch.setattr(distributions, "required", lambda name: {("numpy", ()): "torch"})
    made = context(GPU, {"nvidia-nccl-cu12": "2.21.5"})
    made.backend.cudnn_compiled = lambda: None
    made.backend.nccl = lambda: (2, 14, 3)
    assert cudnn_nccl.run(made).outcome == "passed"


def test_torchs_own_names_of_libraries_are_known(tmp_path, monkeypatch):
    maps = tmp_path / "maps"
    names = ["libcudart-e409450e.so.11.0", "libcudart_static.a", "libcudart-extra.so", "libcudart.so.12"]
    maps.write_text("".join(f"7f00-7f01 r-xp 00000000 fe:00 1    /opt/torch/lib/{name}\n" for name in names))
    monkeypatch.setattr(gpu, "MAPS", str(maps))
    found = [os.path.basename(path) for path in gpu.libraries("libcudart")]
    assert found[:2] == ["libcudart-e409450e.so.11.0", "libcudart.so.12"]
    assert "libcudart-extra.so" not in found
