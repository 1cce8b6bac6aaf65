"""Files that are written whole or not at all, and how they would change."""

from __future__ import annotations

import contextlib
import difflib
import errno
import hashlib
import os
import re
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

#: Bytes that a file may have which a person writes, or a run keeps for the next; the largest seen has 600,000.
MOST = 10_000_000


@contextlib.contextmanager
def naming(path: Path) -> Iterator[None]:
    """Let an error of a disk that has no room, or is not to be written, name a path where it names none.

    Python knows the name of a file that cannot be opened, and not of one that cannot be written.
    """
    try:
        yield
    except OSError as error:
        if error.filename is None and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
            raise type(error)(error.errno, error.strerror, str(path)) from None
        raise


def replace(file: Path, content: str | bytes) -> None:
    """Write a file in one step, so that an interrupt, or another run, leaves the old one or the new one."""
    data = content.encode() if isinstance(content, str) else content
    fresh = file.with_name(f".{file.name}.{os.getpid()}-{threading.get_ident()}")
    try:
        fresh.write_bytes(data)
        fresh.replace(file)
    except OSError as error:
        raise type(error)(error.errno, error.strerror, str(file)) from None  # not the name of the moment
    finally:
        with contextlib.suppress(OSError):
            fresh.unlink()


def sweep(folder: Path) -> None:
    """Remove what ``replace`` left beside files in the folders of this one, where its process was killed."""
    for file in folder.glob("*/.*"):
        left = re.fullmatch(r"\..+\.(\d+)-\d+", file.name)
        if left and not Path("/proc", left[1]).exists():
            with contextlib.suppress(OSError):
                file.unlink()


def remove_tree(folder: Path) -> None:
    """Remove a folder with all in it, also what its owner has closed; what stays all the same is nobody's error."""
    shutil.rmtree(folder, ignore_errors=True)
    if not os.path.lexists(folder):
        return
    for place, names, _ in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                if not os.path.islink(os.path.join(place, name)):
                    os.chmod(os.path.join(place, name), 0o700)
    shutil.rmtree(folder, ignore_errors=True)


def read_text(file: Path) -> str:
    """What a file holds; nothing where there is none."""
    return file.read_text(encoding="utf-8") if file.is_file() else ""


def read_limited(file: Path, most: int = MOST) -> bytes:
    """What a file holds. Raises ValueError for one of more than ``most`` bytes, which is not read whole."""
    with file.open("rb") as stream:
        if os.fstat(stream.fileno()).st_size <= most:
            data = stream.read(most + 1)  # what grows, or is of the kernel's making, may have more than it says
            if len(data) <= most:
                return data
    raise ValueError(f"it has more than {most / 1e6:.0f} MB")


def sha256(file: Path) -> str:
    """The digest of what a file holds, in hexadecimal, without holding it in memory."""
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        while piece := stream.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def told_by(file: Path) -> str:
    """What a file of the system says, its first MiB; nothing where it cannot be read."""
    try:
        with file.open("rb") as stream:
            return stream.read(1 << 20).decode("utf-8", "replace")
    except OSError:
        return ""


def diff(root: Path, file: Path, text: str) -> str:
    """The unified diff from what ``file`` holds to ``text``."""
    name = file.relative_to(root).as_posix()
    return "".join(difflib.unified_diff(read_text(file).splitlines(True), text.splitlines(True), name, name, n=1))
