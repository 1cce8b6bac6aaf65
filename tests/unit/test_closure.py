"""The library closure, on real ELF files: compiled here, laid out like an image."""

from __future__ import annotations

import functools
import io
import subprocess
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from dlmatrix.errors import ConfigError
from dlmatrix.inspection.closure import Closure, check_closure, describe, site_packages
from dlmatrix.inspection.elf import read_shared_object
from dlmatrix.inspection.filesystem import Archive, FileSystem, Folder
from dlmatrix.inspection.libraries import load_libraries
from dlmatrix.inspection.loader import Place
from dlmatrix.matrix.compatibility import load_compatibility
from dlmatrix.matrix.locks import parse_lock
from dlmatrix.matrix.model import Lock, Matrix

SITE = site_packages("3.11")
CUDNN_9 = ["graph", "ops", "cnn", "adv", "heuristic", "engines_precompiled", "engines_runtime_compiled"]


@functools.cache
def compiled(soname: str, needs: tuple[str, ...] = (), linker: tuple[str, ...] = ()) -> bytes:
    """A shared object that needs sonames; ``linker`` are options such as -rpath."""
    with tempfile.TemporaryDirectory() as folder:
        stubs = [Path(folder) / needed for needed in needs]
        for stub in stubs:
            stub.write_bytes(compiled(stub.name))
        out = Path(folder) / "out.so"
        command = ["gcc", "-shared", "-nostdlib", "-x", "c", "/dev/null", "-x", "none", "-o", str(out)]
        options = [f"-Wl,{option}" for option in (f"-soname,{soname}", "--no-as-needed", *linker)]
        subprocess.run([*command, *options, *map(str, stubs)], check=True)
        return out.read_bytes()


class Image:
    """A file system in the making."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def library(self, path: str, needs: tuple[str, ...] = (), *linker: str) -> Path:
        """Put a shared object somewhere; its soname is its name."""
        file = self.root / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(compiled(file.name, needs, linker))
        return file

    def wheel_library(self, path: str, needs: tuple[str, ...] = (), *linker: str) -> Path:
        """The same, below site-packages."""
        return self.library(f"{SITE}/{path}", needs, *linker)

    def text(self, path: str, content: str) -> None:
        """Write a text file."""
        file = self.root / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)


def as_archive(root: Path) -> FileSystem:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        archive.add(root, arcname=".")
    stream.seek(0)
    return Archive(stream)


@pytest.fixture
def image(tmp_path: Path) -> Image:
    return Image(tmp_path / "root")


@pytest.fixture(params=[Folder, as_archive], ids=["folder", "archive"])
def look(request: pytest.FixtureRequest) -> Callable[[Path], FileSystem]:
    made: Callable[[Path], FileSystem] = request.param
    return made


@pytest.fixture
def check(matrix: Matrix, look: Callable[[Path], FileSystem]) -> Callable[..., Closure]:
    table, libraries = load_compatibility(matrix.root), load_libraries()

    def run(image: Image, name: str, lock: Lock | None = None, library_path: tuple[str, ...] = ()) -> Closure:
        env = next(env for env in matrix.envs if env.name == name)
        place = Place(filesystem=look(image.root), site_packages=SITE, library_path=library_path)
        return check_closure(place, env, libraries, table.build_of(env), lock)

    return run


def make_torch(image: Image) -> None:
    """torch as its wheels lay it out: an RPATH relative to the wheel, and wheels beside it."""
    rpath = "-rpath,$ORIGIN/../../nvidia/cublas/lib:$ORIGIN/../../nvidia/cuda_runtime/lib:$ORIGIN"
    image.wheel_library("nvidia/cuda_runtime/lib/libcudart.so.12")
    image.wheel_library("nvidia/cublas/lib/libcublasLt.so.12")
    image.wheel_library("nvidia/cublas/lib/libcublas.so.12", ("libcublasLt.so.12",), "-rpath,$ORIGIN")
    image.wheel_library("torch/lib/libc10.so")
    image.wheel_library(
        "torch/lib/libtorch_cuda.so",
        ("libc10.so", "libcudart.so.12", "libcublas.so.12", "libcuda.so.1"),
        rpath,
        "--disable-new-dtags",
    )
    image.text(f"{SITE}/torch/version.py", "__version__ = '2.6.0+cu124'\ncuda: Optional[str] = '12.4'\n")


def make_tensorflow(image: Image, cudnn: str, sublibraries: list[str]) -> None:
    """TensorFlow 2.18 with CUDA's wheels; it links none of them and opens them by name."""
    folders = ("cuda_runtime", "cublas", "cufft", "cusolver", "cusparse", "cudnn")
    rpath = ":".join(f"$ORIGIN/../nvidia/{folder}/lib" for folder in folders)
    image.wheel_library("tensorflow/libtensorflow_cc.so.2", (), f"-rpath,{rpath}")
    for folder, names in {
        "cuda_runtime": ["libcudart.so.12"],
        "cublas": ["libcublas.so.12", "libcublasLt.so.12"],
        "cufft": ["libcufft.so.11"],
        "cusolver": ["libcusolver.so.11"],
        "cusparse": ["libcusparse.so.12"],
        "cudnn": sublibraries,
    }.items():
        for name in names:
            image.wheel_library(f"nvidia/{folder}/lib/{name}")
    image.wheel_library(f"nvidia/cudnn/lib/{cudnn}", (), "-rpath,$ORIGIN")


