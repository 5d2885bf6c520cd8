# SPDX-License-Identifier: Apache-2.0
"""Parses queued calls on experiments and traces: tags and links. Each is delivered by itself.

``capture_tag_call`` reads the fields one by one, in MLflow's order, so that the first error is MLflow's. The body types
describe the bodies in the OpenAPI document.
"""

from collections.abc import Callable
from typing import Any

import msgspec

from schemas.bodies.lenient import Json, load_object, read_text
from schemas.bodies.special_tags import check_special_experiment_tag, check_special_trace_tag
from schemas.errors import InvalidWrite
from schemas.lane import experiment_lane, run_lane, trace_lane
from schemas.mlflow_limits import EXPERIMENT_ID, check_experiment_tag, check_id, check_tag, invalid, missing, mistyped
from schemas.write import Op, Write

MAX_LINKS = 100
#: Tags that clients must not change (``mlflow/server/handlers.py``, 3.17).
_IMMUTABLE = frozenset({"mlflow.trace.spansLocation", "mlflow.trace.archiveLocation", "mlflow.trace.archivalFailure"})


class TagBody(msgspec.Struct, omit_defaults=True):
    """A tag. None: an empty value."""

    key: str
    value: str | None = None


class SetExperimentTag(TagBody, kw_only=True):
    """Body of ``experiments/set-experiment-tag``."""

    experiment_id: str


class DeleteExperimentTag(msgspec.Struct):
    """Body of ``experiments/delete-experiment-tag``."""

    experiment_id: str
    key: str


class SetTraceTag(TagBody, kw_only=True):
    """Body of ``traces/{trace_id}/tags``. A batch (``POST /v1/writes``) has no path, so it names the trace here."""

    trace_id: str | None = None


class DeleteTraceTag(msgspec.Struct, omit_defaults=True):
    """Body of ``DELETE traces/{trace_id}/tags``; for the trace see `SetTraceTag`."""

    key: str
    trace_id: str | None = None


class PromptVersion(msgspec.Struct):
    """A version of a prompt in MLflow's prompt registry."""

    name: str = ""
    version: str = ""


class LinkPrompts(msgspec.Struct):
    """Body of ``traces/link-prompts``."""

    trace_id: str
    prompt_versions: list[PromptVersion]


class LinkTraces(msgspec.Struct):
    """Body of ``traces/link-to-run`` without its run, which the lane holds."""

    trace_ids: list[str]


def capture_tag_call(op: Op, body: bytes, *, workspace: str | None, trace_id: str = "") -> Write:
    """Parse the body of a call of `TAG_OPS` into a write, or raise ``InvalidWrite``. ``trace_id``: from the path."""
    fields = load_object(body, first_required="experiment_id" if op in _EXPERIMENT_OPS else "key")
    if trace_id:
        fields["trace_id"] = trace_id
    lane, body_fields = _READERS[op](fields, workspace)
    return Write(op=op, lane=lane, single_body=msgspec.json.encode(body_fields), workspace=workspace)


#: A lane, and the fields of the body without the id that the lane holds.
_LaneAndBody = tuple[str, Json]


def _read_set_experiment_tag(fields: Json, _workspace: str | None) -> _LaneAndBody:
    experiment_id = _experiment_id(fields)
    key, value = read_text(fields.get("key"), "key", required=True), read_text(fields.get("value"), "value")
    check_experiment_tag(key, value)
    check_special_experiment_tag(key, value)
    return experiment_lane(experiment_id), {"key": key, "value": value}


def _read_delete_experiment_tag(fields: Json, _workspace: str | None) -> _LaneAndBody:
    experiment_id = _experiment_id(fields)
    return experiment_lane(experiment_id), {"key": read_text(fields.get("key"), "key", required=True)}


