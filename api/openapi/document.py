# SPDX-License-Identifier: Apache-2.0
"""The OpenAPI 3.1 description of the bridge's own paths and of the queued calls: ``GET /openapi.json``, ``GET /docs``.

The schemas are those that requests are decoded with and answers are made of.
"""

import html
from collections.abc import Iterator
from functools import cache
from typing import Any

import msgspec
from flask import Blueprint, Response

from api.openapi.constraints import EXPERIMENT, PATH_PART, QUERY, SPANS, TRACE, constraints
from api.openapi.operations import BODIES, OPERATIONS, Operation
from schemas.bodies.named_run import CreateRun
from schemas.endpoints import OTLP_PATH, QUEUED, Endpoint
from schemas.job import AcceptedJobs, JobDocument
from schemas.problem import MlflowError, Problem
from schemas.write import Op

_JSON, _PROBLEM, _LINES = "application/json", "application/problem+json", "application/x-ndjson"


def openapi() -> Blueprint:
    """Return the routes of the description."""
    blueprint = Blueprint("openapi", __name__)

    @blueprint.get("/openapi.json")
    def document() -> Response:
        return Response(msgspec.json.encode(description()), content_type=_JSON)

    @blueprint.get("/docs")
    def page() -> Response:
        return Response(_page(description()), content_type="text/html; charset=utf-8")

    return blueprint


@cache
def description() -> dict[str, Any]:
    """Return the whole description."""
    types = {type_ for each in OPERATIONS for type_ in (each.body, *each.answers.values()) if type_}
    types |= {*BODIES.values(), AcceptedJobs, JobDocument, MlflowError, Problem}
    ordered = sorted(types, key=lambda type_: type_.__name__)
    _, components = msgspec.json.schema_components(ordered, ref_template="#/components/schemas/{name}")
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method] = _described(operation)
    paths["/v1/writes"] = {"post": _bulk()}
    for endpoint in QUEUED:
        if endpoint.path != OTLP_PATH:
            paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = _queued(endpoint)
    paths[OTLP_PATH] = {"post": _export()}
    return {
        "openapi": "3.1.0",
        "info": {"title": "MLflow Bridge", "version": "1", "summary": "Durable, asynchronous logging to MLflow"},
        "paths": paths,
        "components": {"schemas": components, "securitySchemes": _SCHEMES},
        # One of these, or none where nobody has to say who he is.
        "security": [*({name: []} for name in _SCHEMES), {}],
    }


_SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "An API key, or a token of an OpenID provider"},
    "basic": {"type": "http", "scheme": "basic", "description": "An API key as the password"},
    "key": {"type": "apiKey", "in": "header", "name": "X-Api-Key"},
    "signature": {
        "type": "apiKey",
        "in": "header",
        "name": "Authorization",
        "description": "AWS Signature Version 4 with a key of the bridge, for sagemaker-mlflow or sagemaker",
    },
}


def _described(operation: Operation) -> dict[str, Any]:
    described: dict[str, Any] = {
        "summary": operation.summary,
        "parameters": [*_in_path(operation.path), *_in_query(operation.query), *_prefer(operation.prefers)],
        "responses": {
            **{str(status): _answer(type_) for status, type_ in operation.answers.items()},
            **_problems(*operation.problems, 400, 401, 403, 429, 503),
        },
    }
    if operation.body:
        schema: dict[str, Any] = _ref(operation.body)
        if operation.body is CreateRun:
            schema = {"allOf": [constraints(Op.CREATE_RUN), schema]}
        described["requestBody"] = {"required": True, "content": {_JSON: {"schema": schema}}}
    return described


