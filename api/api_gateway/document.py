# SPDX-License-Identifier: Apache-2.0
"""The OpenAPI 3.0.1 document that API Gateway imports as a REST API in front of the bridge.

Every method is an HTTP proxy integration through a VPC link. The rest of MLflow's API goes through greedy paths: as
resources of their own, all of MLflow's calls under both prefixes would exceed the 300 resources of a REST API.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from api.api_gateway.documentation import documentation_parts
from api.api_gateway.schemas import SchemaConverter

_Document = dict[str, Any]

#: MLflow's calls that are not queued, and all calls under its other prefix.
_PROXIED_PATHS = ("/ajax-api/{proxy+}", "/api/{proxy+}")
_VARIABLE = re.compile(r"\{([^}+]+)\+?\}")
_VALIDATOR = "params-only"
#: How long API Gateway waits for a response. A longer time needs a higher quota of the account.
_TIMEOUT_MS = 29_000
#: API Gateway's own responses, in the form of MLflow's errors, so that clients can read them.
_MLFLOW_ERRORS = {
    "DEFAULT_4XX": "BAD_REQUEST",
    "DEFAULT_5XX": "INTERNAL_ERROR",
    "INTEGRATION_TIMEOUT": "TEMPORARILY_UNAVAILABLE",
    "THROTTLED": "REQUEST_LIMIT_EXCEEDED",
}


@dataclass(frozen=True)
class Integration:
    """Where API Gateway sends requests.

    ``uri`` is the address of the load balancer; its host is sent as ``Host`` and checked against the certificate.
    ``target_arn`` is the load balancer's ARN, which a VPC link V2 needs and a VPC link V1 does not take.
    """

    vpc_link_id: str
    uri: str
    target_arn: str | None = None


def import_document(document: _Document, integration: Integration | None, version: str) -> _Document:
    """Return what API Gateway imports for the bridge's OpenAPI 3.1 document.

    ``version`` names the version of the documentation. Without an integration the document serves for its
    documentation alone. It requires no API key of API Gateway: that would take ``X-Api-Key`` as the key of a usage
    plan, and the bridge authenticates clients itself.
    """
    schemas = SchemaConverter(document["components"]["schemas"])
    paths = {path: _path_item(path, item, schemas, integration) for path, item in _with_shared_names(document["paths"])}
    for path in _PROXIED_PATHS:
        paths[path] = {"x-amazon-apigateway-any-method": _proxied_method(path, integration)}
    info = document["info"]
    result: _Document = {
        "openapi": "3.0.1",
        "info": {"title": info["title"], "version": info["version"], "description": info.get("summary", "")},
        "paths": paths,
        "components": {
            "schemas": {name: schemas.convert(schema) for name, schema in document["components"]["schemas"].items()}
        },
        "x-amazon-apigateway-binary-media-types": ["*/*"],
        "x-amazon-apigateway-gateway-responses": {
            kind: {"responseTemplates": {"application/json": _mlflow_error(code)}}
            for kind, code in _MLFLOW_ERRORS.items()
        },
        "x-amazon-apigateway-request-validator": _VALIDATOR,
        "x-amazon-apigateway-request-validators": {
            # The bridge validates bodies, and explains in MLflow's words what is wrong with one.
            _VALIDATOR: {"validateRequestBody": False, "validateRequestParameters": True}
        },
    }
    parts = documentation_parts(result)
    return {**result, "x-amazon-apigateway-documentation": {"version": version, "documentationParts": parts}}


def _mlflow_error(code: str) -> str:
    return f'{{"error_code": "{code}", "message": $context.error.messageString}}'


def _with_shared_names(paths: _Document) -> Iterator[tuple[str, _Document]]:
    """Yield the paths, in which siblings have one variable name: API Gateway refuses a second one.

    A path with a trailing slash is left out: API Gateway has no empty segments.
    """
    #: The first name of the variable that follows a path.
    first_names: dict[str, str] = {}
    for path, item in sorted((path, item) for path, item in paths.items() if not path.endswith("/")):
        names: dict[str, str] = {}
        segments: list[str] = []
        for segment in path.split("/"):
            variable = _VARIABLE.fullmatch(segment)
            if variable:
                names[variable[1]] = first_names.setdefault("/".join(segments), variable[1])
            segments.append(f"{{{names[variable[1]]}}}" if variable else segment)
        yield "/".join(segments), _with_parameter_names(item, names)


def _with_parameter_names(item: _Document, names: dict[str, str]) -> _Document:
    return {
        method: operation | {"parameters": [_rename_in_path(each, names) for each in operation.get("parameters", ())]}
        for method, operation in item.items()
    }


def _rename_in_path(parameter: _Document, names: dict[str, str]) -> _Document:
    return parameter | {"name": names[parameter["name"]]} if parameter["in"] == "path" else parameter


def _path_item(path: str, item: _Document, schemas: SchemaConverter, integration: Integration | None) -> _Document:
    return {
        method: {
            **_operation(operation, schemas),
            **_integration(method.upper(), path, integration),
        }
        for method, operation in item.items()
    }


def _operation(operation: _Document, schemas: SchemaConverter) -> _Document:
    kept: _Document = {key: operation[key] for key in ("summary", "description") if key in operation}
    responses = {
        status: {"description": response["description"], **_content(response, schemas)}
        for status, response in operation["responses"].items()
    }
    kept |= {"parameters": [_parameter(each) for each in operation.get("parameters", ())], "responses": responses}
    if "requestBody" in operation:
        body = operation["requestBody"]
        kept["requestBody"] = {key: body[key] for key in ("description", "required") if key in body}
        kept["requestBody"] |= _content(body, schemas)
    return kept


def _parameter(parameter: _Document) -> _Document:
    """Return a parameter as a string: API Gateway checks only whether a required one is there."""
    kept = {key: parameter[key] for key in ("name", "in", "required", "description") if key in parameter}
    return kept | {"schema": {"type": "string"}}


def _content(part: _Document, schemas: SchemaConverter) -> _Document:
    """Return the media types of a body. API Gateway makes a model of each schema, so only those of objects are kept."""
    content = {}
    for media_type, described in part.get("content", {}).items():
        schema = schemas.convert(described.get("schema", {}))
        is_model = schema.get("type", "object") == "object" and schema
        content[media_type] = {"schema": schema} if is_model else {}
    return {"content": content} if content else {}


def _proxied_method(path: str, integration: Integration | None) -> _Document:
    return {
        "summary": "Call MLflow; logging is queued, the rest is proxied",
        "parameters": [{"name": "proxy", "in": "path", "required": True, "schema": {"type": "string"}}],
        "responses": {"200": {"description": "MLflow's response"}},
        **_integration("ANY", path, integration),
    }


def _integration(method: str, path: str, integration: Integration | None) -> _Document:
    if integration is None:
        return {}
    fields: _Document = {
        "type": "http_proxy",
        "httpMethod": method,
        "uri": integration.uri.rstrip("/") + _VARIABLE.sub(r"{\1}", path),
        "connectionType": "VPC_LINK",
        "connectionId": integration.vpc_link_id,
        "passthroughBehavior": "when_no_match",
        "timeoutInMillis": _TIMEOUT_MS,
        "requestParameters": {
            f"integration.request.path.{name}": f"method.request.path.{name}" for name in _VARIABLE.findall(path)
        },
    }
    if integration.target_arn:
        fields["integration-target"] = integration.target_arn
    return {"x-amazon-apigateway-integration": fields}
