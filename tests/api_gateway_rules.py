# SPDX-License-Identifier: Apache-2.0
"""What API Gateway imports as a REST API: the rules of AWS's developer guide and its quotas."""

import json
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

from botocore.loaders import Loader

MAX_RESOURCES = 300
MAX_PARTS = 2000
#: Keywords of schemas that are not supported, or that OpenAPI 3.0 does not have.
UNSUPPORTED = frozenset(
    (
        *("const", "default", "example", "examples", "deprecated", "readOnly", "writeOnly", "discriminator"),
        *("exclusiveMinimum", "exclusiveMaximum", "nullable", "contentEncoding", "prefixItems", "patternProperties"),
    )
)
COMBINATIONS = ("allOf", "anyOf", "oneOf")
METHODS = {"get", "put", "post", "delete", "options", "head", "patch", "x-amazon-apigateway-any-method"}
INTEGRATION = "x-amazon-apigateway-integration"

#: The kinds of documentation parts by botocore's model, and the fields of each one's location. REQUEST_BODY has a
#: name in botocore's text alone.
KINDS = Loader().load_service_model("apigateway", "service-2")["shapes"]["DocumentationPartType"]["enum"]
OPERATION = ("path", "method")
FIELDS = {
    "API": (),
    "AUTHORIZER": ("name",),
    "MODEL": ("name",),
    "RESOURCE": ("path",),
    "METHOD": OPERATION,
    "PATH_PARAMETER": (*OPERATION, "name"),
    "QUERY_PARAMETER": (*OPERATION, "name"),
    "REQUEST_HEADER": (*OPERATION, "name"),
    "REQUEST_BODY": OPERATION,
    "RESPONSE": (*OPERATION, "statusCode"),
    "RESPONSE_HEADER": (*OPERATION, "statusCode", "name"),
    "RESPONSE_BODY": (*OPERATION, "statusCode"),
}


class InvalidImport(Exception):
    """API Gateway would refuse the import."""


def check_document(document: dict[str, Any]) -> None:
    """Refuse a document that API Gateway does not import without a warning."""
    problems = [*_path_problems(document), *_method_problems(document), *_schema_problems(document)]
    if problems:
        raise InvalidImport("; ".join(problems[:10]))
    check_parts(document.get("x-amazon-apigateway-documentation", {}).get("documentationParts", []))


def check_parts(parts: list[dict[str, Any]]) -> None:
    """Refuse documentation parts with a wrong location or wrong properties, and too many of them."""
    problems = [problem for part in parts for problem in _part_problems(part)]
    seen = Counter(json.dumps(part["location"], sort_keys=True) for part in parts)
    problems += [f"two parts at {location}" for location, count in seen.items() if count > 1]
    problems += [f"{len(parts)} parts"] if len(parts) > MAX_PARTS else []
    if problems:
        raise InvalidImport("; ".join(problems[:10]))


def _part_problems(part: dict[str, Any]) -> Iterator[str]:
    location = part["location"]
    if location.get("type") not in KINDS:
        yield f"unknown location type {location.get('type')}"
    elif {*location} != {"type", *FIELDS[location["type"]]}:
        yield f"location of {location['type']} has {sorted(location)}"
    if location.get("method", "ANY") != location.get("method", "ANY").upper():
        yield f"method of {location} is not in capitals"
    if not isinstance(part["properties"], dict) or not part["properties"]:
        yield f"properties of {location} are no object"


def resources(paths: dict[str, Any]) -> set[str]:
    """All resources that these paths make, the root included."""
    return {"/".join(path.split("/")[:end]) for path in paths for end in range(1, path.count("/") + 2)}


def _path_problems(document: dict[str, Any]) -> Iterator[str]:
    made = resources(document["paths"])
    if len(made) > MAX_RESOURCES:
        yield f"{len(made)} resources"
    variables: dict[str, str] = {}
    for resource in sorted(made):
        parent, _, segment = resource.rpartition("/")
        if resource and not re.fullmatch(r"[\w.:,$-]+|\{\w+\+?\}", segment):
            yield f"{resource}: a segment is neither a name nor one variable"
        if segment.startswith("{") and variables.setdefault(parent, segment) != segment:
            yield f"A sibling ({variables[parent]}) of {resource} already has a variable path part"
        if segment.endswith("+}") and any(other.startswith(f"{resource}/") for other in made):
            yield f"{resource}: a greedy variable has children"


def _method_problems(document: dict[str, Any]) -> Iterator[str]:
    for path, item in document["paths"].items():
        yield from (f"{path}: {method} is no method" for method in item.keys() - METHODS)
        for method, operation in item.items():
            yield from _integration_problems(f"{method} {path}", path, operation)
            if {"security", "servers", "callbacks"} & operation.keys():
                yield f"{method} {path}: security, servers or callbacks"


def _integration_problems(name: str, path: str, operation: dict[str, Any]) -> Iterator[str]:
    integration = operation.get(INTEGRATION)
    if integration is None:
        yield f"{name}: No integration defined for method"
        return
    if integration["type"] != "http_proxy" or not re.match("https?://", integration["uri"]):
        yield f"{name}: invalid HTTP endpoint {integration['uri']}"
    if integration["connectionType"] != "VPC_LINK" or not integration["connectionId"]:
        yield f"{name}: no VPC link"
    if not 50 <= integration["timeoutInMillis"] <= 29_000:
        yield f"{name}: Timeout should be between 50 ms and 29000 ms"
    variables = set(re.findall(r"\{(\w+)\+?\}", path))
    mapped = {mapping.rpartition(".")[2] for mapping in integration["requestParameters"].values()}
    declared = {each["name"] for each in operation["parameters"] if each["in"] == "path"}
    if not variables == mapped == declared == set(re.findall(r"\{(\w+)\}", integration["uri"])):
        yield f"{name}: variables {variables}, mapped {mapped}, declared {declared}"


def _schema_problems(document: dict[str, Any]) -> Iterator[str]:
    for name, schema in document["components"]["schemas"].items():
        if not re.fullmatch("[A-Za-z0-9]+", name):
            yield f"Model name must be alphanumeric: {name}"
        yield from _problems_in(schema, name)
    for path, item in document["paths"].items():
        for operation in item.values():
            for part in (operation.get("requestBody", {}), *operation["responses"].values()):
                for content in part.get("content", {}).values():
                    yield from _problems_in(content.get("schema", {"$ref": ""}), path)


def _problems_in(schema: dict[str, Any], place: str) -> Iterator[str]:
    if "$ref" in schema:
        yield from [f"{place}: keywords beside $ref: {sorted(schema)}"] if len(schema) > 1 else ()
        return
    yield from _keyword_problems(schema, place)
    for inside, each in _subschemas(schema):
        if "$ref" in each and inside in COMBINATIONS:
            yield f"{place}: $ref inside {inside}"
        yield from _problems_in(each, f"{place}.{inside}")


def _keyword_problems(schema: dict[str, Any], place: str) -> Iterator[str]:
    yield from (f"{place}: {keyword} is not supported" for keyword in sorted(UNSUPPORTED & schema.keys()))
    if schema.get("type") == "null" or isinstance(schema.get("type"), list):
        yield f"{place}: type {schema['type']}"
    if schema.get("required") == [] or None in schema.get("enum", ()):
        yield f"{place}: empty required, or null among values"


def _subschemas(schema: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    yield from ((keyword, each) for keyword in COMBINATIONS for each in schema.get(keyword, ()))
    yield from schema.get("properties", {}).items()
    yield from ((key, schema[key]) for key in ("items", "additionalProperties") if isinstance(schema.get(key), dict))
