# SPDX-License-Identifier: Apache-2.0
"""Documentation parts of API Gateway, made from an OpenAPI document.

A part's location names path and method in full and relies on no inheritance: AWS's two descriptions of inheritance
differ. Each kind of location has its own fields (its developer guide: Representation of API documentation).
"""

from collections.abc import Iterator
from typing import Any

_Part = dict[str, Any]

_PARAMETERS = {"path": "PATH_PARAMETER", "query": "QUERY_PARAMETER", "header": "REQUEST_HEADER"}
_ANY_METHOD = "x-amazon-apigateway-any-method"


def documentation_parts(document: dict[str, Any]) -> list[_Part]:
    """Return the parts of everything that the document describes, sorted by location."""
    info = document["info"]
    parts = [_part({"type": "API"}, info)]
    for name, schema in document["components"]["schemas"].items():
        parts.append(_part({"type": "MODEL", "name": name}, schema))
    for path, item in document["paths"].items():
        for method, operation in item.items():
            place = {"path": path, "method": "ANY" if method == _ANY_METHOD else method.upper()}
            parts.extend(_operation_parts(place, operation))
    return sorted((part for part in parts if part["properties"]), key=lambda part: sorted(part["location"].items()))


def _operation_parts(place: dict[str, str], operation: dict[str, Any]) -> Iterator[_Part]:
    yield _part({"type": "METHOD", **place}, operation)
    for parameter in operation["parameters"]:
        yield _part({"type": _PARAMETERS[parameter["in"]], **place, "name": parameter["name"]}, parameter)
    yield _part({"type": "REQUEST_BODY", **place}, operation.get("requestBody", {}))
    for status, response in operation["responses"].items():
        yield _part({"type": "RESPONSE", **place, "statusCode": status}, response)


def _part(location: dict[str, str], described: dict[str, Any]) -> _Part:
    texts = {key: described[key] for key in ("summary", "description") if described.get(key)}
    return {"location": location, "properties": texts}
