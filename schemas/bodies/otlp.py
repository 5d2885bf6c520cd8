# SPDX-License-Identifier: Apache-2.0
"""OTLP trace exports (https://opentelemetry.io/docs/specs/otlp/), queued with their bytes unchanged."""

from collections.abc import Mapping

from schemas.bodies.spans import check_coding, check_export
from schemas.errors import InvalidWrite, MissingHeader
from schemas.lane import traces_lane
from schemas.mlflow_limits import EXPERIMENT_ID, check_header, check_id
from schemas.write import Op, Write

_JSON = "application/json"
#: The media types that MLflow accepts (``mlflow/server/otel_api.py``, 3.17).
_MEDIA_TYPES = ("application/x-protobuf", _JSON)
_EXPERIMENT_HEADER = "x-mlflow-experiment-id"
#: Forwarded with the body: its form, the experiment and run of its spans, and the client that MLflow identifies.
_FORWARDED = ("content-type", "content-encoding", _EXPERIMENT_HEADER, "x-mlflow-run-id", "user-agent")


def check_headers(headers: Mapping[str, str]) -> None:
    """Raise ``InvalidWrite`` for headers that MLflow refuses before it reads the body. Names are in lower case."""
    if not headers.get(_EXPERIMENT_HEADER):
        raise MissingHeader(_EXPERIMENT_HEADER)
    if _media_type(headers) not in _MEDIA_TYPES:
        received = headers.get("content-type")
        raise InvalidWrite(f"Invalid Content-Type: {received}. Expected: {' or '.join(_MEDIA_TYPES)}", "BAD_REQUEST")
    check_coding(coding_of(headers))


def coding_of(headers: Mapping[str, str]) -> str:
    """Return the ``Content-Encoding``, empty for none."""
    return headers.get("content-encoding", "").lower()


def capture_export(body: bytes, plain: bytes, headers: Mapping[str, str], *, workspace: str | None) -> Write:
    """Parse an export into a write, or raise ``InvalidWrite``. ``plain`` is the decompressed body."""
    check_export(plain, is_json=_media_type(headers) == _JSON)
    experiment_id = check_id(headers[_EXPERIMENT_HEADER], _EXPERIMENT_HEADER, EXPERIMENT_ID)
    forwarded = tuple((name, check_header(headers[name], name) or "") for name in _FORWARDED if name in headers)
    lane = traces_lane(experiment_id)
    return Write(op=Op.EXPORT_TRACES, lane=lane, single_body=body, headers=forwarded, workspace=workspace)


def _media_type(headers: Mapping[str, str]) -> str:
    return headers.get("content-type", "").split(";")[0].strip()