def _queued(endpoint: Endpoint) -> dict[str, Any]:
    op = Op(endpoint.op)
    return {
        "summary": f"Queue MLflow's {op}",
        "parameters": [*_in_path(endpoint.path), *_prefer(("respond-async", "wait=N")), _KEY],
        "requestBody": {
            "required": True,
            "content": {_JSON: {"schema": {"allOf": [constraints(op), _ref(BODIES[op])]}}},
        },
        "responses": {
            "200": {"description": "Stored durably, or with wait=N delivered", "content": {_JSON: {}}},
            "202": _answer(JobDocument),
            **{
                str(status): {"description": text, "content": {_JSON: {"schema": _ref(MlflowError)}}}
                for status, text in _REFUSALS.items()
            },
        },
    }


def _export() -> dict[str, Any]:
    experiment = {
        "name": "x-mlflow-experiment-id",
        "in": "header",
        "required": True,
        "schema": EXPERIMENT,
    }
    refusals = _REFUSALS | {422: f"{_REFUSALS[422]}; or no experiment is named, or a span has no ids"}
    spans: dict[str, Any] = {"application/x-protobuf": {}, _JSON: {"schema": SPANS}}
    return {
        "summary": "Queue spans that OpenTelemetry exports (OTLP)",
        "parameters": [experiment, *_prefer(("respond-async", "wait=N")), _KEY],
        "requestBody": {"required": True, "content": spans},
        "responses": {
            "200": {"description": "Stored durably, or with wait=N delivered"},
            "202": _answer(JobDocument),
            **{str(status): {"description": text, "content": {_JSON: {}}} for status, text in refusals.items()},
        },
    }


def _bulk() -> dict[str, Any]:
    named = {op: {"properties": {"op": {"const": op}}, "required": ["op"]} for op in BODIES}
    write = {"oneOf": [{"allOf": [named[op], constraints(op, alone=False), _ref(BODIES[op])]} for op in BODIES]}
    writes = {"type": "object", "properties": {"writes": {"type": "array", "items": write}}, "required": ["writes"]}
    return {
        "summary": "Many writes for many runs",
        "parameters": [_KEY],
        "requestBody": {
            "required": True,
            "content": {_JSON: {"schema": writes}, _LINES: {"schema": {"type": "string"}}},
        },
        "responses": {"202": _answer(AcceptedJobs), **_problems(400, 401, 403, 408, 413, 415, 422, 429, 503)},
    }


_REFUSALS = {
    400: "The write is invalid",
    401: "Nobody knows who asks",
    403: "Who asks may not do this",
    404: "No run can have such an id, or with wait=N MLflow's own refusal",
    408: "Nothing more of the body came",
    413: "The body is too long",
    422: "The Idempotency-Key came with another request before",
    429: "Too much waits already",
    503: "Nothing was promised; send it again",
}
_KEY = {"name": "Idempotency-Key", "in": "header", "schema": {"type": "string", "pattern": "^[!#-~]{1,255}$"}}


def _prefer(preferences: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    if preferences:
        told = f"RFC 7240: {', '.join(preferences)}"
        yield {
            "name": "Prefer",
            "in": "header",
            "description": told,
            "schema": {"type": "string", "pattern": "^[!-~]*$"},
        }


def _in_path(path: str) -> Iterator[dict[str, Any]]:
    for part in path.split("/"):
        if part.startswith("{"):
            name = part[1:-1]
            schema = TRACE if name in ("trace_id", "request_id") else PATH_PART
            yield {"name": name, "in": "path", "required": True, "schema": schema}


def _in_query(names: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    for name in names:
        yield {"name": name, "in": "query", "schema": QUERY[name]}


def _answer(type_: type | None) -> dict[str, Any]:
    if type_ is None:
        return {"description": "Done"}
    return {"description": (type_.__doc__ or "").splitlines()[0], "content": {_JSON: {"schema": _ref(type_)}}}


def _problems(*statuses: int) -> dict[str, Any]:
    content = {_PROBLEM: {"schema": _ref(Problem)}}
    return {str(status): {"description": "A problem (RFC 9457)", "content": content} for status in statuses}


def _ref(type_: type) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{type_.__name__}"}


def _page(document: dict[str, Any]) -> str:
    """Return a page that needs nothing but itself."""
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
