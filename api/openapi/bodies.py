# SPDX-License-Identifier: Apache-2.0
"""The bodies of queued calls in OpenAPI."""

from typing import Any

import msgspec

from api.openapi.constraints import constraints
from schemas.bodies.batchable import LogBatch, LogMetric, LogParameter, SetTag
from schemas.bodies.named_run import CreateRun
from schemas.bodies.single import DeleteTag, LogInputs, LogOutputs, UpdateRun
from schemas.bodies.tags import (
    DeleteExperimentTag,
    DeleteTraceTag,
    LinkPrompts,
    LinkTraces,
    SetExperimentTag,
    SetTraceTag,
)
from schemas.write import Op

#: The type of the body of each queued call. Where it has no run, `constraints` adds it.
BODIES: dict[Op, type[msgspec.Struct]] = {
    Op.LOG_METRIC: LogMetric,
    Op.LOG_PARAMETER: LogParameter,
    Op.SET_TAG: SetTag,
    Op.LOG_BATCH: LogBatch,
    Op.DELETE_TAG: DeleteTag,
    Op.UPDATE_RUN: UpdateRun,
    Op.LOG_INPUTS: LogInputs,
    Op.LOG_OUTPUTS: LogOutputs,
    Op.SET_EXPERIMENT_TAG: SetExperimentTag,
    Op.DELETE_EXPERIMENT_TAG: DeleteExperimentTag,
    Op.SET_TRACE_TAG: SetTraceTag,
    Op.DELETE_TRACE_TAG: DeleteTraceTag,
    Op.LINK_PROMPTS: LinkPrompts,
    Op.LINK_TRACES: LinkTraces,
    Op.CREATE_RUN: CreateRun,
}

JSON, NDJSON = "application/json", "application/x-ndjson"


def queued_content(op: Op) -> dict[str, Any]:
    """Return the schemas of the body of a queued call, by media type."""
    return {JSON: {"schema": {"allOf": [constraints(op), schema_ref(BODIES[op])]}}}


def bulk_content() -> dict[str, Any]:
    """Return the schemas of a body with many writes, by media type."""
    named = {op: {"properties": {"op": {"const": op}}, "required": ["op"]} for op in BODIES}
    write = {"oneOf": [{"allOf": [named[op], constraints(op, alone=False), schema_ref(BODIES[op])]} for op in BODIES]}
    writes = {"type": "object", "properties": {"writes": {"type": "array", "items": write}}, "required": ["writes"]}
    return {JSON: {"schema": writes}, NDJSON: {"schema": {"type": "string"}}}


def schema_ref(type_: type) -> dict[str, str]:
    """Return a reference to the schema of a type."""
    return {"$ref": f"#/components/schemas/{type_.__name__}"}
