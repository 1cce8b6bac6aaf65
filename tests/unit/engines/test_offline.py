"""The venv engine where nothing but local files can be had: in a network namespace without a route."""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

ENV = "cpu-torch-1.0"
TOML = """\
series = "torch"
version = "1.0.0"
python = "{python}"
exclude-newer = "2026-11-01T00:00:00Z"

[cpu]
requirements = ["tiny==1.0.0"]
size-budget-mb = 400

[gpu]
status = "impossible"
reason = "a test's env"
"""
PREPARE = """\
import os, sys
from pathlib import Path
import uv
from dlmatrix.engines.venv import VenvEngine
from dlmatrix.errors import DlmatrixError
from dlmatrix.matrix.load import load_matrix, lock_of, select
from dlmatrix.matrix.plan import Limits, make_plan
from dlmatrix.matrix.site import read_site
matrix = load_matrix(Path.cwd())
(env,) = select(matrix, [sys.argv[1]])
try:
    site = read_site(os.environ)
    VenvEngine(site, uv.find_uv_bin()).prepare(make_plan(matrix, env, lock_of(matrix, env), "0", Limits()), print)
except DlmatrixError as error:
    print(error)
    sys.exit(error.exit_code)
"""
#: What builds the source: nothing that is not in this file.
BACKEND = """\
import pathlib, zipfile
def build_wheel(folder, config_settings=None, metadata_directory=None):
    info = "sourced-1.0.0.dist-info/"
    with zipfile.ZipFile(pathlib.Path(folder, "sourced-1.0.0-py3-none-any.whl"), "w") as wheel:
        wheel.writestr("sourced.py", "VALUE = 1")
        wheel.writestr(info + "METADATA", "Metadata-Version: 2.1\\nName: sourced\\nVersion: 1.0.0\\n")
        wheel.writestr(info + "WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr(info + "RECORD", "sourced.py,,\\n")
    return "sourced-1.0.0-py3-none-any.whl"
"""


def a_wheel(folder: Path, name: str, tag: str = "py3-none-any", text: str = "") -> Path:
    file = folder / f"{name}-1.0.0-{tag}.whl"
    info = f"{name}-1.0.0.dist-info"
    with zipfile.ZipFile(file, "w") as wheel:
        wheel.writestr(f"{name}.py", text)
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0.0\n")
        wheel.writestr(f"{info}/WHEEL", f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n")
        wheel.writestr(f"{info}/RECORD", f"{name}.py,,\n")
    return file


def a_source(folder: Path) -> Path:
    file = folder / "sourced-1.0.0.tar.gz"
    project = b'[build-system]\nrequires = ["backend"]\nbuild-backend = "backend"\n'
    with tarfile.open(file, "w:gz") as archive:
        for name, data in (
            ("pyproject.toml", project),
            ("PKG-INFO", b"Metadata-Version: 2.1\nName: sourced\nVersion: 1.0.0\n"),
        ):
            member = tarfile.TarInfo(f"sourced-1.0.0/{name}")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return file


@dataclass
class Lab:
    """A checkout with one env, and a folder of wheels."""

    checkout: Path
    wheels: Path
    environ: dict[str, str]

    def locks(self, *files: Path, build: Path | None = None) -> None:
        locks = self.checkout / "envs" / "locks"
        (locks / f"{ENV}.txt").write_text("".join(map(entry, files)))
        if build:
            (locks / f"{ENV}.build.txt").write_text(entry(build))

    def prepare(self) -> subprocess.CompletedProcess[str]:
        command = [*without_network(), sys.executable, "-c", PREPARE, ENV]
        return subprocess.run(
            command, cwd=self.checkout, env=self.environ, capture_output=True, text=True, check=False, timeout=120
        )

    def installed(self, module: str) -> bool:
        python = self.checkout / ".dlmatrix" / "venvs" / ENV / "bin" / "python"
        if not python.exists():
            return False
        return subprocess.run([python, "-c", f"import {module}"], capture_output=True, check=False).returncode == 0


def entry(file: Path) -> str:
    name = file.name.split("-")[0]
    return f"{name}==1.0.0 \\\n    --hash=sha256:{hashlib.sha256(file.read_bytes()).hexdigest()}\n"


def without_network() -> list[str]:
    return ["unshare", "--net"] if os.geteuid() == 0 else ["unshare", "--net", "--map-root-user"]


@pytest.fixture
def lab(checkout: Path, root: Path, tmp_path: Path) -> Lab:
    try:
        entered = subprocess.run([*without_network(), "true"], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no unshare on this machine (Debian: apt-get install util-linux)")
    if entered.returncode:
        pytest.skip(f"a network namespace cannot be made: {entered.stderr.strip()}")
    own = f"{sys.version_info[0]}.{sys.version_info[1]}"
    (checkout / "envs" / "torch-1.0.toml").write_text(TOML.format(python=own))
    (tmp_path / "wheels").mkdir()
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "UV_"))}
    kept |= {"PYTHONPATH": str(root), "PIP_CONFIG_FILE": os.devnull, "UV_CACHE_DIR": str(tmp_path / "cache")}
    kept |= {
        "UV_FIND_LINKS": str(tmp_path / "wheels"),
        "UV_DEFAULT_INDEX": "http://127.0.0.1:9/simple",
        "UV_HTTP_RETRIES": "0",
    }
    return Lab(checkout, tmp_path / "wheels", kept)


