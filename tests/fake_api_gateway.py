# SPDX-License-Identifier: Apache-2.0
"""Amazon API Gateway's calls for documentation, as strict as AWS documents them. boto3 calls it over HTTP.

Routes, required members, enumerations and errors are those of botocore's model. Rules about documents and locations
are those of AWS's developer guide, in `tests/api_gateway_rules.py`.
"""

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from botocore.loaders import Loader

from tests.api_gateway_rules import InvalidImport, check_document, check_parts

MODEL: dict[str, Any] = Loader().load_service_model("apigateway", "service-2")
CALLS = (
    *("PutRestApi", "ImportDocumentationParts", "CreateDocumentationVersion", "GetDocumentationVersion"),
    *("GetStage", "UpdateStage", "GetExport"),
)
DOCUMENTATION = "x-amazon-apigateway-documentation"


class Failure(Exception):
    """An error response of the model."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


class FakeApiGateway:
    """One REST API, with its stages. The calls of a test are recorded by name."""

    def __init__(self, api_id: str, *stages: str) -> None:
        self.api_id = api_id
        self.stages: dict[str, dict[str, Any]] = {
            name: {"stageName": name, "deploymentId": "d1", "methodSettings": {}} for name in stages
        }
        self.document: dict[str, Any] = {"openapi": "3.0.1", "info": {"title": "", "version": "1"}, "paths": {}}
        self.parts: list[dict[str, Any]] = []
        self.versions: dict[str, tuple[dict[str, Any], list[dict[str, Any]]]] = {}
        self.calls: list[str] = []

    def respond(self, name: str, given: dict[str, Any]) -> Any:
        if given["restapi_id"] != self.api_id:
            raise Failure("NotFoundException", "Invalid API identifier specified")
        self.calls.append(name)
        respond = getattr(self, "_" + re.sub("(?<!^)(?=[A-Z])", "_", name).lower())
        return respond(given)

    def _put_rest_api(self, given: dict[str, Any]) -> dict[str, Any]:
        document = _document(given)
        check_document(document)
        self.document = {key: value for key, value in document.items() if key != DOCUMENTATION}
        self.parts = document.get(DOCUMENTATION, {}).get("documentationParts", [])
        return {"id": self.api_id, "name": document["info"]["title"]}

    def _import_documentation_parts(self, given: dict[str, Any]) -> dict[str, Any]:
        parts = _document(given).get(DOCUMENTATION, {}).get("documentationParts", [])
        check_parts(parts)
        self.parts = parts if given["mode"] == "overwrite" else [*self.parts, *parts]
        return {"ids": [f"p{number}" for number in range(len(parts))], "warnings": []}

    def _create_documentation_version(self, given: dict[str, Any]) -> dict[str, Any]:
        name = given["documentationVersion"]
        if name in self.versions:
            raise Failure("ConflictException", "Documentation version already exists.")
        if "stageName" in given:
            self._stage(given["stageName"])["documentationVersion"] = name
        version = {"version": name, "description": given.get("description"), "createdDate": 1_700_000_000}
        self.versions[name] = version, list(self.parts)
        return version

    def _get_documentation_version(self, given: dict[str, Any]) -> dict[str, Any]:
        return self._version(given["doc_version"])[0]

    def _get_stage(self, given: dict[str, Any]) -> dict[str, Any]:
        return self._stage(given["stage_name"])

    def _update_stage(self, given: dict[str, Any]) -> dict[str, Any]:
        stage = self._stage(given["stage_name"])
        for operation in given["patchOperations"]:
            if operation["op"] != "replace" or operation["path"] != "/documentationVersion":
                raise Failure("BadRequestException", f"Invalid patch path {operation['path']}")
            self._version(operation["value"])
            stage["documentationVersion"] = operation["value"]
        return stage

    def _get_export(self, given: dict[str, Any]) -> dict[str, Any]:
        stage = self._stage(given["stage_name"])
        if given["export_type"] not in ("oas30", "swagger"):
            raise Failure("BadRequestException", "Unsupported export type")
        exported = dict(self.document)
        if "documentationVersion" in stage:
            version, parts = self._version(stage["documentationVersion"])
            exported[DOCUMENTATION] = {
                "version": version["version"],
                "createdDate": "2023-11-14T22:13:20Z",
                "documentationParts": parts,
            }
        return exported

    def _stage(self, name: str) -> dict[str, Any]:
        if name not in self.stages:
            raise Failure("NotFoundException", "Invalid stage identifier specified")
        return self.stages[name]

    def _version(self, name: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        if name not in self.versions:
            raise Failure("NotFoundException", "Invalid Documentation version specified")
        return self.versions[name]


@contextmanager
def served(fake: FakeApiGateway) -> Iterator[str]:
    """The address at which the fake is served."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            status, kind, answer = _answer(fake, self.command, self.path, body)
            written = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(written)))
            if kind:
                self.send_header("x-amzn-ErrorType", kind)
            self.end_headers()
            self.wfile.write(written)

        do_PUT = do_POST = do_PATCH = do_GET

        def log_message(self, *_: object) -> None:
            """Stay silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _answer(fake: FakeApiGateway, method: str, target: str, body: bytes) -> tuple[int, str, Any]:
    try:
        name, given = _parsed(method, target, body)
        return MODEL["operations"][name]["http"].get("responseCode", 200), "", fake.respond(name, given)
    except InvalidImport as error:
        failure = Failure("BadRequestException", str(error))
    except Failure as error:
        failure = error
    return MODEL["shapes"][failure.kind]["error"]["httpStatusCode"], failure.kind, {"message": str(failure)}


def _parsed(method: str, target: str, body: bytes) -> tuple[str, dict[str, Any]]:
    """The name and the members of a call, checked against botocore's model."""
    url = urlsplit(target)
    for name in CALLS:
        http = MODEL["operations"][name]["http"]
        template = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", http["requestUri"])
        match = re.fullmatch(template, url.path)
        if match and method == http["method"]:
            in_path = {key: unquote(value) for key, value in match.groupdict().items()}
            return name, in_path | dict(parse_qsl(url.query)) | _members(name, body)
    raise Failure("NotFoundException", f"{method} {url.path} is not faked")


def _members(name: str, body: bytes) -> dict[str, Any]:
    shape = MODEL["shapes"][MODEL["operations"][name]["input"]["shape"]]
    if shape.get("payload"):
        return {shape["payload"]: body}
    in_body = {member for member, described in shape["members"].items() if "location" not in described}
    given: dict[str, Any] = json.loads(body) if body else {}
    unknown = given.keys() - in_body
    missing = (set(shape.get("required", ())) & in_body) - given.keys()
    if unknown or missing:
        raise Failure("BadRequestException", f"unknown: {sorted(unknown)}, missing: {sorted(missing)}")
    return given


def _document(given: dict[str, Any]) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(given["body"])
    if not str(document.get("openapi", "")).startswith("3.0."):
        raise Failure("BadRequestException", f"Invalid OpenAPI input: version {document.get('openapi')}")
    return document
