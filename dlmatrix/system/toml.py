"""Reads TOML files, and refuses in them what it does not know, by file and key."""

from __future__ import annotations

import difflib
import re
import sys
from pathlib import Path
from typing import Any, NoReturn

from dlmatrix.errors import ConfigError
from dlmatrix.system.files import read_limited

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


#: Characters of a key, or of what is wrong with it, that are told: a value may have millions.
_TOLD = 300


def read_toml(file: Path) -> dict[str, Any]:
    """Parse a TOML file; ConfigError for one that is missing, broken or endless."""
    try:
        return tomllib.loads(read_limited(file).decode("utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{file}: no such file", "restore it from git") from None
    except OSError as error:
        raise ConfigError(f"{file}: {error.strerror}", "restore it from git") from None
    except ValueError as error:  # of one without end, of bytes that are no text, of a number of thousands of digits
        raise ConfigError(f"{file}: not valid TOML: {_brief(str(error))}", "correct the file") from None
    except RecursionError:
        raise ConfigError(f"{file}: not valid TOML: it has no end of levels", "correct the file") from None


class Table:
    """A TOML table that is emptied key by key, so that what is left over was not understood."""

    def __init__(self, file: Path, path: str, data: dict[str, Any]) -> None:
        self.file, self.path, self._data, self._seen = file, path, dict(data), set[str]()

    def take(self, key: str, kind: type, default: Any = None) -> Any:
        """Remove and return a key; without a default it must be there; its type must be ``kind``."""
        self._seen.add(key)
        if key not in self._data:
            if default is None:
                near = difflib.get_close_matches(key, self._data, n=1)
                self.fail(key, "is missing", f"rename {near[0]}, if that is it" if near else "add it")
            return default
        value = self._data.pop(key)
        if type(value) is not kind:
            self.fail(key, f"must be a {_TOML_NAMES[kind]}, not {_repr(value)}", "correct it")
        if isinstance(value, int) and abs(value) >= 1 << 63:
            self.fail(key, "is a number of more digits than TOML has", "correct it")
        self.plain(key, value)
        return value

    def strings(self, key: str, default: tuple[str, ...] | None = None) -> tuple[str, ...]:
        """Remove and return an array of strings."""
        values = self.take(key, list, None if default is None else list(default))
        if not all(isinstance(value, str) for value in values):
            self.fail(key, "must be an array of strings", "correct it")
        return tuple(values)

    def plain(self, key: str, value: Any) -> None:
        """Refuse what a terminal or a table would obey instead of showing it."""
        for text in value if isinstance(value, list) else [value]:
            if isinstance(text, str) and (found := UNSHOWN.search(text)):
                self.fail(key, f"holds {found[0]!r}, which cannot be shown", "take it out")

    def done(self) -> None:
        """Raise ConfigError for the first key that nothing took."""
        for key in self._data:
            near = difflib.get_close_matches(key, self._seen, n=1)
            self.fail(
                key,
                "is not known",
                f"did you mean {near[0]}?" if near else f"known keys: {', '.join(sorted(self._seen))}",
            )

    def fail(self, key: str, what: str, next_step: str) -> NoReturn:
        """Raise ConfigError about one key of this table."""
        raise ConfigError(f"{self.file}: {_brief(self.path + key)}: {_brief(what)}", _brief(next_step))


def _brief(text: str) -> str:
    return text if len(text) <= _TOLD else f"{text[:_TOLD]}…"


def _repr(value: Any) -> str:
    """A value as it is told; Python itself shows no number of thousands of digits."""
    try:
        return repr(value)
    except ValueError:
        return "a number of thousands of digits"


#: Control characters, and those that turn a line around.
UNSHOWN = re.compile("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_TOML_NAMES = {str: "string", int: "number", list: "array", dict: "table", bool: "boolean"}
