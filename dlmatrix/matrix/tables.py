"""Readers for the data tables that are full of versions (envs/compatibility.toml, libraries.toml)."""

from __future__ import annotations

from collections.abc import Iterator

from packaging.version import Version

from dlmatrix.system.toml import Table


def rows(top: Table, key: str) -> Iterator[Table]:
    """Each table of an array, checked for keys that were not understood once it is used."""
    for number, data in enumerate(top.take(key, list), 1):
        if not isinstance(data, dict):
            top.fail(key, "must be an array of tables", f"write each as [[{key}]]")
        row = Table(top.file, f"{key}[{number}].", data)
        yield row
        row.done()


def mapping(top: Table, key: str) -> dict[str, str]:
    """A table of strings."""
    table = top.take(key, dict)
    for name, value in table.items():
        if not isinstance(value, str):
            top.fail(f"{key}.{name}", f"must be a string, not {value!r}", "put it in quotes")
        top.plain(f"{key}.{name}", [name, value])
    return dict(table)


def versions(row: Table, key: str) -> tuple[Version, ...]:
    """An array of versions."""
    return tuple(version(row, key, value) for value in row.strings(key))


def version_range(row: Table, key: str) -> tuple[Version, Version]:
    """The first and the last version of a range, both included."""
    ends = versions(row, key)
    if len(ends) != 2 or ends[0] > ends[1]:
        row.fail(key, "must be the first and the last version", f'write it like {key} = ["2.5.1", "2.6.0"]')
    return ends[0], ends[1]


def version(row: Table, key: str, value: str) -> Version:
    """One version. Raises ConfigError naming the key."""
    try:
        return Version(value)
    except ValueError:  # an InvalidVersion, or of thousands of digits
        row.fail(key, f"{value!r} is no version", "correct it")
