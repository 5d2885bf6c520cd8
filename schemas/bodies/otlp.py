# SPDX-License-Identifier: Apache-2.0
"""Spans that OpenTelemetry exports (https://opentelemetry.io/docs/specs/otlp/): queued as the bytes that came."""

from collections.abc import Mapping

from schemas.bodies.spans import check_coding, check_export
from schemas.errors import InvalidWrite, MissingHeader
from schemas.lane import traces_lane
from schemas.mlflow_limits import EXPERIMENT_ID, check_header, check_id
from schemas.write import Op, Write

_JSON = "application/json"
#: The media types that MLflow reads (``mlflow/server/otel_api.py``, 3.17).
_TYPES = ("application/x-protobuf", _JSON)
_EXPERIMENT = "x-mlflow-experiment-id"
#: Headers that say what the body is, or what its spans belong to, and one by which MLflow knows its own client.
_KEPT = ("content-type", "content-encoding", _EXPERIMENT, "x-mlflow-run-id", "user-agent")


def check_headers(headers: Mapping[str, str]) -> None:
    """Raise ``InvalidWrite`` where the head of an export decides already. The names are in lower case."""
    if not headers.get(_EXPERIMENT):
        raise MissingHeader(_EXPERIMENT)
    if _media_type(headers) not in _TYPES:
        shown = headers.get("content-type")
        raise InvalidWrite(f"Invalid Content-Type: {shown}. Expected: {' or '.join(_TYPES)}", "BAD_REQUEST")
    check_coding(coding_of(headers))


def coding_of(headers: Mapping[str, str]) -> str:
    """Return the ``Content-Encoding`` of an export; empty for none."""
    return headers.get("content-encoding", "").lower()


def capture_export(body: bytes, plain: bytes, headers: Mapping[str, str], *, workspace: str | None) -> Write:
    """Turn an export into a write, or raise ``InvalidWrite``; ``plain`` is its body, unpacked."""
    check_export(plain, is_json=_media_type(headers) == _JSON)
    experiment_id = check_id(headers[_EXPERIMENT], _EXPERIMENT, EXPERIMENT_ID)
    kept = tuple((name, check_header(headers[name], name) or "") for name in _KEPT if name in headers)
    return Write(op=Op.EXPORT_TRACES, lane=traces_lane(experiment_id), whole=body, headers=kept, workspace=workspace)


def _media_type(headers: Mapping[str, str]) -> str:
    return headers.get("content-type", "").split(";")[0].strip()
