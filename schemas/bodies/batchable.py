# SPDX-License-Identifier: Apache-2.0
"""The bodies of MLflow's logging calls, and how one becomes a write.

``capture`` reads a body twice at most: once strictly, which is all that a well-formed body needs, and, where that
fails, once more with `schemas.bodies.lenient`, which repairs what MLflow would take and names what it would not.
"""

import datetime as dt
from collections.abc import Callable
from typing import Any

import msgspec

from schemas.bodies.lenient import repair
from schemas.bodies.named_run import capture_run
from schemas.bodies.single import capture_whole
from schemas.bodies.tags import TAGGING, capture_tagging
from schemas.errors import InvalidWrite
from schemas.lane import run_lane
from schemas.mlflow_limits import (
    check_count,
    check_dataset,
    check_given,
    check_metric,
    check_param,
    check_params_differ,
    check_tag,
)
from schemas.write import Fragment, Op, Write


class Metric(msgspec.Struct, omit_defaults=True, gc=False):
    """One value of a metric (https://mlflow.org/docs/latest/rest-api.html#metric)."""

    key: str
    value: float
    #: Unix time in milliseconds; the moment of intake where the client sent none.
    timestamp: int | None = None
    step: int | None = 0
    model_id: str | None = None
    dataset_name: str | None = None
    dataset_digest: str | None = None


class Param(msgspec.Struct, gc=False):
    """One param: written once, never changed (https://mlflow.org/docs/latest/rest-api.html#param)."""

    key: str
    value: str = ""


class Tag(msgspec.Struct, gc=False):
    """One tag: the last value written wins (https://mlflow.org/docs/latest/rest-api.html#runtag)."""

    key: str
    value: str = ""


class LogMetric(Metric, kw_only=True, omit_defaults=True):
    """Body of ``runs/log-metric``. ``run`` is a name in place of the id, as in all of these."""

    run_id: str | None = None
    run_uuid: str | None = None
    run: Any = None


class LogParameter(Param, kw_only=True):
    """Body of ``runs/log-parameter``."""

    run_id: str | None = None
    run_uuid: str | None = None
    run: Any = None


class SetTag(Tag, kw_only=True):
    """Body of ``runs/set-tag``."""

    run_id: str | None = None
    run_uuid: str | None = None
    run: Any = None


class LogBatch(msgspec.Struct, kw_only=True):
    """Body of ``runs/log-batch``. Unlike the single calls it does not know ``run_uuid``."""

    run_id: str = ""
    run: Any = None
    metrics: list[Metric] = []
    params: list[Param] = []
    tags: list[Tag] = []


def capture(op: Op, body: bytes, *, now: dt.datetime, workspace: str | None = None, subject: str = "") -> Write:
    """Turn the body of an MLflow call into a write, or raise ``InvalidWrite`` with what MLflow would say.

    ``now`` becomes the timestamp of each metric that has none; ``subject`` is what the path names.
    """
    if op not in _CAPTURE:
        return _capture_other(op, body, now, workspace, subject)
    decode, to_write = _CAPTURE[op]
    try:
        request = decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        request = _repaired(op, body)
    else:
        if not _finite(request) or any(name in body for name in _CAREFULLY) or not _is_text(body):
            request = _repaired(op, body)
    return to_write(request, round(now.timestamp() * 1000), workspace)


def _capture_other(op: Op, body: bytes, now: dt.datetime, workspace: str | None, subject: str) -> Write:
    if op in TAGGING:
        return capture_tagging(op, body, workspace=workspace, trace_id=subject)
    if op is Op.CREATE_RUN:
        return capture_run(body, now=now, workspace=workspace)
    return capture_whole(op, body, workspace=workspace)


def _is_text(body: bytes) -> bool:
    """Whether the whole body is UTF-8, also where the strict reading passes over it."""
    if body.isascii():
        return True
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True


def _finite(request: object) -> bool:
    """Whether no value is infinite or NaN: those need a look at how they were written."""
    metrics = request.metrics if isinstance(request, LogBatch) else [request] if isinstance(request, Metric) else []
    return all(metric.value - metric.value == 0.0 for metric in metrics)


def _repaired(op: Op, body: bytes) -> Any:  # noqa: ANN401 - one of the four bodies, as `_CAPTURE` pairs them
    try:
        return msgspec.convert(repair(op, body), _BODIES[op], strict=False)
    except msgspec.ValidationError as error:
        raise InvalidWrite(f"The body of {op} is not valid: {error}.") from error


def _either(run_id: str | None, run_uuid: str | None) -> str | None:
    """``run_uuid`` is the older name; it counts only where the newer one is absent, even if that one is empty."""
    return run_uuid if run_id is None else run_id


