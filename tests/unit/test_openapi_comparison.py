# SPDX-License-Identifier: Apache-2.0
"""Breaking changes between two OpenAPI documents are found and named; compatible ones are not."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest

from api.openapi.comparison import breaking_changes

Document = dict[str, Any]
NAME: Document = {"type": "string", "minLength": 1, "maxLength": 10}
RUN: Document = {
    "type": "object",
    "required": ["name"],
    "properties": {
        "name": {"allOf": [NAME, {"$ref": "#/components/schemas/Text"}]},
        "note": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        "state": {"enum": ["open", "closed"]},
        "parts": {"type": "array", "items": {"$ref": "#/components/schemas/Run"}},
        "number": {"type": "number"},
    },
}
BEFORE: Document = {
    "openapi": "3.1.0",
    "paths": {
        "/runs/{run}": {
            "post": {
                "parameters": [
                    {"in": "path", "name": "run", "required": True, "schema": {"type": "string"}},
                    {"in": "query", "name": "limit", "schema": {"type": "integer", "maximum": 10}},
                ],
                "requestBody": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Run"}}}},
                "responses": {
                    "200": {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Answer"}}}},
                    "404": {"description": "There is no such run"},
                },
            }
        }
    },
    "components": {"schemas": {"Run": RUN, "Answer": deepcopy(RUN), "Text": {"type": "string"}}},
}
_ANSWER_SCHEMA = BEFORE["components"]["schemas"]["Answer"]
_ANSWER_SCHEMA["properties"]["parts"]["items"] = {"$ref": "#/components/schemas/Answer"}
POST = "POST /runs/{run}: "


def _operation(document: Document) -> Document:
    operation: Document = document["paths"]["/runs/{run}"]["post"]
    return operation


def _schema(name: str) -> Callable[[Document], Document]:
    return lambda document: document["components"]["schemas"][name]


def _properties(name: str) -> Callable[[Document], Document]:
    return lambda document: document["components"]["schemas"][name]["properties"]


def _parameter(document: Document) -> Document:
    parameter: Document = _operation(document)["parameters"][1]
    return parameter


_REQUEST, _ANSWER = _properties("Run"), _properties("Answer")


def _changes(change: Callable[[Document], object]) -> list[str]:
    after = deepcopy(BEFORE)
    change(after)
    return breaking_changes(BEFORE, after)


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (lambda d: d["paths"].clear(), "the operation is removed"),
        (lambda d: _operation(d)["parameters"].pop(), "query parameter 'limit' is removed"),
        (lambda d: _parameter(d).update(required=True), "query parameter 'limit' is required now"),
        (lambda d: _parameter(d)["schema"].update(maximum=5), "query parameter 'limit': maximum is 5, was 10"),
        (
            lambda d: _operation(d)["parameters"].append({"in": "header", "name": "Key", "required": True}),
            "header parameter 'Key' is required now",
        ),
        (lambda d: _operation(d)["requestBody"].update(required=True), "a request body is required now"),
        (lambda d: _operation(d).pop("requestBody"), "the request body is removed"),
        (
            lambda d: _operation(d)["requestBody"]["content"].clear(),
            "request: media type application/json is removed",
        ),
        (lambda d: _operation(d)["responses"].pop("200"), "response 200 is removed"),
        (lambda d: _schema("Run")(d)["required"].append("state"), "request: 'state' is required now"),
        (lambda d: _REQUEST(d).pop("state"), "request: property 'state' is removed"),
        (lambda d: _REQUEST(d)["state"]["enum"].pop(), "request: 'state': value 'closed' is removed"),
        (lambda d: _REQUEST(d)["note"]["anyOf"].pop(), "request: 'note': alternative 'null' is removed"),
        (lambda d: _REQUEST(d)["number"].update(type="integer"), "request: 'number': type 'number' is removed"),
        (lambda d: _REQUEST(d)["number"].update(minimum=0), "request: 'number': minimum 0 is new"),
        (lambda d: _REQUEST(d)["name"]["allOf"][0].update(minLength=2), "request: 'name': minLength is 2, was 1"),
        (lambda d: _REQUEST(d)["number"].update(enum=[1]), "request: 'number': the value is limited now"),
        (lambda d: _REQUEST(d)["name"].update(pattern="^a"), "request: 'name': pattern ^a is new"),
        (lambda d: _schema("Answer")(d)["required"].clear(), "response 200: 'name' is optional now"),
        (lambda d: _ANSWER(d).pop("note"), "response 200: property 'note' is removed"),
        (lambda d: _ANSWER(d)["state"]["enum"].append("new"), "response 200: 'state': value 'new' is added"),
        (
            lambda d: _ANSWER(d)["note"]["anyOf"].append({"type": "integer"}),
            "response 200: 'note': alternative 'integer' is added",
        ),
    ],
)
def test_a_breaking_change_is_named(change: Callable[[Document], object], name: str) -> None:
    assert POST + name in _changes(change)


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d["paths"].update({"/new": {"get": {"responses": {"200": {"description": "Done"}}}}}),
        lambda d: _operation(d)["parameters"].append({"in": "query", "name": "cursor"}),
        lambda d: _operation(d)["responses"].update({"409": {"description": "Conflict"}}),
        lambda d: _operation(d)["responses"].pop("404"),
        lambda d: _operation(d).update(summary="Other words"),
        lambda d: _parameter(d)["schema"].update(maximum=20),
        lambda d: _REQUEST(d).update(more={"type": "string"}),
        lambda d: _schema("Run")(d)["required"].clear(),
        lambda d: _REQUEST(d)["state"]["enum"].append("new"),
        lambda d: _REQUEST(d)["name"]["allOf"][0].update(maxLength=20),
        lambda d: _ANSWER(d).update(more={"type": "string"}),
        lambda d: _ANSWER(d)["state"]["enum"].pop(),
        lambda d: _ANSWER(d)["number"].update(type="integer"),
    ],
)
def test_a_compatible_change_is_not_breaking(change: Callable[[Document], object]) -> None:
    assert _changes(change) == []


def test_a_paths_variable_may_have_another_name() -> None:
    after = deepcopy(BEFORE)
    after["paths"]["/runs/{name}"] = after["paths"].pop("/runs/{run}")
    after["paths"]["/runs/{name}"]["post"]["parameters"][0]["name"] = "name"

    assert breaking_changes(BEFORE, after) == []
