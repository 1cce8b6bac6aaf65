"""Which variant an installation is, from the frameworks' own files as their wheels hold them."""

import json
import os
import subprocess
import sys

import pytest

from smoke import catalog, distributions, variants

CUDA_2_11 = "cuda: Optional[str] = '13.0'\nhip: Optional[str] = None\n"
TF2 = "build_info = collections.OrderedDict([('cuda_version', '12.5.1'), ('is_cuda_build', {})])"
TF1 = "is_rocm_build = False\nis_cuda_build = {}\n"
BUILD_INFO = "python/platform/build_info.py"


def install(folder, files):
    for name, text in files.items():
        path = os.path.join(str(folder), name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as stream:
            stream.write(text)


@pytest.mark.parametrize(
    ("framework", "files", "variant"),
    [
        ("torch", {"torch/version.py": CUDA_2_11}, "gpu"),
        ("torch", {"torch/version.py": "cuda = '11.7'\n"}, "gpu"),
        ("torch", {"torch/version.py": "cuda: Optional[str] = None\nxpu: Optional[str] = None\n"}, "cpu"),
        ("torch", {"torch.py": "", "version.py": CUDA_2_11}, "cpu"),
        ("torch", {}, "cpu"),
        ("tf2", {"tensorflow/" + BUILD_INFO: TF2.format(False), "nvidia_ml_py-13.dist-info/METADATA": ""}, "cpu"),
        ("tf2", {"tensorflow/" + BUILD_INFO: TF2.format(True)}, "cpu"),
        ("tf2", {"tensorflow/" + BUILD_INFO: TF2.format(True), "nvidia_ml_py-13.dist-info/METADATA": ""}, "cpu"),
        ("tf2", {"tensorflow/" + BUILD_INFO: TF2.format(True), "nvidia_cudnn_cu12-9.dist-info/METADATA": ""}, "gpu"),
        ("tf2", {"tensorflow/" + BUILD_INFO: TF2.format(True), "dev/nvidiactl": ""}, "gpu"),
        ("tf1", {"tensorflow_core/" + BUILD_INFO: TF1.format(True), "dev/dxg": ""}, "gpu"),
        ("tf1", {"tensorflow_core/" + BUILD_INFO: TF1.format(False), "dev/dxg": ""}, "cpu"),
    ],
)
def test_the_variant_is_the_installed_builds(framework, files, variant, tmp_path, monkeypatch):
    install(tmp_path, files)
    install(tmp_path, {"{}/__init__.py".format(name.split("/")[0]): "" for name in files if name.endswith("info.py")})
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    for name in ("torch", "tensorflow", "tensorflow_core"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    assert variants.installed(framework, str(tmp_path)) == variant


def test_without_an_expectation_a_cuda_build_is_not_held_for_a_cpu_env(checkout, tmp_path, monkeypatch):
    """The whole command, on a CUDA build that ends in its import."""
    install(tmp_path, {"torch/version.py": CUDA_2_11, "torch/__init__.py": "raise ImportError('no GPU in here')"})
    install(tmp_path, {"nvidia_cublas-13.0.dist-info/METADATA": "", "nvidia_ml_py-13.580.dist-info/METADATA": ""})
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    command = [sys.executable, "-m", "smoke", "--framework", "torch", "--json", "-", "--throughput", "0"]
    done = subprocess.run(command, cwd=checkout, capture_output=True, check=False)
    checks = {check["id"]: check["outcome"] for check in json.loads(done.stdout.decode())["checks"]}
    assert "cpu-guard" not in checks
    assert checks["gpu-guard"] == "skipped"
    assert checks["imports"] == "failed"


def test_what_is_expected_decides_before_what_is_installed(tmp_path, monkeypatch):
    install(tmp_path, {"torch/version.py": CUDA_2_11, "torch/__init__.py": ""})
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    chosen = {check.id for check in catalog.applying("torch", {"variant": "cpu"})}
    assert "cpu-guard" in chosen
    assert "gpu-guard" not in chosen


#: Names of wheels on the index: CUDA libraries of CUDA 11 to 13, and what only observes, serves or develops.
CUDA = """
    nvidia-cublas nvidia-cublas-cu12 nvidia-cuda-runtime-cu11 nvidia-cuda-nvrtc nvidia-cuda-cupti nvidia-cudnn-cu13
    nvidia-cudnn-frontend nvidia-cufft nvidia-cufile nvidia-curand nvidia-cusolver nvidia-cusparse
    nvidia-cusparselt-cu13 nvidia-dali-cuda120 nvidia-libmathdx-cu12 nvidia-nccl-cu13 nvidia-npp nvidia-nvjitlink
    nvidia-nvjpeg-cu12 nvidia-nvshmem-cu13 nvidia-nvtx nvidia-nvvm
"""
NOT_CUDA = """
    nvidia-ml-py nvidia-ml-py3 nvidia-mig-py nvidia-smi nvidia-htop nvidia-gpu-monitor nvidia-nvml-dev-cu12
    nvidia-nsys nvidia-nat nvidia-pyindex nvidia-modelopt nvidia-tensorboard numpy cuda-bindings
"""


def test_which_distributions_are_cuda_libraries():
    assert distributions.cuda((CUDA + NOT_CUDA).split()) == sorted(CUDA.split())