def _given(run_id: str | None, name: object) -> str | None:
    """Return the id of a run, or raise where there is neither that nor a name: MLflow looks for it first."""
    return run_id if name is not None else check_given(run_id)


def _log_metric(request: LogMetric, now_ms: int, workspace: str | None) -> Write:
    run_id = _given(_either(request.run_id, request.run_uuid), request.run)
    check_dataset(request.dataset_name, request.dataset_digest)
    metric = Metric(
        request.key,
        request.value,
        request.timestamp,
        request.step,
        request.model_id,
        request.dataset_name,
        request.dataset_digest,
    )
    fragment = Fragment(1, _metric_json(metric, now_ms, ""))
    lane = run_lane(run_id, request.run, workspace)
    return Write(op=Op.LOG_METRIC, lane=lane, metrics=fragment, workspace=workspace)


def _log_parameter(request: LogParameter, _now_ms: int, workspace: str | None) -> Write:
    run_id = _given(_either(request.run_id, request.run_uuid), request.run)
    check_param(request.key, request.value, at="")
    fragment = Fragment(1, _json(Param(request.key, request.value)))
    lane = run_lane(run_id, request.run, workspace)
    return Write(op=Op.LOG_PARAMETER, lane=lane, params=fragment, workspace=workspace)


def _set_tag(request: SetTag, _now_ms: int, workspace: str | None) -> Write:
    run_id = _given(_either(request.run_id, request.run_uuid), request.run)
    check_tag(request.key, request.value, at="")
    fragment = Fragment(1, _json(Tag(request.key, request.value)))
    return Write(op=Op.SET_TAG, lane=run_lane(run_id, request.run, workspace), tags=fragment, workspace=workspace)


def _log_batch(request: LogBatch, now_ms: int, workspace: str | None) -> Write:
    run_id = _given(request.run_id, request.run)
    for metric in request.metrics:
        check_dataset(metric.dataset_name, metric.dataset_digest)
    lane = run_lane(run_id, request.run, workspace, unknown=False)
    metrics = [_metric_json(metric, now_ms, f"metrics[{i}]") for i, metric in enumerate(request.metrics)]
    for i, param in enumerate(request.params):
        check_param(param.key, param.value, at=f"params[{i}]")
    for i, tag in enumerate(request.tags):
        check_tag(tag.key, tag.value, at=f"tags[{i}]")
    check_count(len(request.metrics), len(request.params), len(request.tags))
    check_params_differ([param.key for param in request.params])
    return Write(
        op=Op.LOG_BATCH,
        lane=lane,
        metrics=Fragment(len(metrics), b",".join(metrics)),
        params=Fragment(len(request.params), _json(request.params)[1:-1]),
        tags=Fragment(len(request.tags), _json(request.tags)[1:-1]),
        workspace=workspace,
    )


def _metric_json(metric: Metric, now_ms: int, at: str) -> bytes:
    if metric.timestamp is None:
        metric.timestamp = now_ms
    if metric.step is None:
        metric.step = 0
    check_metric(metric.key, metric.value, metric.timestamp, metric.step, at=at)
    if metric.value - metric.value == 0.0:
        return _json(metric)
    # JSON has no such numbers; protobuf's JSON, which MLflow reads, wants their names as strings.
    named = msgspec.structs.asdict(metric) | {"value": _NON_FINITE[str(metric.value)]}
    return _json({name: value for name, value in named.items() if value is not None})


# protobuf's JSON knows each field by two names; the strict reading knows only the usual one and would miss the other.
_CAREFULLY = (b'"runId"', b'"runUuid"', b'"modelId"', b'"datasetName"', b'"datasetDigest"')

_NON_FINITE = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}

_json = msgspec.json.Encoder().encode

_BODIES: dict[Op, type[msgspec.Struct]] = {
    Op.LOG_METRIC: LogMetric,
    Op.LOG_PARAMETER: LogParameter,
    Op.SET_TAG: SetTag,
    Op.LOG_BATCH: LogBatch,
}

_ToWrite = Callable[[Any, int, str | None], Write]

_TO_WRITE: dict[Op, _ToWrite] = {
    Op.LOG_METRIC: _log_metric,
    Op.LOG_PARAMETER: _log_parameter,
    Op.SET_TAG: _set_tag,
    Op.LOG_BATCH: _log_batch,
}

# `strict=False` is protobuf's JSON: "5" and 5.0 are integers, "0.25" is a number; 1.5 is no integer, true is no number.
_CAPTURE: dict[Op, tuple[Callable[[bytes], Any], _ToWrite]] = {
    op: (msgspec.json.Decoder(_BODIES[op], strict=False).decode, to_write) for op, to_write in _TO_WRITE.items()
}
