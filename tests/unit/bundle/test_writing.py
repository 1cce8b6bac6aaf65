"""Bundles as they are written: the same bits twice, what an interrupted try left kept, volumes, a full disk."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from dlmatrix.bundle import archive, volumes, write
from dlmatrix.bundle.contents import Source
from dlmatrix.bundle.manifest import Manifest
from dlmatrix.bundle.reader import Bundle
from dlmatrix.bundle.volumes import volumes_of
from dlmatrix.bundle.write import Written, in_order, starter, write_bundle
from dlmatrix.errors import BuildError, BundleError, BusyError, DiskFullError, UsageError
from dlmatrix.system.interpreters import find_python

FILES = {f"bundle/wheels/{number}": bytes([number]) * (300_000 + number) for number in range(8)}
BEGUN = Manifest(envs={"cpu-x-1": {"lock": "0"}}, versions={"main": "cpu-x-1", "pythons": "3.11"}, members=())


def source(path: str, content: Path | bytes | Iterator[bytes], size: int | None = None) -> Source:
    size = size if size is not None else len(content) if isinstance(content, bytes) else content.stat().st_size  # type: ignore[union-attr]
    return Source(path=path, origin="test", content=content, size=size)


def made(
    file: Path, files: dict[str, bytes] | None = None, *, volume: int | None = None, sources: list[Source] | None = None
) -> Written:
    sources = sources or [source(path, data) for path, data in (files or FILES).items()]
    return write_bundle(file, in_order(sources), BEGUN, volume=volume, about=0, progress=lambda done, all_of: None)


@pytest.fixture(autouse=True)
def small_volumes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(write, "SMALLEST", 1000)


def whole(file: Path) -> bytes:
    return b"".join(one.read_bytes() for one in volumes_of(file))


def test_the_same_inputs_make_the_same_bits_whatever_their_order_place_and_dates(tmp_path: Path) -> None:
    made(tmp_path / "a.bundle")
    sources = []
    for path, data in reversed(FILES.items()):
        file = tmp_path / "elsewhere" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
        file.chmod(0o600)
        os.utime(file, (1, 1))
        sources.append(source(path, file))
    made(tmp_path / "b.bundle", sources=sources)
    assert (tmp_path / "a.bundle").read_bytes() == (tmp_path / "b.bundle").read_bytes()
    with Bundle(tmp_path / "a.bundle") as bundle:
        bundle.verify()
        assert {member.path for member in bundle.manifest.members} == FILES.keys()


def test_tar_reads_it_too(tmp_path: Path) -> None:
    made(tmp_path / "a.bundle")
    with tarfile.open(tmp_path / "a.bundle") as tar:
        assert tar.getnames() == sorted(FILES)
    (tmp_path / "out").mkdir()
    subprocess.run(["tar", "-xf", tmp_path / "a.bundle", "-C", tmp_path / "out"], check=True)
    assert (tmp_path / "out" / "bundle/wheels/3").read_bytes() == FILES["bundle/wheels/3"]


@pytest.mark.parametrize("volume", [None, 700_000])
@pytest.mark.parametrize("left", [0, 1, 511, 512, 5000, 400_000, 699_999, 700_000, 1_000_001, "all", "more"])
def test_what_an_interrupted_try_left_is_kept_and_the_bits_are_the_same(
    left: int | str, volume: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is interrupted after so many bytes."""
    made(tmp_path / "once.bundle", volume=volume)
    wanted = whole(tmp_path / "once.bundle")
    left = {"all": len(wanted), "more": len(wanted) + 999_999}.get(left, left) if isinstance(left, str) else left
    pieces = (wanted + b"?" * 1_000_000)[:left]
    size = volume or len(pieces) or 1
    for number in range(max(1, -(-len(pieces) // size))):
        name = f"a.bundle.part.{number + 1:03}" if volume else "a.bundle.part"
        (tmp_path / name).write_bytes(pieces[number * size : (number + 1) * size])
    found = made(tmp_path / "a.bundle", volume=volume)
    assert whole(tmp_path / "a.bundle") == wanted
    assert found.kept >= min(left, len(wanted)) - volumes.PIECE
    if not volume and left >= len(wanted):
        assert found.kept == len(wanted), "nothing was written"
    assert not list(tmp_path.glob("*.part*"))


def test_an_interrupt_loses_nothing_of_what_was_written(tmp_path: Path) -> None:
    def interrupted() -> Iterator[bytes]:
        yield b"5" * 100_000
        raise KeyboardInterrupt

    path = "bundle/wheels/5"
    others = [source(name, data) for name, data in FILES.items() if name != path]
    with pytest.raises(KeyboardInterrupt):
        made(tmp_path / "a.bundle", sources=[*others, source(path, interrupted(), len(FILES[path]))])
    assert [one.name for one in tmp_path.iterdir()] == ["a.bundle.part"], "nothing half is taken for whole"
    found = made(tmp_path / "a.bundle")
    assert found.kept > 5 * 300_000
    made(tmp_path / "b.bundle")
    assert (tmp_path / "a.bundle").read_bytes() == (tmp_path / "b.bundle").read_bytes()


def test_another_s_try_is_written_over(tmp_path: Path) -> None:
    (tmp_path / "a.bundle.part").write_bytes(b"of another bundle" * 100_000)
    found = made(tmp_path / "a.bundle")
    assert found.kept == 0
    with Bundle(tmp_path / "a.bundle") as bundle:
        bundle.verify()


@pytest.mark.parametrize("volume", [400_000, 700_000, 10_000_000])
def test_volumes_are_read_as_one_whichever_is_named_and_the_last_can_be_started(volume: int, tmp_path: Path) -> None:
    made(tmp_path / "one.bundle")
    found = made(tmp_path / "a.bundle", volume=volume)
    assert whole(tmp_path / "a.bundle") == (tmp_path / "one.bundle").read_bytes()
    assert all(file.stat().st_size <= volume for file in found.files)
    for file in (tmp_path / "a.bundle", *found.files):
        with Bundle(file) as bundle:
            bundle.verify()
    done = subprocess.run([sys.executable, found.files[-1], "--help"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "--no-run" in done.stdout


def test_a_volume_that_is_missing_is_named(tmp_path: Path) -> None:
    found = made(tmp_path / "a.bundle", volume=700_000)
    found.files[1].rename(tmp_path / "elsewhere")
    with pytest.raises(BundleError, match=r"a\.bundle\.002: this volume is missing"):
        Bundle(found.files[0])
    (tmp_path / "elsewhere").rename(found.files[1])
    found.files[-1].unlink()
    with pytest.raises(BundleError, match="no whole bundle"):
        Bundle(found.files[0])


def test_volumes_exchanged_are_refused(tmp_path: Path) -> None:
    found = made(tmp_path / "a.bundle", volume=700_000)
    one, two = (file.read_bytes() for file in found.files[:2])
    found.files[0].write_bytes(two)
    found.files[1].write_bytes(one)
    with Bundle(found.files[0]) as bundle, pytest.raises(BundleError, match="in the place of its member"):
        bundle.verify()


def test_a_file_that_changes_meanwhile_is_no_member(tmp_path: Path) -> None:
    for size in (7, 9):
        with pytest.raises(BuildError, match="bundle/x: changed while"):
            made(tmp_path / "a.bundle", sources=[source("bundle/x", iter([b"12345678"]), size)])
    one = Source(path="bundle/x", origin="test", content=b"1", size=1, sha256=hashlib.sha256(b"2").hexdigest())
    with pytest.raises(BuildError, match="bundle/x: changed while"):
        made(tmp_path / "a.bundle", sources=[one])
    assert not (tmp_path / "a.bundle").exists()


@pytest.mark.parametrize("number", range(len(FILES) + 1))
def test_a_disk_that_is_full_at_a_member_leaves_no_bundle_and_the_next_try_goes_on(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = volumes.Output.write
    count = [0]

    def full(self: volumes.Output, data: bytes) -> None:
        count[0] += len(data) == archive.BLOCK or data == archive.END  # a header begins each member
        if count[0] > number:
            raise OSError(28, "No space left on device")
        written(self, data)

    monkeypatch.setattr(volumes.Output, "write", full)
    with pytest.raises(OSError, match="No space left"):
        made(tmp_path / "a.bundle")
    assert [one.name for one in tmp_path.iterdir()] == ["a.bundle.part"]
    with pytest.raises(BundleError):
        Bundle(tmp_path / "a.bundle.part")
    monkeypatch.undo()
    found = made(tmp_path / "a.bundle")
    assert found.kept >= number * 300_000
    with Bundle(tmp_path / "a.bundle") as bundle:
        bundle.verify()


def test_no_room_is_said_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(DiskFullError, match="are needed"):
        write_bundle(
            tmp_path / "a", [source("x", b"x")], BEGUN, volume=None, about=1 << 60, progress=lambda done, all_of: None
        )


def test_what_is_there_is_not_written_over(tmp_path: Path) -> None:
    made(tmp_path / "a.bundle")
    with pytest.raises(UsageError, match="is there already"):
        made(tmp_path / "a.bundle")
    made(tmp_path / "b.bundle", volume=700_000)
    with pytest.raises(UsageError, match=r"b\.bundle\.001: is there already"):
        made(tmp_path / "b.bundle")


def test_two_at_once_do_not_write_one_file(tmp_path: Path) -> None:
    with volumes.Output(tmp_path / "a.bundle", None), pytest.raises(BusyError):
        made(tmp_path / "a.bundle")


def test_memory_is_bounded_whatever_a_member_has(tmp_path: Path) -> None:
    """A member of 300 MB, by a process that may have 200 MB."""
    big = tmp_path / "big"
    with big.open("wb") as stream:
        stream.truncate(300_000_000)
    program = """
import sys
from pathlib import Path
from dlmatrix.bundle.contents import Source
from dlmatrix.bundle.manifest import Manifest
from dlmatrix.bundle.reader import Bundle
from dlmatrix.bundle.write import write_bundle
out, big = Path(sys.argv[1]), Path(sys.argv[2])
source = Source(path="bundle/big", origin="test", content=big, size=big.stat().st_size)
begun = Manifest(envs={}, versions={}, members=())
write_bundle(out, [source], begun, volume=None, about=0, progress=lambda done, all_of: None)
with Bundle(out) as bundle:
    bundle.verify()
status = Path("/proc/self/status").read_text()
print(status.partition("VmHWM:")[2].split()[0])
"""
    # Not ru_maxrss: Linux carries that of the process that started it over exec, and pytest may have had more.
    command = [sys.executable, "-c", program, tmp_path / "a.bundle", big]
    root = Path(write.__file__).parents[2]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True)
    assert int(done.stdout) * 1024 < 200_000_000


def test_what_starts_it_needs_the_standard_library_alone(root: Path) -> None:
    """Each module that is carried imports nothing else, and no module of this package that is not carried."""
    names = {name.removesuffix(".py").removesuffix("/__init__").replace("/", ".") for name in starter()}
    assert "dlmatrix.bundle.start" in names
    assert len(names) < 20, "no more than it needs"
    for name, text in starter().items():
        for line in text.decode().splitlines():
            word = line.split()[1] if line.startswith(("import ", "from ")) else ""
            if word.startswith("dlmatrix"):
                assert word in names, f"{name}: {line}"
            elif word:
                assert word.partition(".")[0] in {*sys.stdlib_module_names, "__future__"}, f"{name}: {line}"


@pytest.mark.parametrize("version", ["3.8", "3.10", "3.11", "3.12", "3.13"])
def test_it_starts_on_each_python_or_says_which_it_needs(version: str, tmp_path: Path) -> None:
    python = find_python(version)
    if python is None:
        pytest.skip(f"Python {version} is not on this machine")
    made(tmp_path / "a.bundle")
    command = [str(python), "-I", "-S", "a.bundle"]
    done = subprocess.run([*command, "--help"], cwd=tmp_path, capture_output=True, text=True, check=False)
    if version == "3.8":
        assert done.returncode == 1
        assert done.stderr == "dlmatrix: this needs Python 3.10 or newer, and is Python 3.8\n"
        return
    assert done.returncode == 0, done.stderr
    done = subprocess.run([*command, "cpu-y-1"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == UsageError.exit_code
    assert "the bundle has no cpu-y-1" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_damaged_one_that_is_started_says_so(tmp_path: Path) -> None:
    made(tmp_path / "a.bundle")
    data = bytearray((tmp_path / "a.bundle").read_bytes())
    data[2000] ^= 1
    (tmp_path / "a.bundle").write_bytes(data)
    done = subprocess.run([sys.executable, "a.bundle"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == BundleError.exit_code
    assert "its member 'bundle/wheels/0' is damaged" in done.stderr
    assert [one.name for one in tmp_path.iterdir()] == ["a.bundle"]
