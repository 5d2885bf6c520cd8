# SPDX-License-Identifier: Apache-2.0
"""The import document is valid OpenAPI 3.0, keeps API Gateway's rules, and says what the original says."""

import json
from collections.abc import Callable
from copy import deepcopy
from functools import cache
from typing import Any

import pytest
from click.testing import CliRunner
from openapi_spec_validator import OpenAPIV30SpecValidator

from api.api_gateway.document import Integration, import_document
from api.api_gateway.schemas import SchemaConverter
from api.cli import main
from api.cli.openapi import current_document
from tests.api_gateway_rules import InvalidImport, check_document

Document = dict[str, Any]
LOG_BATCH = "/api/2.0/mlflow/runs/log-batch"
PARTS = "x-amazon-apigateway-documentation"
LINK = ("--vpc-link-id", "link1", "--nlb-uri", "https://bridge.internal/")


@cache
def _printed() -> str:
    return CliRunner().invoke(main, ["openapi", "--for", "api-gateway", "--version", "v7", *LINK]).output


def _imported() -> Document:
    document: Document = json.loads(_printed())
    return document


def test_it_is_valid_openapi_3_0() -> None:
    assert [error.message for error in OpenAPIV30SpecValidator(_imported()).iter_errors()] == []
    assert _imported()["openapi"] == "3.0.1"


def test_api_gateway_would_import_it() -> None:
    check_document(_imported())


def test_each_operation_is_kept_and_documented() -> None:
    before, after = current_document(), _imported()
    documented = {
        (part["location"]["method"], part["properties"]["summary"])
        for part in after[PARTS]["documentationParts"]
        if part["location"]["type"] == "METHOD"
    }

    paths = {path: item for path, item in before["paths"].items() if not path.endswith("/")}
    operations = [(method, each) for item in paths.values() for method, each in item.items()]
    assert {(method.upper(), each["summary"]) for method, each in operations} <= documented
    assert sum(len(item) for item in after["paths"].values()) == len(operations) + len(["/api", "/ajax-api"])
    assert after[PARTS]["version"] == "v7"


def test_requests_go_through_the_vpc_link_with_their_path() -> None:
    path = "/v1/runs/{run}/backlog"

    integration = _imported()["paths"][path]["get"]["x-amazon-apigateway-integration"]

    assert integration["connectionId"] == "link1"
    assert integration["uri"] == f"https://bridge.internal{path}"
    assert integration["requestParameters"] == {"integration.request.path.run": "method.request.path.run"}
    assert "integration-target" not in integration


def test_a_vpc_link_v2_has_the_load_balancer_as_its_target() -> None:
    document = import_document(current_document(), Integration("link2", "https://bridge.internal", "arn:aws:x"), "v1")

    integration = document["paths"]["/v1/writes"]["post"]["x-amazon-apigateway-integration"]
    assert integration["integration-target"] == "arn:aws:x"


def test_parameters_are_validated_and_bodies_are_not() -> None:
    document = _imported()

    validator = document["x-amazon-apigateway-request-validators"][document["x-amazon-apigateway-request-validator"]]
    assert validator == {"validateRequestBody": False, "validateRequestParameters": True}
    assert document["x-amazon-apigateway-binary-media-types"] == ["*/*"]


def test_the_link_and_the_address_are_required() -> None:
    result = CliRunner().invoke(main, ["openapi", "--for", "api-gateway"])

    assert result.exit_code == 2
    assert "--vpc-link-id" in result.output


@pytest.mark.parametrize(
    ("schema", "converted"),
    [
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, {"type": "string", "description": "May be null."}),
        ({"anyOf": [{"$ref": "#/components/schemas/A"}, {"type": "null"}]}, {"$ref": "#/components/schemas/A"}),
        (
            {"anyOf": [{"type": "string"}, {"type": "integer"}, {"type": "null"}], "description": "A text"},
            {"anyOf": [{"type": "string"}, {"type": "integer"}], "description": "A text. May be null."},
        ),
        ({"type": ["string", "null"]}, {"type": "string", "description": "May be null."}),
        ({"enum": ["a", None]}, {"enum": ["a"], "description": "May be null."}),
        ({"const": "a", "default": "a"}, {"enum": ["a"]}),
        ({"type": "number", "exclusiveMinimum": 0}, {"type": "number", "minimum": 0, "description": "Greater than 0."}),
        ({"type": "integer", "format": "int64", "required": []}, {"type": "integer"}),
        ({"type": "string", "contentEncoding": "base64"}, {"type": "string", "format": "byte"}),
        ({"$ref": "#/components/schemas/A", "description": "Beside"}, {"$ref": "#/components/schemas/A"}),
        ({"allOf": [{"$ref": "#/components/schemas/B"}]}, {"allOf": [{"type": "object"}]}),
        (
            {"items": {"const": 1}, "properties": {"a": {"default": 1}}},
            {"items": {"enum": [1]}, "properties": {"a": {}}},
        ),
    ],
)
def test_a_schema_is_converted(schema: Document, converted: Document) -> None:
    components: Document = {"A": {"type": "object"}, "B": {"$ref": "#/components/schemas/A"}}

    assert SchemaConverter(components).convert(deepcopy(schema)) == converted


def _schemas(document: Document) -> Document:
    schemas: Document = document["components"]["schemas"]
    return schemas


def _add_part(document: Document, location: Document, **properties: str) -> None:
    document[PARTS]["documentationParts"].append({"location": location, "properties": properties})


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda d: d["paths"].update({f"/x{number}": {} for number in range(300)}), "resources"),
        (lambda d: d["paths"].update({"/v1/runs/{other}/x": {}}), "already has a variable path part"),
        (lambda d: d["paths"].update({"/models/{name}:generate": {}}), "neither a name nor one variable"),
        (lambda d: d["paths"].update({"/v1/": {}}), "neither a name nor one variable"),
        (lambda d: d["paths"].update({"/api/{proxy+}/x": {}}), "a greedy variable has children"),
        (lambda d: d["paths"]["/docs"]["get"].pop("x-amazon-apigateway-integration"), "No integration defined"),
        (lambda d: d["paths"]["/docs"]["get"].update(security=[]), "security"),
        (lambda d: _schemas(d).update({"With_Dash-": {}}), "must be alphanumeric"),
        (lambda d: _schemas(d).update(A={"allOf": [{"$ref": "#/components/schemas/Op"}]}), "inside allOf"),
        (lambda d: _schemas(d).update(A={"$ref": "#/components/schemas/Op", "title": "A"}), "beside"),
        (lambda d: _schemas(d).update(A={"anyOf": [{"type": "null"}]}), "type null"),
        (lambda d: _schemas(d).update(A={"properties": {"a": {"default": 1}}}), "default is not supported"),
        (lambda d: _add_part(d, {"type": "METHODS"}, summary="x"), "unknown location type"),
        (lambda d: _add_part(d, {"type": "API", "name": "x"}, summary="x"), "location of API"),
        (lambda d: _add_part(d, {"type": "RESOURCE", "path": "/x"}), "are no object"),
        (lambda d: _add_part(d, {"type": "API"}, summary="x"), "two parts"),
        (lambda d: d[PARTS]["documentationParts"].extend(d[PARTS]["documentationParts"] * 5), "parts"),
    ],
)
def test_what_api_gateway_refuses_is_found(change: Callable[[Document], object], problem: str) -> None:
    document = _imported()
    change(document)

    with pytest.raises(InvalidImport, match=problem):
        check_document(document)
