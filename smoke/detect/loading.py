"""Load a driver library by its own dlopen, keeping what the dynamic linker said and where the library really lies.

pynvml turns every dlopen failure into "library not found", "file too short" included, hence this.
"""

from __future__ import annotations

import ctypes

from .tree import clip

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .tree import Tree


def load(soname: str, tree: Tree) -> tuple[ctypes.CDLL | None, dict[str, Any]]:
    """(library or None, {"loaded", "error": dlerror's text or None, "path": real path below the root or None})."""
    try:
        library = ctypes.CDLL(soname)
    except OSError as error:
        return None, {"loaded": False, "error": clip(error), "path": None}
    return library, {"loaded": True, "error": None, "path": _mapped(soname, tree)}


def _mapped(soname: str, tree: Tree) -> str | None:
    # The kernel's own list of mappings has the real path, whatever links and search paths led there.
    stem = soname.split(".so", maxsplit=1)[0] + ".so"
    try:
        with open("/proc/self/maps", "rb") as stream:
            for line in stream:
                path = line.decode("utf-8", "replace").rstrip("\n").partition("/")[2]
                if path.rpartition("/")[2].startswith(stem):
                    return clip(tree.inside("/" + path))
    except OSError:
        pass
    return None