def test_complete(image: Image, check: Callable[..., Closure]) -> None:
    make_torch(image)
    closure = check(image, "gpu-torch-2.6")
    assert closure.complete, describe(closure)
    assert closure.driver == ("libcuda.so.1",)
    assert closure.objects == 5
    assert describe(closure) == ("5 shared objects find every library they need; from the host's driver: libcuda.so.1",)


def test_a_removed_wheel_is_named(image: Image, check: Callable[..., Closure]) -> None:
    make_torch(image)
    for file in (image.root / SITE.lstrip("/") / "nvidia/cublas/lib").iterdir():
        file.unlink()
    lock = parse_lock(Path("lock"), f"nvidia-cublas-cu12==12.4.5.8 --hash=sha256:{'0' * 64}\n", "")
    (finding,) = check(image, "gpu-torch-2.6", lock).findings
    assert finding.what == "libcublas.so.12"
    assert finding.needed_by == f"{SITE}/torch/lib/libtorch_cuda.so"
    assert finding.wheel == "nvidia-cublas-cu12==12.4.5.8"
    assert "nvidia-cublas-cu12==12.4.5.8 brings it" in finding.message


def test_cudnn_8_where_9_is_needed(image: Image, check: Callable[..., Closure]) -> None:
    """The official TensorFlow 2.18 GPU image: https://github.com/tensorflow/tensorflow/issues/81344."""
    kinds = ["ops_infer", "ops_train", "cnn_infer", "cnn_train", "adv_infer", "adv_train"]
    make_tensorflow(image, "libcudnn.so.8", [f"libcudnn_{kind}.so.8" for kind in kinds])
    (finding,) = check(image, "gpu-tf2-2.18").findings
    assert finding.what == "libcudnn.so.9"
    assert finding.wheel == "nvidia-cudnn-cu12==9.*"
    assert "another version is there: libcudnn.so.8" in finding.message


def test_tensorflow_with_the_right_cudnn(image: Image, check: Callable[..., Closure]) -> None:
    make_tensorflow(image, "libcudnn.so.9", [f"libcudnn_{kind}.so.9" for kind in CUDNN_9])
    assert check(image, "gpu-tf2-2.18").complete


def test_a_sub_library_of_cudnn_is_opened_by_name(image: Image, check: Callable[..., Closure]) -> None:
    make_tensorflow(image, "libcudnn.so.9", [f"libcudnn_{kind}.so.9" for kind in CUDNN_9 if kind != "heuristic"])
    (finding,) = check(image, "gpu-tf2-2.18").findings
    assert finding.what == "libcudnn_heuristic.so.9"
    assert finding.wheel == "nvidia-cudnn-cu12==9.*"


def test_nothing_of_tensorflow_is_no_pass(image: Image, check: Callable[..., Closure]) -> None:
    image.wheel_library("numpy/core.so")
    (finding,) = check(image, "gpu-tf2-2.18").findings
    assert finding.what == "libtensorflow_cc.so.2"


