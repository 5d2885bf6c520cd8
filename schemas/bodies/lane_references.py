# SPDX-License-Identifier: Apache-2.0
"""The lanes that a proxied call names, so that it can wait for their undelivered writes (read your writes)."""

from collections.abc import Iterable, Iterator
from urllib.parse import parse_qsl

import msgspec

from schemas.bodies.byte_order_mark import strip_byte_order_mark
from schemas.endpoints import AwaitedLanes, EndpointMatch, find_endpoint
from schemas.lane import experiment_lane, trace_lane

_RUN_FIELDS = frozenset({"run_id", "run_uuid", "run_ids", "source_run_id", "runId", "runUuid"})
_EXPERIMENT_FIELDS = frozenset({"experiment_id", "experimentId"})
_TRACE_FIELDS = frozenset({"trace_id", "request_id"})
#: A call below these paths may name a run even if it is not in the table of endpoints.
_API_PREFIXES = ("/api/", "/ajax-api/")


def awaited_lanes(method: str, path: str) -> AwaitedLanes:
    """Return which undelivered writes a call waits for."""
    match = find_endpoint(method, path)
    if match:
        return match.endpoint.waits
    return AwaitedLanes.NAMED if path.startswith(_API_PREFIXES) and "/mlflow/" in path else AwaitedLanes.NONE


def named_in_query(query: str) -> list[str]:
    """Return the lanes that a query string names."""
    return _lanes(parse_qsl(query))


def named_in_path(match: EndpointMatch) -> list[str]:
    """Return the lane of the trace that a path names, else no lane."""
    return [trace_lane(match.path_parameter)] if "/traces/{" in match.endpoint.path else []


def named_in_body(body: bytes) -> list[str]:
    """Return the lanes that the top-level fields of a JSON body name; no lane for another body."""
    try:
        fields = _DECODER.decode(strip_byte_order_mark(body))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return []
    return _lanes((name, getattr(fields, name)) for name in fields.__struct_fields__)


class _Fields(msgspec.Struct):
    run_id: object = None
    run_uuid: object = None
    source_run_id: object = None
    runId: object = None  # noqa: N815 - protobuf's other spelling
    runUuid: object = None  # noqa: N815
    experiment_id: object = None
    experimentId: object = None  # noqa: N815
    trace_id: object = None
    request_id: object = None


def _lanes(pairs: Iterable[tuple[str, object]]) -> list[str]:
    """Return the distinct lanes of these field names and values."""
    return list(
        dict.fromkeys(lane for name, value in pairs if isinstance(value, str) and value for lane in _lane(name, value))
    )


def _lane(name: str, value: str) -> Iterator[str]:
    if name in _RUN_FIELDS:
        yield value
    elif name in _EXPERIMENT_FIELDS:
        yield experiment_lane(value)
    elif name in _TRACE_FIELDS:
        yield trace_lane(value)


_DECODER = msgspec.json.Decoder(_Fields)
