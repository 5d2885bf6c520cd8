# SPDX-License-Identifier: Apache-2.0
"""Which experiments does a call refer to? Extracts the ids that a call names.

A client can be limited to experiments. The bridge then permits a call only if every experiment, run, trace and model
that it names is inside them. Every id is checked, at any depth and in any spelling, so it does not matter which of
several ids MLflow would use. ``references_in_call`` handles proxied calls, ``references_in_write`` queued ones. Both
raise ``UnresolvedReference`` if the experiment of a call cannot be determined.

MLflow applies a call that names no id to its default experiment. The column ``within`` of the endpoint table
(`ExperimentRule`) therefore states which ids a call must name, and where.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

import msgspec

from schemas.bodies.named_run import DEFAULT_EXPERIMENT, CreateRun
from schemas.endpoints import EndpointMatch, ExperimentRule, endpoint_of
from schemas.lane import entity_id_of, run_of
from schemas.write import Op, Write

#: The form of MLflow's ids. The bridge never looks up another id: it could change the path of the request.
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_:-]{0,255}")


class Kind(StrEnum):
    """The kind of entity that a reference names."""

    EXPERIMENT = "experiment"
    RUN = "run"
    TRACE = "trace"
    MODEL = "model"
    #: A named run; the id is its lane.
    NAME = "name"
    #: A named run that the call creates, so it may not exist yet.
    NEW_NAME = "new-name"


class Reference(NamedTuple):
    """An experiment, run, trace or model that a call names."""

    kind: Kind
    id: str

    @property
    def is_possible(self) -> bool:
        """Whether the id has a form that MLflow issues."""
        return bool(_ID.fullmatch(self.id))


class UnresolvedReference(Exception):
    """The call does not show which experiment it refers to. The message says what to send instead."""


@dataclass(frozen=True, slots=True)
class CallReferences:
    """The references of a call, and the body to forward, which has the checked fields first."""

    references: frozenset[Reference]
    body: bytes = field(default=b"", repr=False)


def references_in_call(match: EndpointMatch, query: str, body: bytes) -> CallReferences:
    """Return the references of a proxied call, in its path and in its query (GET) or body (other methods)."""
    rule = match.endpoint.within
    if rule is ExperimentRule.ARTIFACT_PATH:
        return CallReferences(_artifact_references(match, query))
    collected = {*_path_references(match), *_query_references(query)}
    if has_ids_in_query(match):
        _check_required(rule, match, _query_fields(query))
        return CallReferences(frozenset(collected))
    fields = _load_and_collect(body, collected)
    _check_required(rule, match, fields)
    checked = _REQUIRED_FIELDS.get(rule, ("locations",))
    return CallReferences(frozenset(collected), _with_fields_first(body, checked) if body else b"")


def has_ids_in_query(match: EndpointMatch) -> bool:
    """Return whether the references are in the query or the path, so that the body need not be read."""
    endpoint = match.endpoint
    return endpoint.method == "GET" or endpoint.within in (ExperimentRule.RUN_OF_QUERY, ExperimentRule.ARTIFACT_PATH)


def references_in_write(write: Write) -> frozenset[Reference]:
    """Return the references of a queued write: its lane, and the ids in its body."""
    if write.op is Op.CREATE_RUN:
        request = msgspec.json.decode(write.single_body, type=CreateRun)
        if request.experiment_name is not None:
            raise UnresolvedReference("Name the experiment by its experiment_id.")
        run = Reference(Kind.NEW_NAME, write.lane)
        return frozenset({Reference(Kind.EXPERIMENT, request.experiment_id or DEFAULT_EXPERIMENT), run})
    if endpoint_of(write.op).within is ExperimentRule.REFUSED:
        raise UnresolvedReference
    collected = {_lane_reference(write.lane)}
    if write.single_body:
        _load_and_collect(write.single_body, collected)
    elif b'"model_id"' in write.metrics.json:
        _load_and_collect(b'{"metrics":[%b]}' % write.metrics.json, collected)
    return frozenset(collected)


def _lane_reference(lane: str) -> Reference:
    prefix, colon, _ = lane.partition(":")
    if not colon:
        return Reference(Kind.RUN, run_of(lane) or "")
    kind = {"run": Kind.NAME, "experiment": Kind.EXPERIMENT, "trace": Kind.TRACE}[prefix]
    return Reference(kind, lane if kind is Kind.NAME else entity_id_of(lane))


def _path_references(match: EndpointMatch) -> Iterator[Reference]:
    name = re.search(r"\{(\w+)\}", match.endpoint.path)
    kind = _KINDS.get(_normalized(name[1])) if name else None
    if kind:
        yield Reference(kind, match.path_parameter)


def _query_references(query: str) -> Iterator[Reference]:
    for name, value in _query_pairs(query):
        # Older MLflow servers accept `run_ids[]` and `run_ids[0]` for `run_ids`.
        kind = _KINDS.get(_normalized(re.split(r"[\[\].]", name, maxsplit=1)[0]))
        # An empty id is kept: MLflow may use its default experiment for it.
        if kind:
            yield Reference(kind, value)


def _query_fields(query: str) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for name, value in _query_pairs(query):
        fields[name] = [*fields.get(name, []), value] if name in _LIST_FIELDS else value
    return fields


def _query_pairs(query: str) -> list[tuple[str, str]]:
    if ";" in query:
        raise UnresolvedReference("A `;` in the query must be written as `%3B`.")
    return parse_qsl(query, keep_blank_values=True)


def _artifact_references(match: EndpointMatch, query: str) -> frozenset[Reference]:
    """Return the experiments of artifact paths, which begin with an experiment id, in the path or in the query."""
    paths = [match.path_parameter] if match.path_parameter else []
    paths += [value for name, value in _query_pairs(query) if _normalized(name) == "path"]
    references = set()
    for path in paths:
        parts = path.rstrip("/").split("/")
        # MLflow percent-decodes a path repeatedly, so no escape may remain in it.
        if not {"", ".", ".."}.isdisjoint(parts) or re.search(r"[%\\#?\x00-\x1f]", path):
            raise UnresolvedReference(
                "A path must begin with an experiment id and must not contain `.`, `..` or any of %\\#?."
            )
        references.add(Reference(Kind.EXPERIMENT, parts[0]))
    if not references:
        raise UnresolvedReference("The call must name an artifact path; it begins with the id of the experiment.")
    return frozenset(references)


def _load_and_collect(body: bytes, collected: set[Reference]) -> dict[str, Any]:
    """Return the fields of a JSON body. Collects the ids at any depth, including those of duplicate fields."""

    def collect(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        for name, value in pairs:
            if kind := _KINDS.get(_normalized(name)):
                collected.update(Reference(kind, each) for each in _ids_in(name, value))
            if _LOCATION_TAG in (name, value):
                raise UnresolvedReference(f"A client that is limited to experiments must not set {_LOCATION_TAG}.")
        return dict(pairs)

    try:
        fields = json.loads(body.decode() or "{}", object_pairs_hook=collect)
    except (ValueError, RecursionError) as error:
        raise UnresolvedReference("The body must be a JSON object.") from error
    if not isinstance(fields, dict):
        raise UnresolvedReference("The body must be a JSON object.")
    return fields


def _ids_in(name: str, value: object) -> list[str]:
    if value is None or value == "":
        return []
    ids = value if isinstance(value, list) else [value]
    texts = [each for each in ids if isinstance(each, str)]
    if len(texts) < len(ids):
        raise UnresolvedReference(f"`{name}` must be a string or a list of strings.")
    return texts


def _check_required(rule: ExperimentRule, match: EndpointMatch, fields: Mapping[str, Any]) -> None:
    """Raise unless the call names a required id, in the field and with the type that MLflow reads first."""
    if rule is ExperimentRule.LOCATIONS:
        _check_locations(fields.get("locations"))
        return
    names = _REQUIRED_FIELDS[rule]
    if not any(f"{{{name}}}" in match.endpoint.path or _is_given(name, fields.get(name)) for name in names):
        raise UnresolvedReference(f"The call must name its {' or '.join(names)}.")


def _is_given(name: str, value: object) -> bool:
    return bool(value) and isinstance(value, list if name in _LIST_FIELDS else str)


def _check_locations(locations: object) -> None:
    if not (isinstance(locations, list) and locations and all(_is_experiment(each) for each in locations)):
        raise UnresolvedReference("`locations` must name experiments, by their ids, and nothing else.")


def _is_experiment(location: object) -> bool:
    match location:
        case {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": str(id_), **inner}, **outer}:
            return bool(id_) and not inner and not outer
    return False


def _with_fields_first(body: bytes, names: tuple[str, ...]) -> bytes:
    """Return a body with these fields first: MLflow drops every field after the first invalid one."""
    try:
        fields = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise UnresolvedReference("The body must be a JSON object.") from error
    return msgspec.json.encode({name: fields[name] for name in names if name in fields} | fields)


def _normalized(name: str) -> str:
    """Return the form that all spellings of a name share: ``run_id`` and ``runId`` become ``runid``."""
    return name.replace("_", "").lower()


#: Field names of MLflow for one id or several, normalized.
_KINDS = {
    **dict.fromkeys(("experimentid", "experimentids"), Kind.EXPERIMENT),
    **dict.fromkeys(("runid", "runids", "runuuid", "sourcerunid"), Kind.RUN),
    **dict.fromkeys(("traceid", "traceids", "requestid", "requestids"), Kind.TRACE),
    **dict.fromkeys(("modelid", "modelids"), Kind.MODEL),
}

#: MLflow reads a trace's artifacts from the location in this tag, inside or outside the experiment.
_LOCATION_TAG = "mlflow.artifactLocation"

_REQUIRED_FIELDS: dict[ExperimentRule, tuple[str, ...]] = {
    ExperimentRule.EXPERIMENT: ("experiment_id",),
    ExperimentRule.EXPERIMENTS: ("experiment_ids",),
    ExperimentRule.RUN: ("run_id", "run_uuid"),
    ExperimentRule.RUNS: ("run_ids",),
    ExperimentRule.RUN_OF_QUERY: ("run_uuid",),
    ExperimentRule.RUN_OR_MODEL: ("run_id", "model_id"),
    ExperimentRule.TRACE: ("trace_id", "request_id"),
    ExperimentRule.TRACES: ("trace_ids",),
    ExperimentRule.LOGGED_MODEL: ("model_id",),
}
_LIST_FIELDS = frozenset({"experiment_ids", "run_ids", "trace_ids"})
