# SPDX-License-Identifier: Apache-2.0
"""What a call carries and MLflow holds: metrics, params and tags, in one form that can be compared."""

from collections.abc import Iterator
from typing import Any, NamedTuple


class Entity(NamedTuple):
    """One value of a metric, one param or one tag. Only a metric has a step and a timestamp."""

    kind: str
    key: str
    value: float | str
    step: int = 0
    timestamp: int = 0


def carried(call: str, body: dict[str, Any]) -> list[Entity]:
    """The entities of a call to MLflow, such as ``log-batch``, in the order in which they stand in its body."""
    match call:
        case "log-metric":
            return [metric(body)]
        case "log-parameter":
            return [param(body)]
        case "set-tag":
            return [tag(body)]
        case "log-batch":
            return [*_batch(body)]
    raise ValueError(f"no call that logs: {call}")


def metric(fields: dict[str, Any]) -> Entity:
    return Entity("metric", fields["key"], float(fields["value"]), int(fields.get("step", 0)), int(fields["timestamp"]))


def param(fields: dict[str, Any]) -> Entity:
    return Entity("param", fields["key"], fields["value"])


def tag(fields: dict[str, Any]) -> Entity:
    return Entity("tag", fields["key"], fields["value"])


def _batch(body: dict[str, Any]) -> Iterator[Entity]:
    yield from map(metric, body.get("metrics", []))
    yield from map(param, body.get("params", []))
    yield from map(tag, body.get("tags", []))