def test_where_the_folder_has_all_of_it_no_index_is_asked(lab: Lab) -> None:
    lab.locks(a_wheel(lab.wheels, "tiny"), a_wheel(lab.wheels, "more"))
    done = lab.prepare()
    assert done.returncode == 0, done.stdout + done.stderr
    assert lab.installed("tiny")
    assert lab.installed("more")


def test_a_source_is_built_with_what_the_folder_has(lab: Lab) -> None:
    lab.locks(a_wheel(lab.wheels, "tiny"), a_source(lab.wheels), build=a_wheel(lab.wheels, "backend", text=BACKEND))
    done = lab.prepare()
    assert done.returncode == 0, done.stdout + done.stderr
    assert lab.installed("sourced")


def no_wheel(lab: Lab) -> None:
    (lab.wheels / "more-1.0.0-py3-none-any.whl").unlink()


def another_python_s(lab: Lab) -> None:
    lab.locks(lab.wheels / "tiny-1.0.0-py3-none-any.whl", a_wheel(lab.wheels, "more", "cp27-cp27mu-linux_x86_64"))
    no_wheel(lab)


def torn(lab: Lab) -> None:
    file = lab.wheels / "more-1.0.0-py3-none-any.whl"
    file.write_bytes(file.read_bytes()[:100])


def other_bytes(lab: Lab) -> None:
    a_wheel(lab.wheels, "more", text="print('not the one')")


def no_backend(lab: Lab) -> None:
    lab.locks(lab.wheels / "tiny-1.0.0-py3-none-any.whl", a_source(lab.wheels), build=a_wheel(lab.wheels, "backend"))
    (lab.wheels / "backend-1.0.0-py3-none-any.whl").unlink()


LACKS = "the find-links folders have no file for Python {python} of {name}==1.0.0\n  next: put it into one of them, or "
ALTERED = "more-1.0.0-py3-none-any.whl: not the file that the lock names\n  next: download it again, or delete it"


@pytest.mark.parametrize(
    ("change", "code", "says"),
    [
        (no_wheel, 7, LACKS.replace("{name}", "more")),
        (another_python_s, 7, LACKS.replace("{name}", "more")),
        (no_backend, 7, LACKS.replace("{name}", "backend")),
        (torn, 6, ALTERED),
        (other_bytes, 6, ALTERED),
    ],
)
def test_what_the_folder_lacks_is_named(lab: Lab, change: Callable[[Lab], None], code: int, says: str) -> None:
    lab.locks(a_wheel(lab.wheels, "tiny"), a_wheel(lab.wheels, "more"))
    change(lab)
    done = lab.prepare()
    assert done.returncode == code, done.stdout + done.stderr
    assert says.format(python=f"{sys.version_info[0]}.{sys.version_info[1]}") in done.stdout
    assert not lab.installed("tiny")