def _read_set_trace_tag(fields: Json, _workspace: str | None) -> _LaneAndBody:
    key, value = read_text(fields.get("key"), "key", required=True), read_text(fields.get("value"), "value")
    _check_mutable(key, "set", _IMMUTABLE)
    check_tag(key, value, at="")
    check_special_trace_tag(key, value)
    return trace_lane(_trace_id(fields)), {"key": key, "value": value}


def _read_delete_trace_tag(fields: Json, _workspace: str | None) -> _LaneAndBody:
    key = read_text(fields.get("key"), "key", required=True)
    _check_mutable(key, "deleted", _IMMUTABLE - {"mlflow.trace.archivalFailure"})
    return trace_lane(_trace_id(fields)), {"key": key}


def _read_link_prompts(fields: Json, _workspace: str | None) -> _LaneAndBody:
    trace_id = _trace_id(fields)
    versions = _required_list(fields, "prompt_versions", "promptVersions")
    try:
        prompts = msgspec.convert(versions, list[PromptVersion])
    except msgspec.ValidationError as error:
        raise InvalidWrite(f"The prompt_versions are not valid: {error}. MLflow would drop them.") from error
    for number, prompt in enumerate(prompts):
        read_text(prompt.name, f"prompt_versions[{number}].name")
        if not (prompt.version.isascii() and prompt.version.isdecimal()):
            raise invalid(f"prompt_versions[{number}].version", prompt.version, "It must be a whole number.")
    return trace_lane(trace_id), {"prompt_versions": msgspec.to_builtins(prompts)}


def _read_link_traces(fields: Json, workspace: str | None) -> _LaneAndBody:
    trace_ids = _required_list(fields, "trace_ids", "traceIds")
    if not all(isinstance(each, str) for each in trace_ids):
        raise mistyped("trace_ids", trace_ids)
    lane = run_lane(read_text(_field(fields, "run_id", "runId"), "run_id") or None, fields.get("run"), workspace)
    if len(trace_ids) > MAX_LINKS:
        raise InvalidWrite(
            f"Cannot link more than {MAX_LINKS} traces to a run in a single request. Provided {len(trace_ids)} traces."
        )
    # MLflow links none of the traces if one is listed twice.
    return lane, {"trace_ids": list(dict.fromkeys(trace_ids))}


def _check_mutable(key: str, action: str, immutable: frozenset[str]) -> None:
    if key in immutable:
        raise InvalidWrite(f"Tag '{key}' is immutable and cannot be {action} on a trace.")


def _experiment_id(fields: Json) -> str:
    experiment_id = read_text(_field(fields, "experiment_id", "experimentId"), "experiment_id", required=True)
    return check_id(experiment_id, "experiment_id", EXPERIMENT_ID)


def _trace_id(fields: Json) -> str:
    return check_id(read_text(_field(fields, "trace_id", "traceId"), "trace_id", required=True), "trace_id")


def _required_list(fields: Json, name: str, camel: str) -> list[Any]:
    """Return a required list, which may be empty, or raise ``InvalidWrite``."""
    value = _field(fields, name, camel)
    if value is None:
        raise missing(name)
    if not isinstance(value, list):
        raise mistyped(name, value)
    return value


def _field(fields: Json, name: str, camel: str) -> object:
    """Return a field by its name in snake case, else by the one in camel case."""
    return fields[name] if fields.get(name) is not None else fields.get(camel)


_EXPERIMENT_OPS = (Op.SET_EXPERIMENT_TAG, Op.DELETE_EXPERIMENT_TAG)

_READERS: dict[Op, Callable[[Json, str | None], _LaneAndBody]] = {
    Op.SET_EXPERIMENT_TAG: _read_set_experiment_tag,
    Op.DELETE_EXPERIMENT_TAG: _read_delete_experiment_tag,
    Op.SET_TRACE_TAG: _read_set_trace_tag,
    Op.DELETE_TRACE_TAG: _read_delete_trace_tag,
    Op.LINK_PROMPTS: _read_link_prompts,
    Op.LINK_TRACES: _read_link_traces,
}
#: The operations that this module parses.
TAG_OPS = frozenset(_READERS)
