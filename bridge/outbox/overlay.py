# SPDX-License-Identifier: Apache-2.0
"""Overlay of undelivered writes on upstream's answer about a run, an experiment or a trace.

The result is the answer that MLflow will give after delivery, by the rules of its own store
(``mlflow/store/tracking/sqlalchemy_store.py``, 3.17). The overlay is idempotent: a write that the answer already has
changes nothing, so some may be delivered meanwhile.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from schemas.bodies.single import STATUSES
from schemas.overlaid_reads import OverlayKind
from schemas.write import Fragment, Op, Write

Json = dict[str, Any]

#: A tag that mirrors the run's name: setting one sets the other.
_RUN_NAME_TAG = "mlflow.runName"
#: MLflow's database has no infinity: it stores the largest double instead.
_MAX_DOUBLE = 1.7976931348623157e308


def overlay(kind: OverlayKind, answer: bytes, writes: Sequence[Write], *, key: str = "") -> bytes:
    """Return the answer with these writes, in their order. ``key`` is the metric key of a metric history.

    An answer that does not have MLflow's form is returned as it is.
    """
    try:
        document = msgspec.json.decode(answer)
        changed = _OVERLAYS[kind](document, writes, key)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, LookupError, TypeError, AttributeError):
        return answer
    return msgspec.json.encode(document) if changed else answer


def _overlay_run(document: Json, writes: Sequence[Write], _key: str) -> bool:
    info, data = document["run"]["info"], document["run"].setdefault("data", {})
    tags, params = _index_by_key(data.get("tags")), _index_by_key(data.get("params"))
    metrics = _index_by_key(data.get("metrics"))
    for write in writes:
        for param in _decode_fragment(write.params):
            params.setdefault(param["key"], param)
        for metric in _decode_fragment(write.metrics):
            _keep_latest(metrics, _metric_point(metric))
        _apply_to_run(info, tags, write)
    for name, indexed in (("metrics", metrics), ("params", params), ("tags", tags)):
        _set_list(data, name, indexed)
    return True


def _apply_to_run(info: Json, tags: dict[str, Json], write: Write) -> None:
    for tag in _decode_fragment(write.tags):
        _apply_tag_to_run(info, tags, tag)
    if write.op is Op.DELETE_TAG:
        tags.pop(_decode_whole(write)["key"], None)
    elif write.op is Op.UPDATE_RUN:
        _apply_update_to_run(info, tags, _decode_whole(write))


def _apply_tag_to_run(info: Json, tags: dict[str, Json], tag: Json) -> None:
    if tag["key"] != _RUN_NAME_TAG:
        tags[tag["key"]] = tag
    elif tag["value"]:
        _apply_update_to_run(info, tags, {"run_name": tag["value"]})


def _apply_update_to_run(info: Json, tags: dict[str, Json], update: Json) -> None:
    if (status := update.get("status")) is not None:
        info["status"] = status if isinstance(status, str) else STATUSES[status - 1]
    if (end_time := update.get("end_time")) is not None:
        info["end_time"] = end_time
        if not end_time:
            # MLflow omits an end time of 0.
            del info["end_time"]
    # An empty name changes nothing.
    if run_name := update.get("run_name"):
        info["run_name"] = run_name
        tags[_RUN_NAME_TAG] = {"key": _RUN_NAME_TAG, "value": run_name}


def _overlay_history(document: Json, writes: Sequence[Write], key: str) -> bool:
    """Add the points that the history lacks, unless it has further pages: the last page gets them."""
    if document.get("next_page_token"):
        return False
    points: list[Json] = document.setdefault("metrics", [])
    known = {_point_identity(point) for point in points}
    quoted_key = msgspec.json.encode(key)
    for write in writes:
        # Spares decoding most writes.
        if quoted_key not in write.metrics.json:
            continue
        for metric in _decode_fragment(write.metrics):
            point = _metric_point(metric)
            if point["key"] == key and _point_identity(point) not in known:
                known.add(_point_identity(point))
                points.append(point)
    if not points:
        del document["metrics"]
    return True


def _overlay_experiment(document: Json, writes: Sequence[Write], _key: str) -> bool:
    return _overlay_listed_tags(document["experiment"], writes)


def _overlay_mlflow2_trace(document: Json, writes: Sequence[Write], _key: str) -> bool:
    return _overlay_listed_tags(document["trace_info"], writes)


def _overlay_listed_tags(holder: Json, writes: Sequence[Write]) -> bool:
    tags = _index_by_key(holder.get("tags"))
    for name, value in _tag_changes(writes):
        if value is None:
            tags.pop(name, None)
        else:
            tags[name] = {"key": name, "value": value}
    _set_list(holder, "tags", tags)
    return True


def _overlay_trace(document: Json, writes: Sequence[Write], _key: str) -> bool:
    tags: dict[str, str] = document["trace"]["trace_info"].setdefault("tags", {})
    for name, value in _tag_changes(writes):
        if value is None:
            tags.pop(name, None)
        else:
            tags[name] = value
    return True


def _tag_changes(writes: Sequence[Write]) -> list[tuple[str, str | None]]:
    """Return the tags of an experiment or a trace that the writes set, or delete (None), in their order."""
    changes = [(write.op, _decode_whole(write)) for write in writes if write.op in _SET_TAG_OPS | _DELETE_TAG_OPS]
    return [(fields["key"], fields.get("value", "") if op in _SET_TAG_OPS else None) for op, fields in changes]


def _index_by_key(listed: Sequence[Json] | None) -> dict[str, Json]:
    return {item["key"]: item for item in listed or ()}


def _set_list(holder: Json, name: str, indexed: Mapping[str, Json]) -> None:
    """Set a list of the answer; MLflow omits empty ones."""
    if indexed:
        holder[name] = list(indexed.values())
    else:
        holder.pop(name, None)


def _decode_fragment(fragment: Fragment) -> list[Json]:
    return _decode_list(b"[%b]" % fragment.json) if fragment.count else []


def _decode_whole(write: Write) -> Json:
    """Return the body of a write that does not merge into ``log-batch``."""
    fields: Json = msgspec.json.decode(write.single_body)
    return fields


def _metric_point(metric: Json) -> Json:
    """Return a metric as MLflow returns it."""
    value = float(metric["value"])
    returned: float | str = "NaN" if math.isnan(value) else min(max(value, -_MAX_DOUBLE), _MAX_DOUBLE)
    return {"key": metric["key"], "value": returned, "timestamp": metric["timestamp"], "step": metric.get("step", 0)}


def _keep_latest(metrics: dict[str, Json], point: Json) -> None:
    latest = metrics.get(point["key"])
    if latest is None or _recency(point) > _recency(latest):
        metrics[point["key"]] = point


def _recency(point: Json) -> tuple[int, int, float]:
    """Return the sort key of the latest value. MLflow stores a NaN as 0, so it sorts as 0."""
    value = float(point["value"])
    return int(point.get("step", 0)), int(point["timestamp"]), 0.0 if math.isnan(value) else value


def _point_identity(point: Json) -> tuple[int, int, str]:
    """Return step, timestamp and value: points that are equal in all of them are one to MLflow."""
    # As text, because a NaN does not equal itself.
    return int(point.get("step", 0)), int(point["timestamp"]), repr(float(point["value"]))


_SET_TAG_OPS = frozenset({Op.SET_EXPERIMENT_TAG, Op.SET_TRACE_TAG})
_DELETE_TAG_OPS = frozenset({Op.DELETE_EXPERIMENT_TAG, Op.DELETE_TRACE_TAG})

_decode_list = msgspec.json.Decoder(list[Json]).decode

_OVERLAYS: dict[OverlayKind, Callable[[Json, Sequence[Write], str], bool]] = {
    OverlayKind.RUN: _overlay_run,
    OverlayKind.HISTORY: _overlay_history,
    OverlayKind.EXPERIMENT: _overlay_experiment,
    OverlayKind.TRACE: _overlay_trace,
    OverlayKind.TRACE_V2: _overlay_mlflow2_trace,
}
