"""The part of JSON Schema 2020-12 that schema.json uses; the host validates with jsonschema."""

from __future__ import annotations

from typing import Any, Callable

TYPES: dict[str, Callable[[Any], bool]] = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
    "number": lambda value: isinstance(value, (int, float)) and not isinstance(value, bool),
    "integer": lambda value: (
        (isinstance(value, int) and not isinstance(value, bool)) or (isinstance(value, float) and value.is_integer())
    ),
}
KEYWORDS = {
    "$schema", "$id", "$defs", "$ref", "title", "description", "type", "const", "enum", "minimum",
    "properties", "required", "additionalProperties", "items", "anyOf",
}  # fmt: skip


def problems(value: Any, schema: dict[str, Any], root: dict[str, Any] | None = None, where: str = "$") -> list[str]:
    """What of ``value`` does not fit ``schema``, as a list of sentences; ValueError for a keyword not known here."""
    root = schema if root is None else root
    unknown = set(schema) - KEYWORDS
    if unknown:
        raise ValueError("schema at {} uses {}".format(where, ", ".join(sorted(unknown))))
    if "$ref" in schema:
        return problems(value, root["$defs"][schema["$ref"].split("/")[-1]], root, where)
    if "anyOf" in schema:
        tried = [problems(value, choice, root, where) for choice in schema["anyOf"]]
        return [] if [] in tried else tried[0]
    kinds = schema.get("type", [])
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if kinds and not any(TYPES[kind](value) for kind in kinds):
        return ["{} is {!r}, not of type {}".format(where, value, " or ".join(kinds))]
    found = []
    if "const" in schema and value != schema["const"]:
        found.append("{} is {!r}, not {!r}".format(where, value, schema["const"]))
    if "enum" in schema and value not in schema["enum"]:
        found.append("{} is {!r}, not one of {}".format(where, value, schema["enum"]))
    if "minimum" in schema and TYPES["number"](value) and value < schema["minimum"]:
        found.append("{} is {!r}, below {}".format(where, value, schema["minimum"]))
    if isinstance(value, dict):
        found += _members(value, schema, root, where)
    if isinstance(value, list) and "items" in schema:
        for index, item in enumerate(value):
            found += problems(item, schema["items"], root, f"{where}[{index}]")
    return found


def _members(value: dict[str, Any], schema: dict[str, Any], root: dict[str, Any], where: str) -> list[str]:
    found = [f"{where} lacks {key!r}" for key in schema.get("required", []) if key not in value]
    known, others = schema.get("properties", {}), schema.get("additionalProperties", True)
    for key, item in value.items():
        place = f"{where}.{key}"
        if key in known:
            found += problems(item, known[key], root, place)
        elif others is False:
            found.append(f"{place} is not in the schema")
        elif isinstance(others, dict):
            found += problems(item, others, root, place)
    return found
