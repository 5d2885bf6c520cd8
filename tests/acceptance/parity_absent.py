# SPDX-License-Identifier: Apache-2.0
"""For each queued call, its whole body without one of its fields: each field in turn, at each depth."""

import copy
import json
from collections.abc import Iterator
from typing import Any

from schemas.write import Op
from tests.acceptance.parity_bodies import Request
from tests.factories import RUN

_METRIC = {"key": "k", "value": 0.5, "timestamp": 5, "step": 7}
_OF_DATASET = {"dataset_name": "d", "dataset_digest": "1"}
_PAIR = {"key": "k", "value": "v"}
_DATASET = {"name": "d", "digest": "1", "source_type": "local", "source": "{}", "schema": "{}", "profile": "p"}

#: All the fields of each call. Only MLflow knows which model there is, so none names one but where it must.
_WHOLE: dict[Op, Any] = {
    Op.LOG_METRIC: _METRIC | _OF_DATASET,
    Op.LOG_PARAMETER: _PAIR,
    Op.SET_TAG: _PAIR,
    Op.LOG_BATCH: {"metrics": [_METRIC, _METRIC | _OF_DATASET], "params": [_PAIR], "tags": [_PAIR, _PAIR]},
    Op.DELETE_TAG: {"key": "k"},
    Op.UPDATE_RUN: {"status": "FINISHED", "end_time": 5, "run_name": "n"},
    Op.LOG_INPUTS: {"datasets": [{"dataset": _DATASET, "tags": [_PAIR]}], "models": [{"model_id": "m-1"}]},
    Op.LOG_OUTPUTS: {"models": [{"model_id": "m-1", "step": 7}]},
}


def requests_without(op: Op) -> Iterator[tuple[str, Request]]:
    """Yield each request, by the path of what it lacks; a list is left out, made empty, and thinned one by one."""
    whole = {"run_id": RUN} | _WHOLE[op]
    for path in _paths(whole):
        body = copy.deepcopy(whole)
        holder: Any = body
        for part in path[:-1]:
            holder = holder[part]
        del holder[path[-1]]
        yield ".".join(map(str, path)), Request(op, json.dumps(body).encode())


def _paths(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Yield where something stands in it, at each depth."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for part, each in inner:
        yield (*path, part)
        yield from _paths(each, (*path, part))
