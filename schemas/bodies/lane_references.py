# SPDX-License-Identifier: Apache-2.0
"""Which lanes a proxied call is about, so that it can wait for what was written to them before."""

from collections.abc import Iterable, Iterator
from urllib.parse import parse_qsl

import msgspec

from schemas.bodies.byte_order_mark import strip_byte_order_mark
from schemas.endpoints import AwaitedLanes, EndpointMatch, find
from schemas.lane import experiment_lane, trace_lane

_RUN = frozenset({"run_id", "run_uuid", "run_ids", "source_run_id", "runId", "runUuid"})
_EXPERIMENT = frozenset({"experiment_id", "experimentId"})
_TRACE = frozenset({"trace_id", "request_id"})
#: Calls that are not known, but belong to MLflow's API, may name a run like the others.
_API = ("/api/", "/ajax-api/")


def awaited_lanes(method: str, path: str) -> AwaitedLanes:
    """Return which undelivered writes a call may be about."""
    found = find(method, path)
    if found:
        return found.endpoint.waits
    return AwaitedLanes.NAMED if path.startswith(_API) and "/mlflow/" in path else AwaitedLanes.NONE


def named_in_query(query: str) -> list[str]:
    """Return the lanes of what a query names."""
    return _lanes(parse_qsl(query))


def named_in_path(found: EndpointMatch) -> list[str]:
    """Return the lane of the trace that a path names; none for another path."""
    return [trace_lane(found.subject)] if "/traces/{" in found.endpoint.path else []


def named_in_body(body: bytes) -> list[str]:
    """Return the lanes of what a JSON body names at its top; none for anything else."""
    try:
        fields = _FIELDS.decode(strip_byte_order_mark(body))
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
    """Return the lanes that these names and values stand for, each once."""
    return list(
        dict.fromkeys(lane for name, value in pairs if isinstance(value, str) and value for lane in _lane(name, value))
    )


def _lane(name: str, value: str) -> Iterator[str]:
    if name in _RUN:
        yield value
    elif name in _EXPERIMENT:
        yield experiment_lane(value)
    elif name in _TRACE:
        yield trace_lane(value)


_FIELDS = msgspec.json.Decoder(_Fields)
