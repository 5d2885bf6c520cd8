# SPDX-License-Identifier: Apache-2.0
"""Lays accepted writes that are not delivered yet over what upstream answers about a run, an experiment or a trace.

The result is what MLflow would answer once it has them: the rules are those of its own store
(``mlflow/store/tracking/sqlalchemy_store.py``, 3.17). A write over an answer that has it already changes nothing, so it
does no harm that some of them arrive meanwhile.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from schemas.bodies.single import STATUSES
from schemas.overlaid_reads import Overlaid
from schemas.write import Fragment, Op, Write

Json = dict[str, Any]

#: A tag that is the run's name as well; to set the one is to set the other.
_RUN_NAME_TAG = "mlflow.runName"
#: MLflow's database has no infinity: it stores the largest number instead.
_LARGEST = 1.7976931348623157e308


def overlay(kind: Overlaid, answer: bytes, writes: Sequence[Write], *, key: str = "") -> bytes:
    """Return the answer with these writes, in their order. ``key`` is the metric's whose history is asked for.

    An answer that does not look like MLflow's is returned as it is.
    """
    try:
        document = msgspec.json.decode(answer)
        changed = _OVERLAYS[kind](document, writes, key)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, LookupError, TypeError, AttributeError):
        return answer
    return msgspec.json.encode(document) if changed else answer


def _run(document: Json, writes: Sequence[Write], _key: str) -> bool:
    info, data = document["run"]["info"], document["run"].setdefault("data", {})
    tags, params = _by_key(data.get("tags")), _by_key(data.get("params"))
    metrics = _by_key(data.get("metrics"))
    for write in writes:
        for param in _objects(write.params):
            params.setdefault(param["key"], param)
        for metric in _objects(write.metrics):
            _keep_latest(metrics, _point(metric))
        _change_run(info, tags, write)
    for name, found in (("metrics", metrics), ("params", params), ("tags", tags)):
        _put(data, name, found)
    return True


def _change_run(info: Json, tags: dict[str, Json], write: Write) -> None:
    for tag in _objects(write.tags):
        _set_run_tag(info, tags, tag)
    if write.op is Op.DELETE_TAG:
        tags.pop(_whole(write)["key"], None)
    elif write.op is Op.UPDATE_RUN:
        _update(info, tags, _whole(write))


def _set_run_tag(info: Json, tags: dict[str, Json], tag: Json) -> None:
    if tag["key"] != _RUN_NAME_TAG:
        tags[tag["key"]] = tag
    elif tag["value"]:
        _update(info, tags, {"run_name": tag["value"]})


def _update(info: Json, tags: dict[str, Json], update: Json) -> None:
    if (status := update.get("status")) is not None:
        info["status"] = status if isinstance(status, str) else STATUSES[status - 1]
    if (end_time := update.get("end_time")) is not None:
        info["end_time"] = end_time
        if not end_time:
            # MLflow leaves it out of its answer.
            del info["end_time"]
    # An empty name changes nothing.
    if run_name := update.get("run_name"):
        info["run_name"] = run_name
        tags[_RUN_NAME_TAG] = {"key": _RUN_NAME_TAG, "value": run_name}


def _history(document: Json, writes: Sequence[Write], key: str) -> bool:
    """Add the points that are not there yet, unless there are further pages, of which the last one has them."""
    if document.get("next_page_token"):
        return False
    there: list[Json] = document.setdefault("metrics", [])
    known = {_identity(point) for point in there}
    quoted = msgspec.json.encode(key)
    for write in writes:
        if quoted not in write.metrics.json:
            continue
        for metric in _objects(write.metrics):
            point = _point(metric)
            if point["key"] == key and _identity(point) not in known:
                known.add(_identity(point))
                there.append(point)
    if not there:
        del document["metrics"]
    return True


def _experiment(document: Json, writes: Sequence[Write], _key: str) -> bool:
    return _listed_tags(document["experiment"], writes)


def _trace_of_old(document: Json, writes: Sequence[Write], _key: str) -> bool:
    return _listed_tags(document["trace_info"], writes)


def _listed_tags(holder: Json, writes: Sequence[Write]) -> bool:
    tags = _by_key(holder.get("tags"))
    for name, value in _tags_of(writes):
        if value is None:
            tags.pop(name, None)
        else:
            tags[name] = {"key": name, "value": value}
    _put(holder, "tags", tags)
    return True


def _trace(document: Json, writes: Sequence[Write], _key: str) -> bool:
    tags: dict[str, str] = document["trace"]["trace_info"].setdefault("tags", {})
    for name, value in _tags_of(writes):
        if value is None:
            tags.pop(name, None)
        else:
            tags[name] = value
    return True


def _tags_of(writes: Sequence[Write]) -> list[tuple[str, str | None]]:
    """Return the tags of an experiment or a trace that are set, or deleted (None), in their order."""
    changes = [(write.op, _whole(write)) for write in writes if write.op in _SETS | _DELETES]
    return [(fields["key"], fields.get("value", "") if op in _SETS else None) for op, fields in changes]


def _by_key(listed: Sequence[Json] | None) -> dict[str, Json]:
    return {each["key"]: each for each in listed or ()}


def _put(holder: Json, name: str, found: Mapping[str, Json]) -> None:
    """Set a list of MLflow's, which leaves out what is empty."""
    if found:
        holder[name] = list(found.values())
    else:
        holder.pop(name, None)


def _objects(fragment: Fragment) -> list[Json]:
    return _decode(b"[%b]" % fragment.json) if fragment.count else []


def _whole(write: Write) -> Json:
    fields: Json = msgspec.json.decode(write.whole)
    return fields


def _point(metric: Json) -> Json:
    """Return a metric's value as MLflow answers it."""
    value = float(metric["value"])
    said: float | str = "NaN" if math.isnan(value) else min(max(value, -_LARGEST), _LARGEST)
    return {"key": metric["key"], "value": said, "timestamp": metric["timestamp"], "step": metric.get("step", 0)}


def _keep_latest(metrics: dict[str, Json], point: Json) -> None:
    there = metrics.get(point["key"])
    if there is None or _rank(point) > _rank(there):
        metrics[point["key"]] = point


def _rank(point: Json) -> tuple[int, int, float]:
    """Return what decides which value is the latest. A NaN counts as 0, as which it is stored."""
    value = float(point["value"])
    return int(point.get("step", 0)), int(point["timestamp"]), 0.0 if math.isnan(value) else value


def _identity(point: Json) -> tuple[int, int, str]:
    return int(point.get("step", 0)), int(point["timestamp"]), repr(float(point["value"]))


_SETS = frozenset({Op.SET_EXPERIMENT_TAG, Op.SET_TRACE_TAG})
_DELETES = frozenset({Op.DELETE_EXPERIMENT_TAG, Op.DELETE_TRACE_TAG})

_decode = msgspec.json.Decoder(list[Json]).decode

_OVERLAYS: dict[Overlaid, Callable[[Json, Sequence[Write], str], bool]] = {
    Overlaid.RUN: _run,
    Overlaid.HISTORY: _history,
    Overlaid.EXPERIMENT: _experiment,
    Overlaid.TRACE: _trace,
    Overlaid.TRACE_OF_OLD: _trace_of_old,
}
