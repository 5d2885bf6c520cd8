# SPDX-License-Identifier: Apache-2.0
"""Spans that OpenTelemetry exports (https://opentelemetry.io/docs/specs/otlp/): queued as the bytes that came."""

from collections.abc import Mapping

from schemas.errors import InvalidWrite
from schemas.lane import traces_lane
from schemas.limits import EXPERIMENT_ID, check_header, check_id
from schemas.write import Op, Write

#: The media types that MLflow reads (``mlflow/server/otel_api.py``, 3.17).
_TYPES = ("application/x-protobuf", "application/json")
_CODINGS = ("gzip", "deflate")
_EXPERIMENT = "x-mlflow-experiment-id"
#: Headers that say what the body is, or what its spans belong to, and one by which MLflow knows its own client.
_KEPT = ("content-type", "content-encoding", _EXPERIMENT, "x-mlflow-run-id", "user-agent")


def capture_export(body: bytes, headers: Mapping[str, str], *, workspace: str | None) -> Write:
    """Turn an export into a write, or raise ``InvalidWrite``. The names of the headers are in lower case."""
    experiment_id = headers.get(_EXPERIMENT)
    if not experiment_id:
        raise InvalidWrite(f"The header {_EXPERIMENT} is missing; it names the experiment.", "BAD_REQUEST", 422)
    content_type = headers.get("content-type", "")
    if content_type.split(";")[0].strip() not in _TYPES:
        raise InvalidWrite(f"Invalid Content-Type: {content_type or None}. Expected: {' or '.join(_TYPES)}")
    coding = headers.get("content-encoding", "")
    if coding and coding.lower() not in _CODINGS:
        raise InvalidWrite(f"Unsupported Content-Encoding: {coding}")
    if not body:
        raise InvalidWrite("Invalid OpenTelemetry format - no spans found")
    check_id(experiment_id, _EXPERIMENT, EXPERIMENT_ID)
    kept = tuple((name, check_header(headers[name], name) or "") for name in _KEPT if name in headers)
    return Write(op=Op.EXPORT_TRACES, lane=traces_lane(experiment_id), whole=body, headers=kept, workspace=workspace)
