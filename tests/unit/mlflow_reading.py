# SPDX-License-Identifier: Apache-2.0
"""Reads bodies as MLflow's server does, by its own protobuf messages in this process, and writes in the same terms."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from google.protobuf.json_format import ParseError  # type: ignore[import-untyped] # protobuf ships no types
from mlflow.protos.service_pb2 import LogBatch, LogMetric, LogParam, SetTag
from mlflow.utils.proto_json_utils import parse_dict

from schemas.write import Op, Write

__all__ = ["ParseError", "Reading", "mlflow_reads", "what_is_held"]

_MESSAGES = {Op.LOG_METRIC: LogMetric, Op.LOG_PARAMETER: LogParam, Op.SET_TAG: SetTag, Op.LOG_BATCH: LogBatch}
_parse: Callable[[Any, Any], None] = parse_dict
_METRIC = ("key", "value", "timestamp", "step", "model_id", "dataset_name", "dataset_digest")


@dataclass(frozen=True, slots=True)
class Reading:
    """A call as MLflow's handlers see it; numbers as text, for NaN does not equal itself."""

    run_id: str
    metrics: tuple[tuple[str, ...], ...] = ()
    params: tuple[tuple[str, str], ...] = ()
    tags: tuple[tuple[str, str], ...] = ()


def mlflow_reads(op: Op, body: bytes) -> Reading:
    """What MLflow would store for this body, or the ``ParseError`` that it swallows."""
    fields = json.loads(body)
    message: Any = _MESSAGES[op]()
    _parse(json.loads(fields) if isinstance(fields, str) else fields, message)
    if op is Op.LOG_BATCH:
        metrics = tuple(_of_message(metric) for metric in message.metrics)
        return Reading(message.run_id, metrics, _pairs(message.params), _pairs(message.tags))
    run_id = message.run_id or message.run_uuid
    if op is Op.LOG_METRIC:
        return Reading(run_id, metrics=(_of_message(message),))
    pairs = _pairs([message])
    return Reading(run_id, params=pairs) if op is Op.LOG_PARAMETER else Reading(run_id, tags=pairs)


def what_is_held(write: Write) -> Reading:
    """What a write says itself that it holds."""
    metrics, params, tags = (json.loads(b"[" + part.json + b"]") for part in (write.metrics, write.params, write.tags))
    defaults = {"step": 0, "model_id": "", "dataset_name": "", "dataset_digest": ""}
    return Reading(
        write.lane,
        tuple(_of_fields({**defaults, **metric, "value": float(metric["value"])}) for metric in metrics),
        tuple((param["key"], param["value"]) for param in params),
        tuple((tag["key"], tag["value"]) for tag in tags),
    )


def _of_message(metric: Any) -> tuple[str, ...]:
    return _of_fields({name: getattr(metric, name) for name in _METRIC})


def _of_fields(fields: dict[str, Any]) -> tuple[str, ...]:
    return tuple(str(fields[name]) for name in _METRIC)


def _pairs(entities: Any) -> tuple[tuple[str, str], ...]:
    return tuple((entity.key, entity.value) for entity in entities)
