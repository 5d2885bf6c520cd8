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
            operation_changes = _Comparison(before, after).operation(operation, later[(method, path)])
            changes |= {f"{name}: {change}" for change in operation_changes}
    return sorted(changes)


def _operations(document: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    """Return all operations by method and path, without the names of variables: to rename one breaks no client."""
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
        self._in_progress: set[str] = set()

    def operation(self, before: dict[str, Any], after: dict[str, Any]) -> Iterator[str]:
        """Yield the breaking changes of an operation."""
        yield from self._parameter_changes(before, after)
        yield from self._request_body(before.get("requestBody"), after.get("requestBody"))
        for status, response in before.get("responses", {}).items():
            later_response = after.get("responses", {}).get(status)
            if later_response is not None:
                yield from self._content(response, later_response, f"response {status}", of_request=False)
            elif status.startswith("2"):
                yield f"response {status} is removed"

    def _parameter_changes(self, before: dict[str, Any], after: dict[str, Any]) -> Iterator[str]:
        earlier, later = _by_name(before, self._before), _by_name(after, self._after)
        for (location, name), parameter in later.items():
            subject = f"{location} parameter '{name}'"
            known = earlier.get((location, name))
            if parameter.get("required") and not (known or {}).get("required"):
                yield f"{subject} is required now"
            if known:
                old_schemas, new_schemas = [known.get("schema", {})], [parameter.get("schema", {})]
                yield from self._schema(old_schemas, new_schemas, subject, of_request=True)
        for location, name in earlier.keys() - later.keys():
            yield f"{location} parameter '{name}' is removed"

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
                old_schemas, new_schemas = [content.get("schema", {})], [later[media_type].get("schema", {})]
                yield from self._schema(old_schemas, new_schemas, subject, of_request=of_request)

    def _schema(self, before: list[Any], after: list[Any], subject: str, *, of_request: bool) -> Iterator[str]:
        """Yield the changes of a part to which all schemas of ``before``, and then all of ``after``, apply."""
        key = json.dumps([before, after], sort_keys=True)
        if key in self._in_progress:
            return
        self._in_progress.add(key)
        old, new = shape(before, self._before), shape(after, self._after)
        yield from _type_changes(old, new, subject, of_request=of_request)
        if of_request:
            yield from _limit_changes(old, new, subject)
        yield from _required_changes(old, new, subject, of_request=of_request)
        yield from self._parts(old, new, subject, of_request=of_request)
        self._in_progress.discard(key)

    def _parts(self, before: Shape, after: Shape, subject: str, *, of_request: bool) -> Iterator[str]:
        for name, schemas in before.properties.items():
            if name in after.properties:
                yield from self._schema(schemas, after.properties[name], f"{subject}: '{name}'", of_request=of_request)
            else:
                yield f"{subject}: property '{name}' is removed"
        if before.items and after.items:
            yield from self._schema(before.items, after.items, f"{subject}[]", of_request=of_request)
        narrower, wider = (before, after) if of_request else (after, before)
        for name in narrower.alternatives.keys() - wider.alternatives.keys() if wider.alternatives else ():
            yield f"{subject}: alternative '{name}' is {'removed' if of_request else 'added'}"
        for name in before.alternatives.keys() & after.alternatives.keys():
            old_schemas, new_schemas = [before.alternatives[name]], [after.alternatives[name]]
            yield from self._schema(old_schemas, new_schemas, f"{subject} ({name})", of_request=of_request)


def _by_name(operation: dict[str, Any], document: Mapping[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    """Return the parameters by location and name; those in the path by their position."""
    positions = {name: str(position) for position, name in enumerate(_VARIABLE.findall(operation["path"]), 1)}
    parameters: dict[tuple[str, str], dict[str, Any]] = {}
    for each in operation["parameters"]:
        parameter = resolved(each, document)
        location, name = parameter["in"], parameter["name"]
        parameters[(location, positions[f"{{{name}}}"] if location == "path" else name)] = parameter
    return parameters


def _type_changes(before: Shape, after: Shape, subject: str, *, of_request: bool) -> Iterator[str]:
    for aspect, old, new in (("type", before.types, after.types), ("value", before.values, after.values)):
        # A request must not be limited further, a response must not become wider.
        narrower, wider = (old, new) if of_request else (new, old)
        if wider is None:
            continue
        if narrower is None:
            yield f"{subject}: the {aspect} is {'limited' if of_request else 'unlimited'} now"
        else:
            verb = "removed" if of_request else "added"
            yield from (f"{subject}: {aspect} '{each}' is {verb}" for each in sorted(_beyond(narrower, wider)))


def _beyond(narrower: set[str], wider: set[str]) -> set[str]:
    """Return the members of the first set that the other lacks; integers are numbers."""
    return narrower - wider - ({"integer"} if "number" in wider else set())


def _limit_changes(before: Shape, after: Shape, subject: str) -> Iterator[str]:
    for keyword, bound in after.bounds.items():
        earlier = before.bounds.get(keyword)
        if earlier is None:
            yield f"{subject}: {keyword} {bound} is new"
        elif (keyword in LOWER_BOUNDS and bound > earlier) or (keyword in UPPER_BOUNDS and bound < earlier):
            yield f"{subject}: {keyword} is {bound}, was {earlier}"
    for pattern in sorted(after.patterns - before.patterns):
        yield f"{subject}: pattern {pattern} is new"


def _required_changes(before: Shape, after: Shape, subject: str, *, of_request: bool) -> Iterator[str]:
    if of_request:
        yield from (f"{subject}: '{name}' is required now" for name in sorted(after.required - before.required))
    else:
        lost = {name for name in before.required - after.required if name in after.properties}
        yield from (f"{subject}: '{name}' is optional now" for name in sorted(lost))
