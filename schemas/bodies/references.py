# SPDX-License-Identifier: Apache-2.0
"""What a call is about: the experiments, runs, traces and models that it names.

For a client who is limited to experiments, everything that a call names must be his, wherever and under whichever
spelling it is named; so it does not matter which of several ids MLflow would take. The column ``within`` of the table
of endpoints says what must be named at all, and in which place: MLflow takes a call that names nothing for one about
its default experiment.
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
from schemas.lane import run_of
from schemas.lane import subject as id_of
from schemas.write import Op, Write

#: An id that MLflow may have given: others are not asked for, for they could name another path.
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_:-]{0,255}")


class Kind(StrEnum):
    """What can be within an experiment."""

    EXPERIMENT = "experiment"
    RUN = "run"
    TRACE = "trace"
    MODEL = "model"
    #: A run by the name that its client has given it; its id is its lane.
    NAME = "name"
    #: The same, where the run is only asked for, so that there need not be one.
    NEW_NAME = "new-name"


class Reference(NamedTuple):
    """One thing that is named."""

    kind: Kind
    id: str

    @property
    def is_possible(self) -> bool:
        """Whether there can be such a thing."""
        return bool(_ID.fullmatch(self.id))


class UnresolvedReference(Exception):
    """A call does not say what it is about, or not so that it can be told for sure; the text says what to do."""


@dataclass(frozen=True, slots=True)
class References:
    """What a call names, and its body as it is to be sent on, which begins with that."""

    subjects: frozenset[Reference]
    body: bytes = field(default=b"", repr=False)


def references_in_call(found: EndpointMatch, query: str, body: bytes) -> References:
    """Return what a proxied call names, or raise ``UnresolvedReference``: a GET in its query, others in their body."""
    within, in_query = found.endpoint.within, has_ids_in_query(found)
    if within is ExperimentRule.ARTIFACT_PATH:
        return References(_of_artifact_path(found, query))
    collected = {*_of_path(found), *_of_query(query)}
    if in_query:
        _check_named(within, found, _query_fields(query))
        return References(frozenset(collected))
    fields = _loaded(body, collected)
    _check_named(within, found, fields)
    return References(frozenset(collected), _with_first(body, _MUST.get(within, ("locations",))) if body else b"")


def has_ids_in_query(found: EndpointMatch) -> bool:
    """Return whether what a call is about stands in its query, or in its path, so that its body need not be read."""
    endpoint = found.endpoint
    return endpoint.method == "GET" or endpoint.within in (ExperimentRule.RUN_OF_QUERY, ExperimentRule.ARTIFACT_PATH)


def references_in_write(write: Write) -> frozenset[Reference]:
    """Return what a write is about, and what it names besides, or raise ``UnresolvedReference``."""
    if write.op is Op.CREATE_RUN:
        asked = msgspec.json.decode(write.whole, type=CreateRun)
        if asked.experiment_name is not None:
            raise UnresolvedReference("Name the experiment by its experiment_id.")
        named = Reference(Kind.NEW_NAME, write.lane)
        return frozenset({Reference(Kind.EXPERIMENT, asked.experiment_id or DEFAULT_EXPERIMENT), named})
    if endpoint_of(write.op).within is ExperimentRule.REFUSED:
        raise UnresolvedReference
    collected = {_of_lane(write.lane)}
    if write.whole:
        _loaded(write.whole, collected)
    elif b'"model_id"' in write.metrics.json:
        _loaded(b'{"metrics":[%b]}' % write.metrics.json, collected)
    return frozenset(collected)


def _of_lane(lane: str) -> Reference:
    word, colon, _ = lane.partition(":")
    if not colon:
        return Reference(Kind.RUN, run_of(lane) or "")
    kind = {"run": Kind.NAME, "experiment": Kind.EXPERIMENT, "trace": Kind.TRACE}[word]
    return Reference(kind, lane if kind is Kind.NAME else id_of(lane))


def _of_path(found: EndpointMatch) -> Iterator[Reference]:
    name = re.search(r"\{(\w+)\}", found.endpoint.path)
    kind = _KINDS.get(_plain(name[1])) if name else None
    if kind:
        yield Reference(kind, found.subject)


def _of_query(query: str) -> Iterator[Reference]:
    for name, value in _pairs(query):
        # Older servers read `run_ids[]` and `run_ids[0]` as `run_ids`.
        kind = _KINDS.get(_plain(re.split(r"[\[\].]", name, maxsplit=1)[0]))
        # An empty one counts, too: MLflow may take it for its default.
        if kind:
            yield Reference(kind, value)


def _query_fields(query: str) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for name, value in _pairs(query):
        fields[name] = [*fields.get(name, []), value] if name in _LISTS else value
    return fields


def _pairs(query: str) -> list[tuple[str, str]]:
    if ";" in query:
        raise UnresolvedReference("A `;` in the query must be written as `%3B`.")
    return parse_qsl(query, keep_blank_values=True)


def _of_artifact_path(found: EndpointMatch, query: str) -> frozenset[Reference]:
    """Return the experiments with whose ids the paths begin, in the path of the call or in its query."""
    paths = [found.subject] if found.subject else []
    paths += [value for name, value in _pairs(query) if _plain(name) == "path"]
    subjects = set()
    for path in paths:
        parts = path.rstrip("/").split("/")
        # MLflow decodes a path until there is nothing more to decode.
        if not {"", ".", ".."}.isdisjoint(parts) or re.search(r"[%\\#?\x00-\x1f]", path):
            raise UnresolvedReference("A path must begin with the id of an experiment, and have no odd characters.")
        subjects.add(Reference(Kind.EXPERIMENT, parts[0]))
    if not subjects:
        raise UnresolvedReference("The path of an artifact must be given; it begins with the id of its experiment.")
    return frozenset(subjects)


def _loaded(body: bytes, collected: set[Reference]) -> dict[str, Any]:
    """Return the fields of a JSON body, and collect what is named at any depth of it, also what is named twice."""

    def collect(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        for name, value in pairs:
            if kind := _KINDS.get(_plain(name)):
                collected.update(Reference(kind, each) for each in _ids(name, value))
            if _ELSEWHERE in (name, value):
                raise UnresolvedReference(f"A client who is limited to experiments may not name {_ELSEWHERE}.")
        return dict(pairs)

    try:
        fields = json.loads(body.decode() or "{}", object_pairs_hook=collect)
    except (ValueError, RecursionError) as error:
        raise UnresolvedReference("The body must be a JSON object.") from error
    if not isinstance(fields, dict):
        raise UnresolvedReference("The body must be a JSON object.")
    return fields


def _ids(name: str, value: object) -> list[str]:
    if value is None or value == "":
        return []
    ids = value if isinstance(value, list) else [value]
    texts = [each for each in ids if isinstance(each, str)]
    if len(texts) < len(ids):
        raise UnresolvedReference(f"`{name}` must be a text, or a list of texts.")
    return texts


def _check_named(within: ExperimentRule, found: EndpointMatch, fields: Mapping[str, Any]) -> None:
    """Raise unless what must be named is, under the name and with the type with which MLflow reads it first."""
    if within is ExperimentRule.LOCATIONS:
        _check_locations(fields.get("locations"))
        return
    names = _MUST[within]
    if not any(f"{{{name}}}" in found.endpoint.path or _is_given(name, fields.get(name)) for name in names):
        raise UnresolvedReference(f"The call must say which it is about: {' or '.join(names)}.")


def _is_given(name: str, value: object) -> bool:
    return bool(value) and isinstance(value, list if name in _LISTS else str)


def _check_locations(locations: object) -> None:
    if not (isinstance(locations, list) and locations and all(_is_experiment(each) for each in locations)):
        raise UnresolvedReference("`locations` must name experiments, by their ids, and nothing else.")


def _is_experiment(location: object) -> bool:
    match location:
        case {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": str(named), **inner}, **outer}:
            return bool(named) and not inner and not outer
    return False


def _with_first(body: bytes, names: tuple[str, ...]) -> bytes:
    """Return a body with these fields first: MLflow reads up to one that is wrong, and goes on without the rest."""
    try:
        fields = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise UnresolvedReference("The body must be a JSON object.") from error
    return msgspec.json.encode({name: fields[name] for name in names if name in fields} | fields)


def _plain(name: str) -> str:
    """Return a name as it is in each of its spellings: ``run_id``, ``runId``."""
    return name.replace("_", "").lower()


#: By the plain form of each name under which MLflow knows one, or several.
_KINDS = {
    **dict.fromkeys(("experimentid", "experimentids"), Kind.EXPERIMENT),
    **dict.fromkeys(("runid", "runids", "runuuid", "sourcerunid"), Kind.RUN),
    **dict.fromkeys(("traceid", "traceids", "requestid", "requestids"), Kind.TRACE),
    **dict.fromkeys(("modelid", "modelids"), Kind.MODEL),
}

#: By this tag MLflow finds what belongs to a trace, wherever that is.
_ELSEWHERE = "mlflow.artifactLocation"

_MUST: dict[ExperimentRule, tuple[str, ...]] = {
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
_LISTS = frozenset({"experiment_ids", "run_ids", "trace_ids"})
