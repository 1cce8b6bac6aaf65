"""Reads result.json: the one reader of what a run or a replay wrote, which tells kinds and versions apart.

The form is that of result.schema.json beside this file, of a guide's replay that of replay.schema.json; what smoke
wrote stands inside a run's under its own schema.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dlmatrix.errors import ReportError, UsageError
from dlmatrix.system.files import read_limited

if TYPE_CHECKING:
    import jsonschema

FILE = "result.json"
#: The version that is written.
SCHEMA_VERSION = 1
#: What a result.json can be of, each with its form.
RUN, REPLAY = "run", "replay"
#: What a replay can say of a guide, and which outcome of an env that is like.
VERDICTS: Mapping[str, str] = {
    "works": "passed",
    "works in translation": "passed",
    "broken, mended": "failed",
    "broken": "failed",
    "not judged": "skipped",
    "could not look": "skipped",
}
#: Digits that an integer may have; of memory in bytes, or of 64 bits, there are twenty.
_DIGITS = 40
_SCHEMAS = {RUN: "result.schema.json", REPLAY: "replay.schema.json"}
#: Bytes that a report may have; the largest seen, of nineteen envs, has three million.
_LARGEST = 100_000_000
#: Of so many errors the most telling is told.
_ERRORS = 50
_NAME = "name a folder that run wrote (reports/TIME)"
_AGAIN = "it is of another version: leave it out, or run it again"


class ReplayError(UsageError):
    """It is a guide's replay where a run is wanted."""


@dataclass(frozen=True, kw_only=True)
class Result:
    """A run, or a replay: its result.json, parsed and as it stands in the file, and the folder that it is in."""

    folder: Path
    text: str
    data: Mapping[str, Any]
    kind: str = RUN


def read_result(path: Path, kinds: Collection[str] = (RUN,)) -> Result:
    """The run in a folder, or in its result.json; a replay of a guide where ``kinds`` has it.

    Raises UsageError where there is none, ReportError where it is not one that this version understands.
    """
    file = path / FILE if path.is_dir() else path
    if not file.is_file():
        what = f"there is no {path}" if not path.exists() else f"{path} is no file"
        what = f"{path} holds no {FILE}" if path.is_dir() else what
        raise UsageError(what, _NAME)
    whole = "name a report that is whole, or run it again"
    try:
        content = read_limited(file, _LARGEST)
    except (OSError, ValueError) as error:
        raise ReportError(f"{file}: is no report: {error}", whole) from None
    try:
        text = content.decode("utf-8")
        data = parsed(text)
    except (ValueError, RecursionError) as error:
        raise ReportError(f"{file}: is not JSON: {error}", whole) from None
    kind = _kind(data)
    if kind not in kinds:
        raise ReplayError(f"{file}: is of a guide's replay, not of a run", _NAME)
    _validate(file, data, kind)
    return Result(folder=file.resolve().parent, text=text, data=data, kind=kind)


def read_schema(kind: str = RUN) -> dict[str, Any]:
    """The form of a result.json."""
    return dict(json.loads(Path(__file__).with_name(_SCHEMAS[kind]).read_text(encoding="utf-8")))


def wrong_in(data: Any, schema: Mapping[str, Any]) -> jsonschema.ValidationError | None:
    """What of data does not fit a schema, the most telling of the first; hostile data may be wrong a million times."""
    import jsonschema  # noqa: PLC0415 - it loads for half a second, which a wrong path is not to wait for

    errors = jsonschema.validators.validator_for(schema)(schema).iter_errors(data)
    found: jsonschema.ValidationError | None = jsonschema.exceptions.best_match(itertools.islice(errors, _ERRORS))
    return found


def parsed(text: str | bytes) -> Any:
    """What JSON of somebody else's says. Raises ValueError for a number that no figure can be made of.

    NaN and Infinity are no JSON, 1e999 is infinite, and of an integer of hundreds of digits no float can be made.
    """
    return json.loads(text, parse_constant=_no_number, parse_float=_finite, parse_int=_whole)


def _no_number(word: str) -> None:
    raise ValueError(f"{word} is no number")


def _finite(word: str) -> float:
    if not math.isfinite(value := float(word)):
        raise ValueError(f"{word[:_DIGITS]} is no number")
    return value


def _whole(word: str) -> int:
    if len(word) > _DIGITS:
        raise ValueError(f"{word[:_DIGITS]}… is a number of {len(word)} digits")
    return int(word)


def _kind(data: Any) -> str:
    """A run's names no kind: it had none when there was no other."""
    return REPLAY if isinstance(data, dict) and data.get("kind") == REPLAY else RUN


def _validate(file: Path, data: Any, kind: str) -> None:
    version = data.get("schema_version") if isinstance(data, dict) else None
    if isinstance(version, int) and version > SCHEMA_VERSION:
        what = f"{file}: was written by a newer dlmatrix (schema version {version})"
        raise ReportError(what, "read it with that version")
    if error := wrong_in(data, read_schema(kind)):
        where = "/".join(map(str, error.absolute_path))
        what = error.message if len(error.message) < 200 else f"is not of {error.validator} {error.validator_value}"
        raise ReportError(f"{file}: {f'{where}: ' if where else ''}{what[:200]}", _AGAIN)