def test_loader_cache_and_library_path(image: Image, check: Callable[..., Closure]) -> None:
    """TensorFlow 2.16.1 without either misses libraries that are there."""
    make_tensorflow(image, "libcudnn.so.9", [f"libcudnn_{kind}.so.9" for kind in CUDNN_9])
    image.wheel_library("tensorflow/libtensorflow_cc.so.2")  # again, without an RPATH
    bare = check(image, "gpu-tf2-2.18")
    assert {finding.what for finding in bare.findings} >= {"libcudart.so.12", "libcudnn.so.9"}
    assert "it lies in" in bare.findings[0].message
    folders = tuple(str(f) for f in sorted((image.root / SITE.lstrip("/") / "nvidia").glob("*/lib")))
    inside = tuple("/" + str(Path(f).relative_to(image.root)) for f in folders)
    assert check(image, "gpu-tf2-2.18", library_path=inside).complete
    image.text("/etc/ld.so.conf", "# the usual\ninclude /etc/ld.so.conf.d/*.conf\n")
    image.text("/etc/ld.so.conf.d/nvidia-wheels.conf", "\n".join(inside))
    assert check(image, "gpu-tf2-2.18").complete


def test_what_one_object_finds_is_loaded_for_all(image: Image, check: Callable[..., Closure]) -> None:
    make_torch(image)
    image.wheel_library("torch/_C.so", ("libcublas.so.12",))
    assert check(image, "gpu-torch-2.6").complete


def test_the_rpath_of_a_loader_serves_what_it_loads(image: Image, check: Callable[..., Closure]) -> None:
    """auditwheel gives only the extension module an RPATH; the libraries beside it have none."""
    make_torch(image)
    image.wheel_library("h5py.libs/libaec.so.0")
    image.wheel_library("h5py.libs/libsz.so.2", ("libaec.so.0",))
    image.wheel_library("h5py.libs/libhdf5.so.310", ("libsz.so.2",))
    module = ("h5py/_errors.so", ("libhdf5.so.310",), "-rpath,$ORIGIN/../h5py.libs")
    image.wheel_library(*module, "--disable-new-dtags")
    assert check(image, "gpu-torch-2.6").complete
    image.wheel_library(*module, "--enable-new-dtags")  # a RUNPATH is for the object alone
    assert [finding.what for finding in check(image, "gpu-torch-2.6").findings] == ["libsz.so.2", "libaec.so.0"]


def test_a_library_for_another_machine_is_none(image: Image, check: Callable[..., Closure]) -> None:
    make_torch(image)
    file = image.root / SITE.lstrip("/") / "nvidia/cuda_runtime/lib/libcudart.so.12"
    content = bytearray(file.read_bytes())
    content[18:20] = (183).to_bytes(2, "little")  # e_machine: AArch64
    file.write_bytes(content)
    (finding,) = check(image, "gpu-torch-2.6").findings
    assert finding.what == "libcudart.so.12"


def test_optional_plugins_are_notes(image: Image, check: Callable[..., Closure]) -> None:
    make_torch(image)
    image.wheel_library("nvidia/cufile/lib/libcufile_rdma.so.1", ("libibverbs.so.1",))
    image.wheel_library("triton/plugins/libMLIRDialectPlugin.so", ("libtriton.so",))
    image.wheel_library("triton/_C/libtriton.so")
    closure = check(image, "gpu-torch-2.6")
    assert closure.complete
    assert closure.notes == (
        "libcufile_rdma.so.1 is not checked: GPUDirect Storage over RDMA",
        "libMLIRDialectPlugin.so is not checked: a plugin of triton, which loads libtriton.so before it",
    )


def test_an_image_holds_no_driver_library(image: Image, check: Callable[..., Closure]) -> None:
    make_torch(image)
    image.library("/usr/lib/x86_64-linux-gnu/libcuda.so.1")
    (finding,) = check(image, "gpu-torch-2.6").findings
    assert finding.what == "libcuda.so.1"
    assert "hides the host's own" in finding.message


