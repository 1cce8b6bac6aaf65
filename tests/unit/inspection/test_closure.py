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
from elftools.elf.elffile import ELFFile

from dlmatrix.errors import ConfigError
from dlmatrix.inspection.closure import Closure, check_closure, describe, site_packages
from dlmatrix.inspection.elf import read_shared_object
from dlmatrix.inspection.filesystem import FileSystem, Folder, Stacked
from dlmatrix.inspection.layer import read_layer
from dlmatrix.inspection.libraries import load_libraries
from dlmatrix.inspection.loader import Place
from dlmatrix.inspection.private import Private
from dlmatrix.matrix.compatibility import load_compatibility
from dlmatrix.matrix.locks import parse_lock
from dlmatrix.matrix.model import Lock, Matrix

SITE = site_packages("3.11")
CUDNN_9 = ["graph", "ops", "cnn", "adv", "heuristic", "engines_precompiled", "engines_runtime_compiled"]


@functools.cache
def compiled(
    soname: str,
    needs: tuple[str, ...] = (),
    linker: tuple[str, ...] = (),
    names: tuple[str, ...] = (),
    module: str = "",
) -> bytes:
    """A shared object that needs sonames; ``linker`` are options such as -rpath.

    ``names`` are its constants; ``module`` is what Python can import it as.
    """
    source = [f'const char constant_{number}[] = "{name}";' for number, name in enumerate(names)]
    source += [f"int PyInit_{module};"] if module else []
    with tempfile.TemporaryDirectory() as folder:
        stubs = [Path(folder) / needed for needed in needs]
        for stub in stubs:
            stub.write_bytes(compiled(stub.name))
        out = Path(folder) / "out.so"
        command = ["gcc", "-shared", "-nostdlib", "-x", "c", "-", "-x", "none", "-o", str(out)]
        options = [f"-Wl,{option}" for option in (f"-soname,{soname}", "--no-as-needed", *linker)]
        subprocess.run([*command, *options, *map(str, stubs)], input="\n".join(source), text=True, check=True)
        return out.read_bytes()


class Image:
    """A file system in the making."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def library(self, path: str, needs: tuple[str, ...] = (), *linker: str, names: tuple[str, ...] = ()) -> Path:
        """Put a shared object somewhere; its soname is its name."""
        return self._put(path, compiled(Path(path).name, needs, linker, names))

    def wheel_library(self, path: str, needs: tuple[str, ...] = (), *linker: str, names: tuple[str, ...] = ()) -> Path:
        """The same, below site-packages."""
        return self.library(f"{SITE}/{path}", needs, *linker, names=names)

    def module(self, path: str, needs: tuple[str, ...] = (), *linker: str) -> Path:
        """An extension module, below site-packages."""
        name = Path(path).name
        return self._put(f"{SITE}/{path}", compiled(name, needs, linker, module=name.partition(".")[0]))

    def _put(self, path: str, content: bytes) -> Path:
        file = self.root / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        return file

    def text(self, path: str, content: str) -> None:
        """Write a text file."""
        self._put(path, content.encode())

    def record(self, distribution: str, *paths: str) -> None:
        """What a distribution brought, below site-packages."""
        lines = "".join(f"{path},sha256=x,1\n" for path in paths)
        self.text(f"{SITE}/{distribution}.dist-info/RECORD", lines)


def as_archive(root: Path) -> FileSystem:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        archive.add(root, arcname=".")
    stream.seek(0)
    return Stacked([read_layer(stream, Private())])


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
    image.module("torch/_C.cpython-311-x86_64-linux-gnu.so", ("libtorch_cuda.so",), "-rpath,$ORIGIN/lib")
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
    image.module("tensorflow/python/_pywrap_tf.so", ("libtensorflow_cc.so.2",), "-rpath,$ORIGIN/..")
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
    image.wheel_library(f"nvidia/cudnn/lib/{cudnn}", (), "-rpath,$ORIGIN", names=tuple(sublibraries))


def test_complete(image: Image, check: Callable[..., Closure]) -> None:
    make_torch(image)
    closure = check(image, "gpu-torch-2.6")
    assert closure.complete, describe(closure)
    assert closure.driver == ("libcuda.so.1",)
    assert (closure.loaded, closure.objects) == (6, 6)
    loaded = "6 of 6 shared objects are loaded by something, and find every library they need"
    assert describe(closure) == (f"{loaded}; from the host's driver: libcuda.so.1",)


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
    """It is named without its version, and the wheel's RECORD tells that it was there."""
    make_tensorflow(image, "libcudnn.so.9", [f"libcudnn_{kind}.so.9" for kind in CUDNN_9])
    names = ("libcudnn_graph.so", "libcudnn_heuristic.so")
    image.wheel_library("nvidia/cudnn/lib/libcudnn.so.9", (), "-rpath,$ORIGIN", names=names)
    brought = [f"nvidia/cudnn/lib/libcudnn{kind}.so.9" for kind in ("", "_graph", "_heuristic")]
    image.record("nvidia_cudnn_cu12-9.3.0.75", *brought)
    assert check(image, "gpu-tf2-2.18").complete
    gone = image.root / SITE.lstrip("/") / "nvidia/cudnn/lib/libcudnn_heuristic.so.9"
    gone.write_bytes(b"")
    (empty,) = check(image, "gpu-tf2-2.18").findings
    gone.unlink()
    (finding,) = check(image, "gpu-tf2-2.18").findings
    assert finding == empty
    assert finding.what == "libcudnn_heuristic.so.9"
    assert finding.needed_by == f"{SITE}/nvidia/cudnn/lib/libcudnn.so.9"
    assert finding.wheel == "nvidia-cudnn-cu12==9.3.0.75"


