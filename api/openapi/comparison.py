# SPDX-License-Identifier: Apache-2.0
"""The breaking changes between two OpenAPI documents, each named in one line.

A change is breaking if a request that was valid is refused after it, or if a response lacks what it had. Additions
are compatible: operations, optional parameters and properties, and further error responses.
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from api.openapi.schema_reading import LOWER_BOUNDS, UPPER_BOUNDS, Shape, resolved, shape

_METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
_VARIABLE = re.compile(r"\{[^}]*\}")


def breaking_changes(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """Return the breaking changes, sorted: ``<operation>: <what has changed>``."""
    changes: set[str] = set()
    later = _operations(after)
    for (method, path), operation in _operations(before).items():
        name = f"{method.upper()} {operation['path']}"
        if (method, path) not in later:
            changes.add(f"{name}: the operation is removed")
        else:
            found = _Comparison(before, after).operation(operation, later[(method, path)])
            changes |= {f"{name}: {change}" for change in found}
    return sorted(changes)


def _operations(document: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    """Return all operations by method and path. Variables of a path have no names: they are no client's concern."""
    return {
        (method, _VARIABLE.sub("{}", path)): operation | {"path": path, "parameters": _parameters(item, operation)}
        for path, item in document.get("paths", {}).items()
        for method, operation in item.items()
        if method in _METHODS
    }


def _parameters(item: dict[str, Any], operation: dict[str, Any]) -> list[dict[str, Any]]:
    return [*item.get("parameters", ()), *operation.get("parameters", ())]


class _Comparison:
    """Compares the parts of one operation in two documents."""

    def __init__(self, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
        self._before, self._after = before, after
        #: Pairs of schemas that are being compared, so that recursive ones end.
        self._open: set[str] = set()

    def operation(self, before: dict[str, Any], after: dict[str, Any]) -> Iterator[str]:
        """Yield the breaking changes of an operation."""
        yield from self._parameter_changes(before, after)
        yield from self._request_body(before.get("requestBody"), after.get("requestBody"))
        for status, response in before.get("responses", {}).items():
            answer = after.get("responses", {}).get(status)
            if answer is not None:
                yield from self._content(response, answer, f"response {status}", of_request=False)
            elif status.startswith("2"):
                yield f"response {status} is removed"

    def _parameter_changes(self, before: dict[str, Any], after: dict[str, Any]) -> Iterator[str]:
        earlier, later = _by_name(before, self._before), _by_name(after, self._after)
        for (place, name), parameter in later.items():
            known = earlier.get((place, name))
            if parameter.get("required") and not (known or {}).get("required"):
                yield f"{place} parameter '{name}' is required now"
            if known:
                subject = f"{place} parameter '{name}'"
                schemas = [known.get("schema", {})], [parameter.get("schema", {})]
                yield from self._schema(*schemas, subject, of_request=True)
        for place, name in earlier.keys() - later.keys():
            yield f"{place} parameter '{name}' is removed"

    def _request_body(self, before: dict[str, Any] | None, after: dict[str, Any] | None) -> Iterator[str]:
        if after and after.get("required") and not (before or {}).get("required"):
            yield "a request body is required now"
        if before and not after:
            yield "the request body is removed"
        if before and after:
            yield from self._content(before, after, "request", of_request=True)

    def _content(
        self, before: dict[str, Any], after: dict[str, Any], subject: str, *, of_request: bool
    ) -> Iterator[str]:
        later = after.get("content", {})
        for media_type, content in before.get("content", {}).items():
            if media_type not in later:
                yield f"{subject}: media type {media_type} is removed"
            else:
                schemas = [content.get("schema", {})], [later[media_type].get("schema", {})]
                yield from self._schema(*schemas, subject, of_request=of_request)

    def _schema(self, before: list[Any], after: list[Any], subject: str, *, of_request: bool) -> Iterator[str]:
        """Yield the changes between what all schemas before, and all schemas after, allow together."""
        key = json.dumps([before, after], sort_keys=True)
        if key in self._open:
            return
        self._open.add(key)
        one, other = shape(before, self._before), shape(after, self._after)
        yield from _type_changes(one, other, subject, of_request=of_request)
        if of_request:
            yield from _limit_changes(one, other, subject)
        yield from _required_changes(one, other, subject, of_request=of_request)
        yield from self._parts(one, other, subject, of_request=of_request)
        self._open.discard(key)

    def _parts(self, before: Shape, after: Shape, subject: str, *, of_request: bool) -> Iterator[str]:
        for name, schemas in before.properties.items():
            if name in after.properties:
                found = after.properties[name]
                yield from self._schema(schemas, found, f"{subject}: '{name}'", of_request=of_request)
            else:
                yield f"{subject}: property '{name}' is removed"
        if before.items and after.items:
            yield from self._schema(before.items, after.items, f"{subject}[]", of_request=of_request)
        narrower, wider = (before, after) if of_request else (after, before)
        for name in narrower.alternatives.keys() - wider.alternatives.keys() if wider.alternatives else ():
            yield f"{subject}: alternative '{name}' is {'removed' if of_request else 'added'}"
        for name in before.alternatives.keys() & after.alternatives.keys():
            schemas, found = [before.alternatives[name]], [after.alternatives[name]]
            yield from self._schema(schemas, found, f"{subject} ({name})", of_request=of_request)


def _by_name(operation: dict[str, Any], document: Mapping[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    """Return the parameters by place and name; those in the path by their position."""
    positions = {name: str(position) for position, name in enumerate(_VARIABLE.findall(operation["path"]), 1)}
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for each in operation["parameters"]:
        parameter = resolved(each, document)
        name = parameter["name"]
        found[(parameter["in"], positions[f"{{{name}}}"] if parameter["in"] == "path" else name)] = parameter
    return found


def _type_changes(before: Shape, after: Shape, subject: str, *, of_request: bool) -> Iterator[str]:
    for what, one, other in (("type", before.types, after.types), ("value", before.values, after.values)):
        narrower, wider = (one, other) if of_request else (other, one)
        if wider is None:
            continue
        if narrower is None:
            yield f"{subject}: the {what} is {'limited' if of_request else 'unlimited'} now"
        else:
            verb = "removed" if of_request else "added"
            yield from (f"{subject}: {what} '{each}' is {verb}" for each in sorted(_beyond(narrower, wider)))


def _beyond(narrower: set[str], wider: set[str]) -> set[str]:
    """Return what the one set has and the other lacks; integers are numbers."""
    return narrower - wider - ({"integer"} if "number" in wider else set())


def _limit_changes(before: Shape, after: Shape, subject: str) -> Iterator[str]:
    for keyword, bound in after.bounds.items():
        earlier = before.bounds.get(keyword)
        if earlier is None:
            yield f"{subject}: {keyword} {bound} is new"
        elif (keyword in LOWER_BOUNDS and bound > earlier) or (keyword in UPPER_BOUNDS and bound < earlier):
            yield f"{subject}: {keyword} is {bound}, was {earlier}"
    for pattern in sorted(after.pattern - before.pattern):
        yield f"{subject}: pattern {pattern} is new"


def _required_changes(before: Shape, after: Shape, subject: str, *, of_request: bool) -> Iterator[str]:
    if of_request:
        yield from (f"{subject}: '{name}' is required now" for name in sorted(after.required - before.required))
    else:
        lost = {name for name in before.required - after.required if name in after.properties}
        yield from (f"{subject}: '{name}' is optional now" for name in sorted(lost))
