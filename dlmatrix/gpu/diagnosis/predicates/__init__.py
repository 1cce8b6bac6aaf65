"""The questions of causes.toml that values and texts alone cannot answer, by layer; importing them registers them.

What each looks at and what it means stands in causes.toml, under the function's name.
"""

from dlmatrix.gpu.diagnosis.predicates import (
    blind,
    codes,
    container,
    cuda,
    denied,
    files,
    framework,
    host,
    library,
    settings,
    state,
    user,
)
from dlmatrix.gpu.diagnosis.view import PREDICATES

__all__ = [
    "PREDICATES",
    "blind",
    "codes",
    "container",
    "cuda",
    "denied",
    "files",
    "framework",
    "host",
    "library",
    "settings",
    "state",
    "user",
]
