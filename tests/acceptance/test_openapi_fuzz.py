# SPDX-License-Identifier: Apache-2.0
"""The bridge does what its own description says, whatever is asked."""

import itertools
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from requests.structures import CaseInsensitiveDict
from schemathesis import Case, GenerationMode
from schemathesis.checks import CHECKS

from api.openapi.document import openapi_document
from api.routes.table import ROUTES
from bridge.bootstrap.processes import build_api
from bridge.config.environment import read_settings
from schemas.endpoints import OTLP_PATH
from tests.acceptance.export_bodies import PROTOBUF, packed
from tests.amounts import amount
from tests.asgi_client import client_of
from tests.servers import Server

#: Generated requests.
pytestmark = pytest.mark.full


DOCUMENT = openapi_document(ROUTES)
OPERATIONS = [
    (method, path, operation) for path, methods in DOCUMENT["paths"].items() for method, operation in methods.items()
]
#: Only these can be asked otherwise than described: all else is a text in a path, which may be any.
CHANGEABLE = [
    each for each in OPERATIONS if any(name in str(each[2]) for name in ("requestBody", "'header'", "'query'"))
]


def _described_fields(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        yield from part.get("properties", {})
        for each in part.values():
            yield from _described_fields(each)
    elif isinstance(part, list):
        for each in part:
            yield from _described_fields(each)


KNOWN = frozenset(_described_fields(DOCUMENT))
#: MLflow knows these fields by a second name each, by which a field of no meaning must not be called.
OTHER_NAMES = (
    *("runId", "runUuid", "run_uuid", "modelId", "datasetName", "datasetDigest", "experimentId", "traceId", "traceIds"),
    *("promptVersions", "endTime", "runName", "sourceType"),
)


@pytest.fixture(scope="module")
def described(redis_server: tuple[Server, str], mlflow_url: str) -> Iterator[Any]:
    environ = {"BRIDGE_STORE_URL": redis_server[1], "BRIDGE_UPSTREAM": mlflow_url}
    with client_of(build_api(read_settings(environ))) as client:
        yield schemathesis.openapi.from_wsgi("/openapi.json", client.application)


@pytest.mark.parametrize(("method", "path"), [each[:2] for each in OPERATIONS])
def test_who_asks_as_described_is_answered_as_described(described: Any, method: str, path: str) -> None:
    @settings(max_examples=amount(5, 30), deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(described[path][method.upper()].as_strategy(GenerationMode.POSITIVE))
    def ask(case: Case[Any]) -> None:
        _name_anew(case)
        if case.path == "/v1/clients/{name}" and case.method == "PUT":
            _name_new_client(case)
        case.call_and_validate()

    ask()


@pytest.mark.parametrize(("method", "path"), [each[:2] for each in CHANGEABLE])
def test_who_asks_otherwise_is_answered_as_described(described: Any, method: str, path: str) -> None:
    off: list[Any] = []
    if path.startswith(("/api/", OTLP_PATH)) or "'Prefer'" in str(DOCUMENT["paths"][path][method]):
        # As MLflow does, the bridge takes more than it describes: numbers as texts, a run by its older name. And what a
        # client prefers is a wish, which is ignored where it can't be read (RFC 7240).
        off = [CHECKS.get_one("negative_data_rejection")]
    if "'If-Match'" in str(DOCUMENT["paths"][path][method]):
        # A version that is none is answered as one that has changed, with 412.
        off = [CHECKS.get_one("negative_data_rejection")]

    @settings(max_examples=amount(5, 30), deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(described[path][method.upper()].as_strategy(GenerationMode.NEGATIVE))
    def ask(case: Case[Any]) -> None:
        case.call_and_validate(excluded_checks=off)

    ask()


def _name_anew(case: Case[Any]) -> None:
    """Mend what JSON Schema can't say: each name may be and stands once, no key came before, a cursor is of a page."""
    if case.path == OTLP_PATH and case.media_type == PROTOBUF:
        # No schema says what is protobuf.
        case.body = packed()
    elif case.path == OTLP_PATH:
        case.body = _known_only(case.body)
    elif isinstance(case.body, dict):
        case.body = _named(_by_ids_alone(case.body), itertools.count())
    if case.headers and "Idempotency-Key" in case.headers:
        case.headers["Idempotency-Key"] = uuid.uuid4().hex
    case.query = case.query or {}
    case.query.pop("cursor", None)
    _choose_one_way(case)


def _choose_one_way(case: Case[Any]) -> None:
    """Correct a query: JSON Schema can't say which parameters exclude each other."""
    if case.path == "/v1/jobs":
        # Whose jobs are meant can be said in one way only.
        case.query = {name: each for name, each in case.query.items() if name in ("status", "limit")}
        case.query["run_id"] = uuid.uuid4().hex
    elif case.path.startswith("/v1/usage") and "hours" in case.query:
        # The steps are hours or days.
        case.query.pop("days", None)


def _name_new_client(case: Case[Any]) -> None:
    """Have a client be new, and an operator not limited to experiments."""
    case.path_parameters["name"] = f"n{uuid.uuid4().hex}"
    case.headers = CaseInsensitiveDict({"If-None-Match": "*"})
    body: Any = case.body
    if isinstance(body, dict) and "admin" in body.get("scopes", ()):
        body.pop("experiments", None)
    if isinstance(body, dict) and (body.get("quota") or {}).get("pending") is not None:
        # To JSON Schema, 1.0 is an integer.
        body["quota"]["pending"] = int(body["quota"]["pending"])


def _known_only(value: Any) -> Any:
    """Leave out fields that protobuf's JSON may know: those that look like names, and extensions, in brackets."""
    if isinstance(value, list):
        return [_known_only(each) for each in value]
    if not isinstance(value, dict):
        return value
    return {
        name: _known_only(each)
        for name, each in value.items()
        if name in KNOWN or not (name.isidentifier() or name.startswith("["))
    }


def _by_ids_alone(body: dict[str, Any]) -> dict[str, Any]:
    """Ids of letters go without a filter."""
    ids = body.get("letter_ids")
    return body if ids is None else {"letter_ids": ids}


def _named(value: Any, numbers: Iterator[int], within: str = "") -> Any:
    if isinstance(value, list):
        return [_named(each, numbers, within) for each in value]
    if not isinstance(value, dict):
        return value
    # A metric has to name a dataset by both of these, or by neither.
    left = {name: each for name, each in value.items() if name not in ("dataset_name", "dataset_digest", *OTHER_NAMES)}
    # What else looks like a field may be one that MLflow knows by two names, or that another call has.
    left = {name: each for name, each in left.items() if name in KNOWN or not name.isidentifier()}
    if "run" in left:
        left["run"] = f"n{next(numbers)}"
    if "experiment_id" in left:
        left.pop("experiment_name", None)
    left = {name: _named(each, numbers, name) for name, each in left.items()}
    unique = "model_id" if within == "models" else "key"
    return left | ({unique: f"n{next(numbers)}"} if within in ("models", "tags") or unique in left else {})
