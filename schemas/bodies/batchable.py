# SPDX-License-Identifier: Apache-2.0
"""Parses the bodies of queued calls into writes; defines those that can be merged into one ``log-batch``.

``capture`` parses a body at most twice. A strict decoder suffices for a well-formed body. If it fails, the parser in
`schemas.bodies.lenient` repairs what MLflow would accept and names the value that MLflow would drop.
"""

import datetime as dt
from collections.abc import Callable
from typing import Any

import msgspec

from schemas.bodies.lenient import parse_leniently
from schemas.bodies.named_run import capture_run
from schemas.bodies.single import capture_single
from schemas.bodies.tags import TAG_OPS, capture_tag_call
from schemas.errors import InvalidWrite
from schemas.lane import run_lane
from schemas.mlflow_limits import (
    check_count,
    check_dataset,
    check_metric,
    check_param,
    check_params_differ,
    check_tag,
    require_run_id,
)
from schemas.write import Fragment, Op, Write


class Metric(msgspec.Struct, omit_defaults=True, gc=False):
    """A metric value (https://mlflow.org/docs/latest/rest-api.html#metric).

    A new field is also copied in `_log_metric`, and named in `_CAMEL_CASE_NAMES` if it has two words.
    """

    key: str
    value: float
    #: Unix time in milliseconds. None: the time of intake.
    timestamp: int | None = None
    step: int | None = 0
    model_id: str | None = None
    dataset_name: str | None = None
    dataset_digest: str | None = None


class Param(msgspec.Struct, gc=False):
    """A param: written once, never changed (https://mlflow.org/docs/latest/rest-api.html#param)."""

    key: str
    value: str = ""


class Tag(msgspec.Struct, gc=False):
    """A tag: the last written value wins (https://mlflow.org/docs/latest/rest-api.html#runtag)."""

    key: str
    value: str = ""


class LogMetric(Metric, kw_only=True, omit_defaults=True):
    """Body of ``runs/log-metric``. ``run`` is the name of a named run, in place of the id, as in all these bodies."""

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
    """Body of ``runs/log-batch``. Unlike the other calls it has no ``run_uuid``."""

    run_id: str = ""
    run: Any = None
    metrics: list[Metric] = []
    params: list[Param] = []
    tags: list[Tag] = []


def capture(op: Op, body: bytes, *, now: dt.datetime, workspace: str | None = None, path_parameter: str = "") -> Write:
    """Parse the body of a queued call into a write, or raise ``InvalidWrite`` with MLflow's error.

    ``now`` is the timestamp of metrics without one; ``path_parameter`` is that of the call (`schemas.endpoints`).
    """
    if op not in _PARSERS:
        return _capture_unbatchable(op, body, now, workspace, path_parameter)
    decode, to_write = _PARSERS[op]
    try:
        request = decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        request = _parse_leniently(op, body)
    else:
        if not _is_finite(request) or any(name in body for name in _CAMEL_CASE_NAMES) or not _is_text(body):
            request = _parse_leniently(op, body)
    return to_write(request, round(now.timestamp() * 1000), workspace)


def _capture_unbatchable(op: Op, body: bytes, now: dt.datetime, workspace: str | None, path_parameter: str) -> Write:
    if op in TAG_OPS:
        return capture_tag_call(op, body, workspace=workspace, trace_id=path_parameter)
    if op is Op.CREATE_RUN:
        return capture_run(body, now=now, workspace=workspace)
    return capture_single(op, body, workspace=workspace)


def _is_text(body: bytes) -> bool:
    """Return whether the whole body is UTF-8; the strict decoder does not check the fields that it skips."""
    if body.isascii():
        return True
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True


def _is_finite(request: object) -> bool:
    """Return whether all values are finite. Others depend on their spelling, which only the lenient parser sees."""
    metrics = request.metrics if isinstance(request, LogBatch) else [request] if isinstance(request, Metric) else []
    # `x - x` is NaN for NaN and for an infinity. It costs less than a call of `math.isfinite` for each value.
    return all(metric.value - metric.value == 0.0 for metric in metrics)


def _parse_leniently(op: Op, body: bytes) -> Any:  # noqa: ANN401 - a type of `_BODY_TYPES`
    try:
        return msgspec.convert(parse_leniently(op, body), _BODY_TYPES[op], strict=False)
    except msgspec.ValidationError as error:
        raise InvalidWrite(f"The body of {op} is not valid: {error}.") from error


def _run_id_of(run_id: str | None, run_uuid: str | None) -> str | None:
    """Return ``run_id`` even if it is empty: MLflow reads ``run_uuid`` only if ``run_id`` is absent."""
    return run_uuid if run_id is None else run_id


def _require_id(run_id: str | None, name: object) -> str | None:
    """Return the run id, or raise if the body has neither id nor name: MLflow checks this first."""
    return run_id if name is not None else require_run_id(run_id)


def _log_metric(request: LogMetric, now_ms: int, workspace: str | None) -> Write:
    run_id = _require_id(_run_id_of(request.run_id, request.run_uuid), request.run)
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
    run_id = _require_id(_run_id_of(request.run_id, request.run_uuid), request.run)
    check_param(request.key, request.value, at="")
    fragment = Fragment(1, _json(Param(request.key, request.value)))
    lane = run_lane(run_id, request.run, workspace)
    return Write(op=Op.LOG_PARAMETER, lane=lane, params=fragment, workspace=workspace)


def _set_tag(request: SetTag, _now_ms: int, workspace: str | None) -> Write:
    run_id = _require_id(_run_id_of(request.run_id, request.run_uuid), request.run)
    check_tag(request.key, request.value, at="")
    fragment = Fragment(1, _json(Tag(request.key, request.value)))
    return Write(op=Op.SET_TAG, lane=run_lane(run_id, request.run, workspace), tags=fragment, workspace=workspace)


def _log_batch(request: LogBatch, now_ms: int, workspace: str | None) -> Write:
    run_id = _require_id(request.run_id, request.run)
    for metric in request.metrics:
        check_dataset(metric.dataset_name, metric.dataset_digest)
    lane = run_lane(run_id, request.run, workspace, as_not_found=False)
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
    """Return the JSON of a metric with its defaults, or raise ``InvalidWrite``. ``at`` is its place in the body."""
    if metric.timestamp is None:
        metric.timestamp = now_ms
    if metric.step is None:
        metric.step = 0
    check_metric(metric.key, metric.value, metric.timestamp, metric.step, at=at)
    if metric.value - metric.value == 0.0:
        return _json(metric)
    # JSON has no NaN and no infinities; protobuf's JSON, which MLflow reads, spells them as strings.
    fields = msgspec.structs.asdict(metric) | {"value": _NON_FINITE[str(metric.value)]}
    return _json({name: value for name, value in fields.items() if value is not None})


# protobuf's JSON has two names for each field. The strict decoder ignores the camel-case one, so the lenient parser
# takes over.
_CAMEL_CASE_NAMES = (b'"runId"', b'"runUuid"', b'"modelId"', b'"datasetName"', b'"datasetDigest"')

_NON_FINITE = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}

_json = msgspec.json.Encoder().encode

_BODY_TYPES: dict[Op, type[msgspec.Struct]] = {
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

# `strict=False` is protobuf's JSON: "5" and 5.0 are integers, "0.25" is a number, but 1.5 is not an integer and true is
# not a number.
_PARSERS: dict[Op, tuple[Callable[[bytes], Any], _ToWrite]] = {
    op: (msgspec.json.Decoder(_BODY_TYPES[op], strict=False).decode, to_write) for op, to_write in _TO_WRITE.items()
}
