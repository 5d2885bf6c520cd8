# SPDX-License-Identifier: Apache-2.0
"""The OpenAPI 3.1 document of the bridge's own routes and of the queued calls, and an HTML page made from it.

The schemas are those of the types that requests are decoded with and responses are made of.
"""

import html
from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any, get_args

import msgspec

from api.http.routing import Route
from api.openapi.bodies import BODIES, JSON, queued_content, schema_ref
from api.openapi.constraints import (
    CLIENT_NAME,
    EXPERIMENT,
    PATH_PART,
    QUERY,
    QUERY_OF,
    REQUIRED_QUERY,
    SPANS,
    TRACE,
)
from schemas.endpoints import OTLP_PATH, QUEUED, Endpoint
from schemas.job import JobDocument
from schemas.problem import MlflowError, Problem
from schemas.write import Op

_PROBLEM = "application/problem+json"
#: Problems that every route of the bridge's own may respond with.
_COMMON_PROBLEMS = (400, 401, 403, 429, 503)


def openapi_document(routes: Iterable[Route]) -> dict[str, Any]:
    """Return the document of these routes and of the queued calls."""
    routes = list(routes)
    types: set[Any] = {*BODIES.values(), JobDocument, MlflowError, Problem}
    for route in routes:
        types |= {type_ for type_ in (route.body, *chain(*map(_members, route.answers.values()))) if type_}
    ordered = sorted(types, key=lambda type_: type_.__name__)
    _, components = msgspec.json.schema_components(ordered, ref_template="#/components/schemas/{name}")
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.template, {})[route.method.lower()] = _operation(route)
    for endpoint in QUEUED:
        if endpoint.path != OTLP_PATH:
            paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = _queued_operation(endpoint)
    paths[OTLP_PATH] = {"post": _export_operation()}
    return {
        "openapi": "3.1.0",
        "info": {"title": "MLflow Bridge", "version": "1", "summary": "Durable, asynchronous logging to MLflow"},
        "paths": paths,
        "components": {"schemas": components, "securitySchemes": _SECURITY_SCHEMES},
        # One of these, or none where BRIDGE_AUTH is not set.
        "security": [*({name: []} for name in _SECURITY_SCHEMES), {}],
    }


_SECURITY_SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "An API key, or a token of an OpenID provider"},
    "basic": {"type": "http", "scheme": "basic", "description": "An API key as the password"},
    "key": {"type": "apiKey", "in": "header", "name": "X-Api-Key", "description": "An API key"},
    "signature": {
        "type": "apiKey",
        "in": "header",
        "name": "Authorization",
        "description": "AWS Signature Version 4 with an access key of the bridge, for sagemaker-mlflow or sagemaker",
    },
}


def _operation(route: Route) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "summary": route.summary,
        "parameters": [*_path_parameters(route.template), *_query_parameters(route), *_prefer_parameter(route.prefers)],
        "responses": {
            **{str(status): _response(type_) for status, type_ in route.answers.items()},
            **_problems(*sorted({*route.problems, *_COMMON_PROBLEMS})),
        },
    }
    if route.is_open:
        operation["security"] = [{}]
    if route.has_csv:
        operation["responses"]["200"]["content"]["text/csv"] = {"schema": {"type": "string"}}
    if route.is_queued:
        operation["parameters"].append(_IDEMPOTENCY_KEY)
    if route.is_conditional:
        operation["parameters"] += _PRECONDITIONS
    if route.content:
        operation["requestBody"] = {"required": True, "content": route.content()}
    elif route.body:
        operation["requestBody"] = {"required": True, "content": {JSON: {"schema": schema_ref(route.body)}}}
    return operation


def _queued_operation(endpoint: Endpoint) -> dict[str, Any]:
    op = Op(endpoint.op)
    return {
        "summary": f"Queue MLflow's {op}",
        "parameters": [
            *_path_parameters(endpoint.path),
            *_prefer_parameter(("respond-async", "wait=N")),
            _IDEMPOTENCY_KEY,
        ],
        "requestBody": {"required": True, "content": queued_content(op)},
        "responses": {
            "200": {"description": "Stored durably, or with wait=N delivered", "content": {JSON: {}}},
            "202": _response(JobDocument),
            **{
                str(status): {"description": text, "content": {JSON: {"schema": schema_ref(MlflowError)}}}
                for status, text in _ERROR_DESCRIPTIONS.items()
            },
        },
    }


