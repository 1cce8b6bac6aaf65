"""Read files below a root, so that detection can be pointed at another machine's /proc, /sys and /dev.

Nothing here raises: what could not be read is an errno name ("ENOENT", "EACCES", …), itself a fact.
"""

from __future__ import annotations

import errno
import os


def errno_name(error: OSError) -> str:
    """The symbolic name of an OSError, e.g. "EPERM"."""
    return errno.errorcode.get(error.errno, str(error.errno))  # type: ignore[arg-type]  # a call's error has its number


def clip(value: object, limit: int = 400) -> str:
    """Bytes or text as text of at most `limit` characters; undecodable bytes are replaced."""
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    value = str(value).replace("\0", "").strip()
    return value if len(value) <= limit else value[:limit] + "…"


class Tree:
    """The file system below `root`; every path given and returned is absolute as seen from there."""

    def __init__(self, root: str = "/") -> None:
        self.root = os.path.abspath(root)

    def at(self, path: str) -> str:
        """Where `path` lies on this machine."""
        return os.path.join(self.root, path.lstrip("/"))

    def inside(self, path: str) -> str:
        """The reverse of `at`: a path of this machine as it is called below the root."""
        if self.root != "/" and (path == self.root or path.startswith(self.root + "/")):
            return path[len(self.root) :] or "/"
        return path

    def read(self, path: str, limit: int = 65536) -> tuple[str, None] | tuple[None, str]:
        """(text, None), or (None, errno name)."""
        try:
            with open(self.at(path), "rb") as stream:
                return stream.read(limit).decode("utf-8", "replace"), None
        except OSError as error:
            return None, errno_name(error)

    def text(self, path: str, limit: int = 65536) -> str | None:
        """The stripped content, or None where it cannot be read."""
        content, _ = self.read(path, limit)
        return None if content is None else content.replace("\0", " ").strip()

    def names(self, path: str) -> list[str]:
        """Sorted names in a directory, or [] where it cannot be listed."""
        try:
            return sorted(os.listdir(self.at(path)))
        except OSError:
            return []

    def why_not(self, path: str) -> str | None:
        """None where `path` can be listed or read, else the errno name."""
        try:
            os.listdir(self.at(path))
        except NotADirectoryError:
            return self.read(path, 1)[1]
        except OSError as error:
            return errno_name(error)
        return None

    def exists(self, path: str) -> bool:
        """Whether `path` leads somewhere."""
        return os.path.exists(self.at(path))

    def link_name(self, path: str) -> str | None:
        """The last part of a symbolic link's target, or None."""
        try:
            return os.path.basename(os.readlink(self.at(path)))
        except OSError:
            return None

    def real(self, path: str) -> str:
        """The real path behind links, as it is called below the root."""
        return self.inside(os.path.realpath(self.at(path)))