def test_links_are_followed_inside(image: Image, check: Callable[..., Closure]) -> None:
    make_torch(image)
    lib = image.root / SITE.lstrip("/") / "nvidia/cuda_runtime/lib"
    (lib / "libcudart.so.12").rename(lib / "libcudart.so.12.4.127")
    (lib / "libcudart.so.12").symlink_to(f"{SITE}/nvidia/cuda_runtime/lib/libcudart.so.12.4.127")
    assert check(image, "gpu-torch-2.6").complete
    (lib / "libcudart.so.12").unlink()
    (lib / "libcudart.so.12").symlink_to("libcudart.so.12")
    assert [finding.what for finding in check(image, "gpu-torch-2.6").findings] == ["libcudart.so.12"]


def test_cpu_guard(image: Image, check: Callable[..., Closure]) -> None:
    make_torch(image)
    image.text(f"{SITE}/nvidia_cublas_cu12-12.4.5.8.dist-info/METADATA", "Name: nvidia-cublas-cu12\n")
    closure = check(image, "cpu-torch-2.6")
    assert [finding.message for finding in closure.findings] == [
        "the distribution nvidia-cublas-cu12 has no place in a cpu env",
        "the framework is a CUDA build (torch.version.cuda is 12.4)",
    ]


def test_cpu_guard_passes_a_cpu_build(image: Image, check: Callable[..., Closure]) -> None:
    image.text(f"{SITE}/torch/version.py", "cuda: Optional[str] = None\n")
    image.text(f"{SITE}/numpy-1.26.4.dist-info/METADATA", "Name: numpy\n")
    image.text(f"{SITE}/nvidia_ml_py-13.580.82.dist-info/METADATA", "Name: nvidia-ml-py\n")
    assert check(image, "cpu-torch-2.6").complete


def test_tensorflow_1_15_is_a_cuda_build_for_a_reason(image: Image, check: Callable[..., Closure]) -> None:
    path = f"{SITE}/tensorflow_core/python/platform/build_info.py"
    image.text(path, "is_cuda_build = True\n")
    closure = check(image, "cpu-tf1-1.15")
    assert closure.complete
    assert "one wheel serves both" in closure.notes[0]
    image.text(path.replace("tensorflow_core", "tensorflow"), "OrderedDict([('is_cuda_build', True)])\n")
    assert [f.what for f in check(image, "cpu-tf2-2.15").findings] == ["tf2"]


@pytest.mark.parametrize(
    "content", [b"GROUP ( /lib/libc.so.6 )", b"\x7fELF", b"\x7fELF" + b"\x02\x01\x01" + b"\0" * 80, b""]
)
def test_what_is_no_shared_object(content: bytes) -> None:
    assert read_shared_object(io.BytesIO(content)) is None


def test_a_truncated_library_is_none(image: Image) -> None:
    content = image.library("/lib/liba.so.1").read_bytes()
    found = read_shared_object(io.BytesIO(content))
    assert found
    assert found.soname == "liba.so.1"
    assert read_shared_object(io.BytesIO(content[:256])) is None


def test_wheel_names() -> None:
    libraries = load_libraries()
    assert libraries.wheel_of("libcublasLt.so.12", "12") == "nvidia-cublas-cu12"
    assert libraries.wheel_of("libcusparseLt.so.0", "12") == "nvidia-cusparselt-cu12"
    assert libraries.wheel_of("libnvrtc-builtins.so.13.0", "13") == "nvidia-cuda-nvrtc"
    assert libraries.wheel_of("libcudnn_ops.so.9", "13") == "nvidia-cudnn-cu13"
    assert libraries.wheel_of("libcufft.so.10", "11") == "nvidia-cufft-cu11"
    assert libraries.wheel_of("libstdc++.so.6", "12") == ""


def test_a_broken_table_names_file_and_key(tmp_path: Path) -> None:
    file = tmp_path / "libraries.toml"
    file.write_text('driver = []\n[wheels]\n[optional]\n[[opens]]\nby = "a"\nname = []\n')
    with pytest.raises(ConfigError, match=r"libraries\.toml: opens\[1\]\.names: is missing"):
        load_libraries(file)