def cudnn_9_20(image: Image) -> None:
    """The wheel that torch 2.13 pins: https://github.com/pytorch/pytorch/issues/188892."""
    make_torch(image)
    names = ("libcudnn_engines_tensor_ir.so",)
    image.wheel_library("nvidia/cudnn/lib/libcudnn_graph.so.9", (), "-rpath,$ORIGIN", names=names)
    image.module("torch/_cudnn.so", ("libcudnn_graph.so.9",), "-rpath,$ORIGIN/../nvidia/cudnn/lib")
    image.record("nvidia_cudnn_cu13-9.20.0.48", "nvidia/cudnn/lib/libcudnn_graph.so.9")


def test_a_part_that_a_wheel_came_without_is_a_note(image: Image, check: Callable[..., Closure]) -> None:
    cudnn_9_20(image)
    closure = check(image, "gpu-torch-2.13")
    assert closure.complete, describe(closure)
    came = "nvidia-cudnn-cu13 9.20.0.48 came without it"
    opens = "libcudnn_graph.so.9 opens libcudnn_engines_tensor_ir.so where it is there, and it is not"
    assert closure.notes == (f"{opens}; {came}",)


def test_a_part_of_another_version_is_not_taken(image: Image, check: Callable[..., Closure]) -> None:
    """CUDNN_STATUS_SUBLIBRARY_VERSION_MISMATCH, which every convolution ends in."""
    cudnn_9_20(image)
    part = "/usr/lib/x86_64-linux-gnu/libcudnn_engines_tensor_ir.so.9"
    other = image.library(f"{part}.23.2")
    (image.root / part.lstrip("/")).symlink_to(other.name)
    (finding,) = check(image, "gpu-torch-2.13").findings
    assert f"{part}.23.2, of another installation" in finding.message
    same = other.rename(other.with_name("libcudnn_engines_tensor_ir.so.9.20.0"))
    (image.root / part.lstrip("/")).unlink()
    (image.root / part.lstrip("/")).symlink_to(same.name)
    assert check(image, "gpu-torch-2.13").complete


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
    image.module("torch/_more.so", ("libcublas.so.12",))
    assert check(image, "gpu-torch-2.6").complete


