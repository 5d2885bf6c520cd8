# SPDX-License-Identifier: Apache-2.0
"""JSON Schema constraints of bodies and parameters, in addition to the types of their fields.

They describe the api to clients. The api validates bodies by its own rules, some of which JSON Schema can't express,
such as names that would be paths of other files.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from bridge.operations.series import NAMES
from schemas.administration import PermissionQuery
from schemas.audit import AuditFilter
from schemas.bodies.single import DATASET_LIMITS, INPUT_TAG_LIMITS, STATUSES
from schemas.bodies.tags import MAX_LINKS
from schemas.client import CLIENT_NAME_PATTERN
from schemas.dead_letter import LetterFilter
from schemas.drain import DrainState
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


def _with_array(name: str, item: _Schema, **bounds: int) -> _Schema:
    return {"type": "object", "required": [name], "properties": {name: {"type": "array", "items": item, **bounds}}}


_RUN_ID = {"type": "string", "pattern": "^[a-zA-Z0-9][a-zA-Z0-9_-]{0,255}$"}
_NAME = {"type": "string", "pattern": RUN_NAME}
_KEY = {"type": "string", "minLength": 1, "maxLength": MAX_KEY}
_PARAM = {"key": _KEY, "value": {"maxLength": MAX_PARAM_VALUE}}
_TAG = {"key": _KEY, "value": {"maxLength": MAX_TAG_VALUE}}
EXPERIMENT = {"type": "string", "pattern": "^[a-zA-Z0-9][a-zA-Z0-9_-]{0,63}$"}
#: Ids that the bridge creates, and names. The api answers other printable characters with 404, not 400.
PATH_PART = {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9_.:@=+-]*$"}
CLIENT_NAME = {"type": "string", "pattern": f"^{CLIENT_NAME_PATTERN}$"}
#: The ids that MLflow creates. The api accepts others, such as those with slashes.
TRACE = {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9_:-]{0,255}$"}
#: A span in OTLP's JSON encoding. The api accepts more, such as ids in upper case.
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
SPANS = _with_array("resourceSpans", _with_array("scopeSpans", _with_array("spans", _SPAN)), minItems=1)
_ID = {"experiment_id": EXPERIMENT, "trace_id": TRACE}
_NUMBER = {"type": "string", "pattern": "^[0-9]+$"}
_NEW_RUN = {
    "experiment_id": EXPERIMENT,
    "experiment_name": {"minLength": 1, "maxLength": 500},
    "run_name": {"minLength": 1, "maxLength": 250},
}
_METRIC = {
    "key": _KEY,
    "timestamp": {"minimum": 0, "maximum": MAX_INT64},
    "step": {"minimum": -MAX_INT64 - 1, "maximum": MAX_INT64},
}

_SERIES = "|".join(NAMES)

#: The schemas of query parameters by their names.
QUERY: _Schema = {
    **msgspec.json.schema(LetterFilter)["$defs"]["LetterFilter"]["properties"],
    **msgspec.json.schema(AuditFilter)["$defs"]["AuditFilter"]["properties"],
    **msgspec.json.schema(PermissionQuery)["$defs"]["PermissionQuery"]["properties"],
    # The audit trail and a permission have a parameter of this name. Both take any text.
    "action": {"type": "string"},
    "op": {"enum": [*Op]},
    "request_id": {"type": "string", "minLength": 1, "maxLength": 512, "description": "The X-Request-Id of a write"},
    "idempotency_key": {
        "type": "string",
        "minLength": 1,
        "maxLength": 512,
        "description": "An Idempotency-Key of the client; for operators, of the one that `client` names",
    },
    "limit": {"type": "integer", "minimum": 1, "maximum": 1000},
    "cursor": {"type": "string", "description": "The `next` of the previous page"},
    "run": _NAME,
    "status": {"enum": ["pending", "dead"]},
    "mine": {"enum": ["pending", "dead"], "description": "The client's own jobs with this status, in all lanes"},
    "names": {"type": "string", "pattern": f"^({_SERIES})(,({_SERIES}))*$", "description": "Separated by commas"},
    "minutes": {"type": "integer", "minimum": 1, "maximum": 180},
    "order": {"enum": ["oldest", "newest"]},
    "hours": {
        "type": "integer",
        "minimum": 1,
        "maximum": 192,
        "description": "The last hours; 24 without `hours` and `days`",
    },
    "days": {
        "type": "integer",
        "minimum": 1,
        "maximum": 396,
        "description": "The last days in UTC; not together with `hours`",
    },
    **{name: {"type": "string"} for name in ("to", "again", "code", "state", "iss", "error")},
}
#: Those that have another schema on one path.
QUERY_OF: dict[str, _Schema] = {
    "/v1/lanes": {"state": {"enum": ["waiting", "delivering", "failing", "denied"]}},
    "/v1/dead-letters/drains": {"state": {"enum": [*DrainState]}},
}
#: The query parameters that a path requires.
REQUIRED_QUERY: dict[str, Sequence[str]] = {
    "/v1/clients/<name>/permission": msgspec.json.schema(PermissionQuery)["$defs"]["PermissionQuery"]["required"],
}


def constraints(op: Op, *, alone: bool = True) -> _Schema:
    """Return the constraints of the body of a queued call.

    ``alone``: it is no part of a bulk request, so its path may contain the id that it refers to.
    """
    properties, required = _CONSTRAINTS[op]
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


def _array_of(properties: _Schema, max_items: int | None = None) -> _Schema:
    return {"items": {"properties": properties}} | ({"maxItems": max_items} if max_items else {})


def _max_lengths(lengths: dict[str, int]) -> _Schema:
    return {name: {"maxLength": length} for name, length in lengths.items()}


#: Properties and required fields by the kind of call.
_CONSTRAINTS: dict[Op, tuple[_Schema, tuple[str, ...]]] = {
    Op.LOG_METRIC: (_METRIC, ()),
    Op.LOG_PARAMETER: (_PARAM, ()),
    Op.SET_TAG: (_TAG, ()),
    Op.LOG_BATCH: (
        {
            "metrics": _array_of(_METRIC, MAX_METRICS),
            "params": _array_of(_PARAM, MAX_PARAMS),
            "tags": _array_of(_TAG, MAX_TAGS),
        },
        (),
    ),
    Op.DELETE_TAG: ({"key": {"type": "string", "minLength": 1}}, ("key",)),
    Op.UPDATE_RUN: ({"status": {"enum": [*STATUSES, *range(1, len(STATUSES) + 1), None]}}, ()),
    Op.LOG_INPUTS: (
        {
            "datasets": _array_of(
                {
                    "dataset": {"properties": _max_lengths(DATASET_LIMITS)},
                    "tags": _array_of(_max_lengths(INPUT_TAG_LIMITS)),
                }
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
    Op.CREATE_RUN: ({"run": _NAME, **_NEW_RUN, "tags": _array_of(_TAG)}, ()),
}
