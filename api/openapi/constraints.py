# SPDX-License-Identifier: Apache-2.0
"""What a request may hold beyond the types of its fields, as JSON Schema, so that clients can be made to know it.

No body is read by it: what JSON Schema can't say, such as which names would be other files, is refused all the same.
"""

from typing import Any

import msgspec

from schemas.bodies.single import DATASET_LIMITS, INPUT_TAG_LIMITS, STATUSES
from schemas.bodies.tags import MAX_LINKS
from schemas.dead_letter import LetterFilter
from schemas.endpoints import endpoint_of
from schemas.lane import RUN_NAME
from schemas.mlflow_limits import (
    MAX_EXPERIMENT_TAG_VALUE,
    MAX_INT64,
    MAX_KEY,
    MAX_METRICS,
    MAX_PARAM_VALUE,
    MAX_PARAMS,
    MAX_TAG_VALUE,
    MAX_TAGS,
)
from schemas.write import Op

_Schema = dict[str, Any]


def _listed(name: str, item: _Schema, **bounds: int) -> _Schema:
    return {"type": "object", "required": [name], "properties": {name: {"type": "array", "items": item, **bounds}}}


_RUN_ID = {"type": "string", "pattern": "^[a-zA-Z0-9][a-zA-Z0-9_-]{0,255}$"}
_NAME = {"type": "string", "pattern": RUN_NAME}
_KEY = {"type": "string", "minLength": 1, "maxLength": MAX_KEY}
_PARAM = {"key": _KEY, "value": {"maxLength": MAX_PARAM_VALUE}}
_TAG = {"key": _KEY, "value": {"maxLength": MAX_TAG_VALUE}}
EXPERIMENT = {"type": "string", "pattern": "^[a-zA-Z0-9][a-zA-Z0-9_-]{0,63}$"}
#: Ids that the bridge makes, and names; other printable characters are only not found.
PATH_PART = {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9_.:@=+-]*$"}
#: More is taken, such as slashes; these are those that MLflow makes.
TRACE = {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9_:-]{0,255}$"}
#: A span as OTLP spells it in JSON. More is taken, such as ids in capitals.
_SPAN: _Schema = {
    "type": "object",
    "required": ["traceId", "spanId"],
    "properties": {
        "traceId": {"type": "string", "pattern": "^[0-9a-f]{32}$"},
        "spanId": {"type": "string", "pattern": "^[0-9a-f]{16}$"},
        "parentSpanId": {"type": "string", "pattern": "^([0-9a-f]{16})?$"},
        "name": {"type": "string"},
        "startTimeUnixNano": {"type": "string", "pattern": "^[0-9]{1,18}$"},
        "endTimeUnixNano": {"type": "string", "pattern": "^[0-9]{1,18}$"},
    },
}
SPANS = _listed("resourceSpans", _listed("scopeSpans", _listed("spans", _SPAN)), minItems=1)
_ID = {"experiment_id": EXPERIMENT, "trace_id": TRACE}
_NUMBER = {"type": "string", "pattern": "^[0-9]+$"}
_OF_RUN = {
    "experiment_id": EXPERIMENT,
    "experiment_name": {"minLength": 1, "maxLength": 500},
    "run_name": {"minLength": 1, "maxLength": 250},
}
_METRIC = {
    "key": _KEY,
    "timestamp": {"minimum": 0, "maximum": MAX_INT64},
    "step": {"minimum": -MAX_INT64 - 1, "maximum": MAX_INT64},
}

#: By its name, what a query field of the listings may be.
QUERY: _Schema = {
    **msgspec.json.schema(LetterFilter)["$defs"]["LetterFilter"]["properties"],
    "limit": {"type": "integer", "minimum": 1, "maximum": 1000},
    "cursor": {"type": "string", "description": "The `next` of the page before"},
    "run": _NAME,
    "status": {"enum": ["pending", "dead"]},
}


def constraints(op: Op, *, alone: bool = True) -> _Schema:
    """Return what the body of a queued call may hold, besides the types of its fields.

    Where it comes ``alone``, the path may say what it is about; among others the body must.
    """
    properties, required = _LIMITS[op]
    described: _Schema = {"type": "object", "properties": properties, "required": [*required]}
    if op is Op.CREATE_RUN:
        return described
    endpoint = endpoint_of(op)
    if endpoint.lane == "run":
        described["properties"] = {"run_id": _RUN_ID, "run": _NAME, **properties}
        described["anyOf"] = [{"required": ["run_id"]}, {"required": ["run"]}]
    elif not alone or "{" not in endpoint.path:
        described["required"].append(f"{endpoint.lane}_id")
    return described


def _items(properties: _Schema, most: int | None = None) -> _Schema:
    return {"items": {"properties": properties}} | ({"maxItems": most} if most else {})


def _lengths(longest: dict[str, int]) -> _Schema:
    return {name: {"maxLength": most} for name, most in longest.items()}


_LIMITS: dict[Op, tuple[_Schema, tuple[str, ...]]] = {
    Op.LOG_METRIC: (_METRIC, ()),
    Op.LOG_PARAMETER: (_PARAM, ()),
    Op.SET_TAG: (_TAG, ()),
    Op.LOG_BATCH: (
        {
            "metrics": _items(_METRIC, MAX_METRICS),
            "params": _items(_PARAM, MAX_PARAMS),
            "tags": _items(_TAG, MAX_TAGS),
        },
        (),
    ),
    Op.DELETE_TAG: ({"key": {"type": "string", "minLength": 1}}, ("key",)),
    Op.UPDATE_RUN: ({"status": {"enum": [*STATUSES, *range(1, len(STATUSES) + 1), None]}}, ()),
    Op.LOG_INPUTS: (
        {
            "datasets": _items(
                {"dataset": {"properties": _lengths(DATASET_LIMITS)}, "tags": _items(_lengths(INPUT_TAG_LIMITS))}
            )
        },
        (),
    ),
    Op.LOG_OUTPUTS: ({"models": {"type": "array"}}, ("models",)),
    Op.SET_EXPERIMENT_TAG: ({"key": _KEY, "value": {"maxLength": MAX_EXPERIMENT_TAG_VALUE}, **_ID}, ()),
    Op.DELETE_EXPERIMENT_TAG: ({"key": {"minLength": 1}, **_ID}, ()),
    Op.SET_TRACE_TAG: ({**_TAG, **_ID}, ()),
    Op.DELETE_TRACE_TAG: ({"key": {"minLength": 1}, **_ID}, ()),
    Op.LINK_PROMPTS: (
        {
            "prompt_versions": {"items": {"properties": {"version": _NUMBER}, "required": ["version"]}},
            **_ID,
        },
        (),
    ),
    Op.LINK_TRACES: ({"trace_ids": {"maxItems": MAX_LINKS}}, ()),
    Op.CREATE_RUN: ({"run": _NAME, **_OF_RUN, "tags": _items(_TAG)}, ()),
}
