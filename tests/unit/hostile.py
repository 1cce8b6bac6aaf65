"""What a file may hold where a reader wants something else: generated over all the keys that a sample of it has."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

#: Where in a sample: the keys of tables and the numbers of arrays that lead there.
Path = tuple[str | int, ...]

#: One value of each kind of harm. A string that a terminal obeys is also one that no page or table may hold raw.
VALUES: Mapping[str, Any] = {
    "terminal escapes": "\x1b[2J\x1b]0;owned\x07\x9b31m",
    "a zero byte": "a\0b",
    "a line turned around": "\u202etxt",
    "markup": "<script>alert(1)</script>[bold red]x[/] ]]> &amp; `x` | @all",
    "a long text": "x" * 100_000,
    "no text": "",
    "a number": 7,
    "a number below zero": -1,
    "a fraction": 0.5,
    "a number that is none": math.nan,
    "a number without end": math.inf,
    "a number of many digits": 10**400,
    "yes": True,
    "an empty array": [],
    "an array of numbers": [7],
    "an array of arrays": [[["x"]]],
    "an array of tables": [{"x": 1}],
    "an empty table": {},
    "a table": {"\x1b[2J": {"x": 1}},
}
#: Kinds that JSON has and TOML has not.
JSON_ONLY: Mapping[str, Any] = {"nothing": None, "half a character": "\ud800"}
#: What a whole file may be instead.
CONTENTS: Mapping[str, bytes] = {
    "nothing": b"",
    "zero bytes": b"\0" * 4096,
    "no text": b"\xff\xfe\x80",
    "half a file": b'{"a": [1, {"b": "',
    "deep arrays": b"a = " + b"[" * 100_000,
    "deep arrays of JSON": b"[" * 100_000,
    "deep tables": b'{"a":' * 100_000,
    "a number of 10,000 digits": b"a = " + b"9" * 10_000,
    "a number of 10,000 digits of JSON": b'{"a": ' + b"9" * 10_000 + b"}",
    "a text of JSON": b'"x"',
    "a number of JSON": b"7",
    "an array of JSON": b"[1, [2]]",
    "nothing of JSON": b"null",
    "no number of JSON": b"NaN",
}


def paths(value: Any, at: Path = ()) -> Iterator[Path]:
    """Every place in a sample, the whole of it too; of an array the first."""
    yield at
    if isinstance(value, dict):
        for key in value:
            yield from paths(value[key], (*at, key))
    if isinstance(value, list) and value:
        yield from paths(value[0], (*at, 0))


def changed(sample: Any, at: Path, value: Any) -> Any:
    """The sample with another value in one place."""
    if not at:
        return value
    made = copy.deepcopy(sample)
    *above, last = at
    owner = made
    for key in above:
        owner = owner[key]
    owner[last] = value
    return made


def toml(data: Mapping[str, Any]) -> str:
    """A sample as TOML; what TOML cannot hold makes a file that is none."""
    return "".join(f"{json.dumps(key)} = {_toml(value)}\n" for key, value in data.items())


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {_toml(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    if isinstance(value, float):
        return "nan" if math.isnan(value) else "inf" if math.isinf(value) else repr(value)
    return json.dumps(value)


def each(sample: Any, kind: str) -> Iterator[tuple[Path, str]]:
    """The sample as JSON with a value of a kind in one place after the other, and that place."""
    value = {**VALUES, **JSON_ONLY}[kind]
    for at in paths(sample):
        yield at, json.dumps(changed(sample, at, value))


KINDS = (*VALUES, *JSON_ONLY)
