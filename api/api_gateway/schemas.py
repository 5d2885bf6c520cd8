# SPDX-License-Identifier: Apache-2.0
"""Schemas of OpenAPI 3.1 as the schemas of OpenAPI 3.0.1 that API Gateway takes as models.

API Gateway knows JSON Schema draft 4 without null, default, example and int64 (its developer guide: important notes
for REST APIs). It refuses a reference inside ``allOf``, ``anyOf`` and ``oneOf``, which the standard allows.
"""

from collections.abc import Mapping
from typing import Any

_Schema = dict[str, Any]

_NULL: _Schema = {"type": "null"}
_COMBINATIONS = ("allOf", "anyOf", "oneOf")
#: Keywords that are not imported.
_UNSUPPORTED = frozenset(
    {"default", "example", "examples", "deprecated", "readOnly", "writeOnly", "discriminator", "contentMediaType"}
)
_UNSUPPORTED_FORMATS = frozenset({"int32", "int64"})
#: The inclusive keyword in place of an exclusive one, and the words for the note.
_EXCLUSIVE = {"exclusiveMinimum": ("minimum", "Greater than"), "exclusiveMaximum": ("maximum", "Less than")}


class SchemaConverter:
    """Converts the schemas of one document."""

    def __init__(self, components: Mapping[str, _Schema]) -> None:
        self._components = components

    def convert(self, schema: _Schema) -> _Schema:
        """Return the schema for API Gateway. A reference stays one, with no other keyword beside it."""
        if "$ref" in schema:
            return {"$ref": schema["$ref"]}
        result = {key: value for key, value in schema.items() if key not in _UNSUPPORTED}
        notes = [*_remove_null(result), *_convert_limits(result)]
        _convert_values(result)
        self._convert_parts(result)
        if "$ref" in result:
            return {"$ref": result["$ref"]}
        if notes:
            result["description"] = " ".join([*_sentences(result.get("description")), *notes])
        return result

    def _convert_parts(self, result: _Schema) -> None:
        if "properties" in result:
            result["properties"] = {name: self.convert(each) for name, each in result["properties"].items()}
        for keyword in ("items", "additionalProperties"):
            if isinstance(result.get(keyword), dict):
                result[keyword] = self.convert(result[keyword])
        for keyword in _COMBINATIONS:
            if keyword in result:
                result[keyword] = [self._inlined(each) for each in result[keyword]]

    def _inlined(self, schema: _Schema) -> _Schema:
        """Return a converted schema that is no reference itself; its properties may be."""
        while "$ref" in schema:
            schema = self._components[schema["$ref"].rsplit("/", 1)[-1]]
        return self.convert(schema)


def _remove_null(result: _Schema) -> list[str]:
    """Remove null from the allowed types and values. Return a note about it if there was one."""
    notes = []
    for keyword in ("anyOf", "oneOf"):
        alternatives = result.get(keyword, [])
        if _NULL in alternatives:
            others = [each for each in alternatives if each != _NULL]
            result.pop(keyword)
            result |= {keyword: others} if len(others) > 1 else _supported(others[0])
            notes = ["May be null."]
    if isinstance(result.get("type"), list):
        types = [each for each in result.pop("type") if each != "null"]
        result |= {"type": types[0]} if len(types) == 1 else {"anyOf": [{"type": each} for each in types]}
        notes = ["May be null."]
    if None in result.get("enum", ()):
        result["enum"] = [each for each in result["enum"] if each is not None]
        notes = ["May be null."]
    return notes


def _supported(schema: _Schema) -> _Schema:
    return {key: value for key, value in schema.items() if key not in _UNSUPPORTED}


def _convert_limits(result: _Schema) -> list[str]:
    """Replace exclusive limits by inclusive ones. Return a note about each."""
    notes = []
    for keyword, (inclusive, words) in _EXCLUSIVE.items():
        if keyword in result:
            result[inclusive] = result.pop(keyword)
            notes.append(f"{words} {result[inclusive]}.")
    return notes


def _convert_values(result: _Schema) -> None:
    if "const" in result:
        result["enum"] = [result.pop("const")]
    if result.pop("contentEncoding", None) == "base64":
        result["format"] = "byte"
    if result.get("format") in _UNSUPPORTED_FORMATS:
        del result["format"]
    if result.get("required") == []:
        del result["required"]


def _sentences(text: str | None) -> list[str]:
    return [text if text.endswith(".") else f"{text}."] if text else []