def test_the_rpath_of_a_loader_serves_what_it_loads(image: Image, check: Callable[..., Closure]) -> None:
    """auditwheel gives only the extension module an RPATH; the libraries beside it have none."""
    make_torch(image)
    image.wheel_library("h5py.libs/libaec.so.0")
    image.wheel_library("h5py.libs/libsz.so.2", ("libaec.so.0",))
    image.wheel_library("h5py.libs/libhdf5.so.310", ("libsz.so.2",))
    module = ("h5py/_errors.so", ("libhdf5.so.310",), "-rpath,$ORIGIN/../h5py.libs")
    image.module(*module, "--disable-new-dtags")
    assert check(image, "gpu-torch-2.6").complete
    image.module(*module, "--enable-new-dtags")  # a RUNPATH is for the object alone
    assert [finding.what for finding in check(image, "gpu-torch-2.6").findings] == ["libsz.so.2"]


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
    rdma = "libcufile_rdma.so.1"
    image.wheel_library(f"nvidia/cufile/lib/{rdma}", ("libibverbs.so.1",))
    image.wheel_library("nvidia/cufile/lib/libcufile.so.0", (), "-rpath,$ORIGIN", names=(rdma,))
    image.module("torch/_gds.so", ("libcufile.so.0",), "-rpath,$ORIGIN/../nvidia/cufile/lib")
    closure = check(image, "gpu-torch-2.6")
    assert closure.complete
    assert closure.notes == ("libcufile_rdma.so.1 is not checked: GPUDirect Storage over RDMA",)
    image.record("nvidia_cufile_cu12-1.11", "nvidia/cufile/lib/libcufile_rdma.so.1")
    (image.root / SITE.lstrip("/") / "nvidia/cufile/lib" / rdma).unlink()
    assert check(image, "gpu-torch-2.6").complete
    image.wheel_library(f"nvidia/cufile/lib/{rdma}", ("libibverbs.so.1",))
    image.module("torch/_gds.so", (rdma,), "-rpath,$ORIGIN/../nvidia/cufile/lib")
    assert [finding.what for finding in check(image, "gpu-torch-2.6").findings] == ["libibverbs.so.1"]


def test_what_nothing_loads_is_a_note(image: Image, check: Callable[..., Closure]) -> None:
    """torch 2.15 carries a Fortran runtime that none of its libraries needs any more."""
    make_torch(image)
    image.wheel_library("torch/lib/libgfortran.so.5", ("libquadmath.so.0",))
    closure = check(image, "gpu-torch-2.15")
    assert closure.complete
    assert (closure.loaded, closure.objects) == (6, 7)
    assert closure.notes == ("libgfortran.so.5 is not checked: nothing loads it (it lacks libquadmath.so.0)",)
    image.wheel_library("torch/lib/libc10.so", ("libgfortran.so.5",), "-rpath,$ORIGIN")
    (finding,) = check(image, "gpu-torch-2.15").findings
    assert finding.what == "libquadmath.so.0"
    assert finding.needed_by == f"{SITE}/torch/lib/libgfortran.so.5"


def test_a_module_that_is_imported_answers_to_its_soname(image: Image, check: Callable[..., Closure]) -> None:
    """What triton's plugins need is loaded already when triton opens them."""
    make_torch(image)
    image.wheel_library("triton/plugins/libTritonPluginsTestLib.so", ("libtriton.so",))
    image.text(f"{SITE}/triton/plugins.py", "PLUGIN = 'plugins/libTritonPluginsTestLib.so'\n")
    image.module("triton/_C/libtriton.so")
    closure = check(image, "gpu-torch-2.15")
    assert closure.complete
    assert (closure.loaded, closure.notes) == (8, ())
    image.wheel_library("triton/_C/libtriton.so")  # not a module any more
    assert [finding.what for finding in check(image, "gpu-torch-2.15").findings] == ["libtriton.so"]


