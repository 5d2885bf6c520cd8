# SPDX-License-Identifier: Apache-2.0
"""Queued calls about experiments and traces: their tags, and what is linked to what. Each is sent by itself."""

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
#: MLflow's own (``mlflow/server/handlers.py``, 3.17).
_IMMUTABLE = frozenset({"mlflow.trace.spansLocation", "mlflow.trace.archiveLocation", "mlflow.trace.archivalFailure"})


class TagBody(msgspec.Struct, omit_defaults=True):
    """A tag; without a value, to be deleted or to be empty."""

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
    """Body of ``traces/{trace_id}/tags``; the trace stands in the path, or here where there is none."""

    trace_id: str | None = None


class DeleteTraceTag(msgspec.Struct, omit_defaults=True):
    """Body with which a tag of ``traces/{trace_id}/tags`` is deleted."""

    key: str
    trace_id: str | None = None


class PromptVersion(msgspec.Struct):
    """A version of a fast_outbox."""

    name: str = ""
    version: str = ""


class LinkPrompts(msgspec.Struct):
    """Body of ``traces/link-prompts``."""

    trace_id: str
    prompt_versions: list[PromptVersion]


class LinkTraces(msgspec.Struct):
    """Body of ``traces/link-to-run``, without its run."""

    trace_ids: list[str]


def capture_tagging(op: Op, body: bytes, *, workspace: str | None, trace_id: str = "") -> Write:
    """Turn the body of one of these calls into a write, or raise ``InvalidWrite``; the path may name the trace."""
    first = "experiment_id" if op in _EXPERIMENTS else "key"
    fields = load_object(body, first=first)
    if trace_id:
        fields["trace_id"] = trace_id
    lane, whole = _READ[op](fields, workspace)
    return Write(op=op, lane=lane, whole=msgspec.json.encode(whole), workspace=workspace)


_Read = tuple[str, Json]


def _experiment_tag(fields: Json, _workspace: str | None) -> _Read:
    experiment_id = _experiment(fields)
    key, value = read_text(fields.get("key"), "key", required=True), read_text(fields.get("value"), "value")
    check_experiment_tag(key, value)
    check_special_experiment_tag(key, value)
    return experiment_lane(experiment_id), {"key": key, "value": value}


def _no_experiment_tag(fields: Json, _workspace: str | None) -> _Read:
    experiment_id = _experiment(fields)
    return experiment_lane(experiment_id), {"key": read_text(fields.get("key"), "key", required=True)}


def _trace_tag(fields: Json, _workspace: str | None) -> _Read:
    key, value = read_text(fields.get("key"), "key", required=True), read_text(fields.get("value"), "value")
    _check_mutable(key, "set", _IMMUTABLE)
    check_tag(key, value, at="")
    check_special_trace_tag(key, value)
    return trace_lane(_trace(fields)), {"key": key, "value": value}


def _no_trace_tag(fields: Json, _workspace: str | None) -> _Read:
    key = read_text(fields.get("key"), "key", required=True)
    _check_mutable(key, "deleted", _IMMUTABLE - {"mlflow.trace.archivalFailure"})
    return trace_lane(_trace(fields)), {"key": key}


def _prompts(fields: Json, _workspace: str | None) -> _Read:
    trace_id = _trace(fields)
    versions = _list(fields, "prompt_versions", "promptVersions")
    try:
        read = msgspec.convert(versions, list[PromptVersion])
    except msgspec.ValidationError as error:
        raise InvalidWrite(f"The prompt_versions are not valid: {error}. MLflow would drop them.") from error
    for number, one in enumerate(read):
        read_text(one.name, f"prompt_versions[{number}].name")
        if not (one.version.isascii() and one.version.isdecimal()):
            raise invalid(f"prompt_versions[{number}].version", one.version, "It must be a whole number in a text.")
    return trace_lane(trace_id), {"prompt_versions": msgspec.to_builtins(read)}


def _traces(fields: Json, workspace: str | None) -> _Read:
    trace_ids = _list(fields, "trace_ids", "traceIds")
    if not all(isinstance(each, str) for each in trace_ids):
        raise mistyped("trace_ids", trace_ids)
    lane = run_lane(read_text(_either(fields, "run_id", "runId"), "run_id") or None, fields.get("run"), workspace)
    if len(trace_ids) > MAX_LINKS:
        raise InvalidWrite(
            f"Cannot link more than {MAX_LINKS} traces to a run in a single request. Provided {len(trace_ids)} traces."
        )
    # MLflow links none of them if one stands there twice.
    return lane, {"trace_ids": list(dict.fromkeys(trace_ids))}


def _check_mutable(key: str, what: str, immutable: frozenset[str]) -> None:
    if key in immutable:
        raise InvalidWrite(f"Tag '{key}' is immutable and cannot be {what} on a trace.")


def _experiment(fields: Json) -> str:
    experiment_id = read_text(_either(fields, "experiment_id", "experimentId"), "experiment_id", required=True)
    return check_id(experiment_id, "experiment_id", EXPERIMENT_ID)


def _trace(fields: Json) -> str:
    return check_id(read_text(_either(fields, "trace_id", "traceId"), "trace_id", required=True), "trace_id")


def _list(fields: Json, name: str, camel: str) -> list[Any]:
    """Return the list of this name, which may be empty, or raise ``InvalidWrite``."""
    value = _either(fields, name, camel)
    if value is None:
        raise missing(name)
    if not isinstance(value, list):
        raise mistyped(name, value)
    return value


def _either(fields: Json, name: str, camel: str) -> object:
    return fields[name] if fields.get(name) is not None else fields.get(camel)


_EXPERIMENTS = (Op.SET_EXPERIMENT_TAG, Op.DELETE_EXPERIMENT_TAG)

_READ: dict[Op, Callable[[Json, str | None], _Read]] = {
    Op.SET_EXPERIMENT_TAG: _experiment_tag,
    Op.DELETE_EXPERIMENT_TAG: _no_experiment_tag,
    Op.SET_TRACE_TAG: _trace_tag,
    Op.DELETE_TRACE_TAG: _no_trace_tag,
    Op.LINK_PROMPTS: _prompts,
    Op.LINK_TRACES: _traces,
}
TAGGING = frozenset(_READ)
