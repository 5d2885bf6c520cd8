# SPDX-License-Identifier: Apache-2.0
"""Schemas of an OpenAPI document with references resolved and ``allOf`` merged, so that two can be compared."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

#: Keywords that limit a value from below, and from above.
LOWER_BOUNDS = ("minLength", "minimum", "exclusiveMinimum", "minItems")
UPPER_BOUNDS = ("maxLength", "maximum", "exclusiveMaximum", "maxItems")


@dataclass
class Shape:
    """The values that a schema allows. ``types`` and ``values`` are None where it does not limit them."""

    types: set[str] | None = None
    values: set[str] | None = None
    patterns: set[str] = field(default_factory=set)
    bounds: dict[str, float] = field(default_factory=dict)
    properties: dict[str, list[Any]] = field(default_factory=dict)
    required: set[str] = field(default_factory=set)
    items: list[Any] = field(default_factory=list)
    #: The schemas of which one has to match, by a name that distinguishes them.
    alternatives: dict[str, Any] = field(default_factory=dict)


def shape(schemas: list[Any], document: Mapping[str, Any]) -> Shape:
    """Return the shape of a value that matches all of these schemas."""
    result = Shape()
    for schema in schemas:
        _merge(result, resolved(schema, document), document)
    return result


def resolved(schema: Any, document: Mapping[str, Any]) -> dict[str, Any]:  # noqa: ANN401 - JSON
    """Return the schema that a reference leads to, or the schema itself."""
    if not isinstance(schema, dict):
        return {}
    if "$ref" not in schema:
        return schema
    target: Any = document
    for part in schema["$ref"].removeprefix("#/").split("/"):
        target = target[part]
    return {**resolved(target, document), **{key: value for key, value in schema.items() if key != "$ref"}}


def _merge(result: Shape, schema: dict[str, Any], document: Mapping[str, Any]) -> None:
    for part in schema.get("allOf", ()):
        _merge(result, resolved(part, document), document)
    _add_types(result, schema)
    _add_bounds(result, schema)
    result.patterns |= {schema["pattern"]} if "pattern" in schema else set()
    result.required |= set(schema.get("required", ()))
    for name, property_ in schema.get("properties", {}).items():
        result.properties.setdefault(name, []).append(property_)
    result.items += [schema["items"]] if "items" in schema else []
    _add_alternatives(result, schema, document)


def _add_types(result: Shape, schema: dict[str, Any]) -> None:
    values = [schema["const"]] if "const" in schema else schema.get("enum")
    if values is not None:
        allowed = {str(value) for value in values}
        result.values = allowed if result.values is None else result.values & allowed
    if "type" in schema:
        types = {schema["type"]} if isinstance(schema["type"], str) else set(schema["type"])
        result.types = types if result.types is None else result.types & types


def _add_bounds(result: Shape, schema: dict[str, Any]) -> None:
    for keywords, stricter in ((LOWER_BOUNDS, max), (UPPER_BOUNDS, min)):
        for keyword in keywords:
            if keyword in schema:
                result.bounds[keyword] = stricter(schema[keyword], result.bounds.get(keyword, schema[keyword]))


def _add_alternatives(result: Shape, schema: dict[str, Any], document: Mapping[str, Any]) -> None:
    for keyword in ("anyOf", "oneOf"):
        for position, alternative in enumerate(schema.get(keyword, ())):
            result.alternatives[_alternative_name(alternative, position, document)] = alternative


def _alternative_name(alternative: Any, position: int, document: Mapping[str, Any]) -> str:  # noqa: ANN401 - JSON
    """Return a name for an alternative: its reference, operation, type, required fields or position."""
    if "$ref" in alternative:
        return str(alternative["$ref"]).rsplit("/", 1)[-1]
    merged = shape([alternative], document)
    operation = shape(merged.properties.get("op", []), document).values
    if operation:
        return ", ".join(sorted(operation))
    if merged.types and not merged.required:
        return ", ".join(sorted(merged.types))
    return ", ".join(sorted(merged.required)) or f"number {position + 1}"