@pytest.mark.parametrize("quoted", ['"libtorch_global_deps" + ".so"', 'f"lib/libtorch_global_deps{ending}"'])
def test_what_a_program_names_is_loaded(image: Image, check: Callable[..., Closure], quoted: str) -> None:
    make_torch(image)
    image.wheel_library("torch/lib/libtorch_global_deps.so", ("libgomp.so.1",))
    assert check(image, "gpu-torch-2.6").complete
    image.text(f"{SITE}/torch/__init__.py", f"ctypes.CDLL({quoted})\n")
    assert [finding.what for finding in check(image, "gpu-torch-2.6").findings] == ["libgomp.so.1"]


def test_a_folder_that_tensorflow_loads_whole(image: Image, check: Callable[..., Closure]) -> None:
    make_tensorflow(image, "libcudnn.so.9", [f"libcudnn_{kind}.so.9" for kind in CUDNN_9])
    image.wheel_library("tensorflow/core/kernels/libtfkernel_sobol_op.so", ("libgone.so.1",))
    assert [finding.what for finding in check(image, "gpu-tf2-2.18").findings] == ["libgone.so.1"]


def test_a_name_in_a_program_excuses_no_missing_path(image: Image, check: Callable[..., Closure]) -> None:
    make_torch(image)
    image.text(f"{SITE}/cuda/pathfinder.py", 'SONAMES = ("libcublas.so.12",)\n')
    image.wheel_library("torch/lib/libtorch_cuda.so", ("libcublas.so.12",))  # without an RPATH
    (finding,) = check(image, "gpu-torch-2.6").findings
    assert finding.what == "libcublas.so.12"
    assert f"it lies in {SITE}/nvidia/cublas/lib" in finding.message


def test_a_library_that_a_program_beside_it_names_is_gone(image: Image, check: Callable[..., Closure]) -> None:
    make_torch(image)
    image.record("torch-2.6.0", "torch/lib/libtorch_global_deps.so", "torch/lib/libunused.so")
    image.text(f"{SITE}/pathfinder/names.py", 'NAMES = ["libtorch_global_deps.so"]\n')
    assert check(image, "gpu-torch-2.6").complete
    image.text(f"{SITE}/torch/__init__.py", 'ctypes.CDLL(folder / ("libtorch_global_deps" + ".so"))\n')
    (finding,) = check(image, "gpu-torch-2.6").findings
    assert finding.what == "libtorch_global_deps.so"
    assert finding.wheel == "torch==2.6.0"


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
    assert check(image, "gpu-torch-2.6").notes == ()
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


def test_constants_that_are_names_of_libraries() -> None:
    names = (
        "libfirst.so.9",
        "%s/lib64/libpath.so",
        "libformat.so.%d",
        "no libsentence.so",
        "libmany.so.1.2",
        "x" * 200,
    )
    found = read_shared_object(io.BytesIO(compiled("libx.so", (), (), names)))
    assert found
    assert found.names == {"libfirst.so.9", "libpath.so", "libmany.so.1.2"}
    assert found.modules == frozenset()


def test_sizes_in_headers_are_not_relied_on() -> None:
    content = bytearray(compiled("libx.so", (), (), ("liba.so",), "x"))
    elf = ELFFile(io.BytesIO(bytes(content)))
    index = next(i for i, section in enumerate(elf.iter_sections()) if section.name == ".rodata")
    at = elf["e_shoff"] + index * elf["e_shentsize"] + 32  # sh_size
    content[at : at + 8] = (1 << 60).to_bytes(8, "little")
    found = read_shared_object(io.BytesIO(bytes(content)))
    assert found
    assert found.names == {"liba.so"}


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
    file.write_text('driver = []\nfolders = []\n[wheels]\n[optional]\n[[framework]]\nversions = ["1", "2"]\n')
    with pytest.raises(ConfigError, match=r"libraries\.toml: framework\[1\]\.framework: is missing"):
        load_libraries(file)