def _export_operation() -> dict[str, Any]:
    experiment = {
        "name": "x-mlflow-experiment-id",
        "in": "header",
        "required": True,
        "schema": EXPERIMENT,
    }
    errors = _ERROR_DESCRIPTIONS | {
        422: f"{_ERROR_DESCRIPTIONS[422]}; or the experiment or the id of a span is missing"
    }
    spans: dict[str, Any] = {"application/x-protobuf": {}, JSON: {"schema": SPANS}}
    return {
        "summary": "Queue an export of OpenTelemetry spans (OTLP)",
        "parameters": [experiment, *_prefer_parameter(("respond-async", "wait=N")), _IDEMPOTENCY_KEY],
        "requestBody": {"required": True, "content": spans},
        "responses": {
            "200": {"description": "Stored durably, or with wait=N delivered"},
            "202": _response(JobDocument),
            **{str(status): {"description": text, "content": {JSON: {}}} for status, text in errors.items()},
        },
    }


_ERROR_DESCRIPTIONS = {
    400: "Invalid write",
    401: "Missing or invalid credentials",
    403: "Permission denied",
    404: "Invalid run id, or with wait=N MLflow's own 404",
    408: "Request body timed out",
    413: "Request body too large",
    422: "Idempotency-Key reused for another request",
    429: "Backlog or rate limit exceeded",
    503: "Temporarily unavailable and not confirmed; retry",
}
_IDEMPOTENCY_KEY = {
    "name": "Idempotency-Key",
    "in": "header",
    "schema": {"type": "string", "pattern": "^[!#-~]{1,255}$"},
}
#: One of them is required (RFC 9110, section 13).
_PRECONDITIONS = [
    {
        "name": "If-Match",
        "in": "header",
        "description": "The `etag` of the version that is changed",
        "schema": {"type": "string", "pattern": '^"[0-9a-f]{24}"$'},
    },
    {
        "name": "If-None-Match",
        "in": "header",
        "description": "`*`, to make a new one",
        "schema": {"type": "string", "const": "*"},
    },
]


def _prefer_parameter(preferences: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    if preferences:
        yield {
            "name": "Prefer",
            "in": "header",
            "description": f"RFC 7240: {', '.join(preferences)}",
            "schema": {"type": "string", "pattern": "^[!-~]*$"},
        }


def _path_parameters(path: str) -> Iterator[dict[str, Any]]:
    for part in path.split("/"):
        if part.startswith("{"):
            name = part[1:-1]
            schema = _PATH_PARAMETER_SCHEMAS.get(name, PATH_PART)
            yield {"name": name, "in": "path", "required": True, "schema": schema}


_PATH_PARAMETER_SCHEMAS = {"trace_id": TRACE, "request_id": TRACE, "name": CLIENT_NAME}


def _query_parameters(route: Route) -> Iterator[dict[str, Any]]:
    schemas = QUERY | QUERY_OF.get(route.path, {})
    for name in route.query:
        is_required = name in REQUIRED_QUERY.get(route.path, ())
        yield {"name": name, "in": "query", **({"required": True} if is_required else {}), "schema": schemas[name]}


def _response(type_: Any) -> dict[str, Any]:  # noqa: ANN401 - see _members
    if type_ is None:
        return {"description": "Done"}
    members = _members(type_)
    schemas = [schema_ref(each) for each in members]
    schema: dict[str, Any] = {"anyOf": schemas} if len(schemas) > 1 else schemas[0]
    description = "; or: ".join((each.__doc__ or "").splitlines()[0] for each in members)
    return {"description": description, "content": {JSON: {"schema": schema}}}


def _members(type_: Any) -> tuple[Any, ...]:  # noqa: ANN401 - a type or a union of types
    """Return the types of a union, or the one type in a tuple."""
    return get_args(type_) or (type_,)


def _problems(*statuses: int) -> dict[str, Any]:
    content = {_PROBLEM: {"schema": schema_ref(Problem)}}
    return {str(status): {"description": "Problem document (RFC 9457)", "content": content} for status in statuses}


def openapi_page(document: dict[str, Any]) -> str:
    """Return an HTML page that lists all operations and loads no other resource."""
    rows = "".join(
        f"<tr><td><b>{method.upper()}</b></td><td><code>{html.escape(path)}</code></td>"
        f"<td>{html.escape(operation['summary'])}</td><td>{', '.join(operation['responses'])}</td></tr>"
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    )
    return (
        "<!doctype html><html lang=en><meta charset=utf-8><title>MLflow Bridge</title>"
        "<style>body{font:16px sans-serif;margin:2em}td{padding:.3em 1em .3em 0;vertical-align:top}</style>"
        "<h1>MLflow Bridge</h1><p>The machine-readable description is <a href=/openapi.json>/openapi.json</a>.</p>"
        f"<table>{rows}</table>"
    )
