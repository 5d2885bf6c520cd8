# SPDX-License-Identifier: Apache-2.0
"""Every call of MLflow's REST API that is known, and what the bridge does with it: the table in ``endpoints.tsv``.

Its columns:

* ``method``, ``path``: with ``{name}`` for a part that varies; one named ``path``, or that ends so, may hold slashes.
* ``under``: ``ajax`` where MLflow serves the call under ``/ajax-api`` as well as under ``/api``.
* ``kind``: ``read``, ``write`` or ``stream`` (an answer, or a body, that can be long).
* ``answer``: ``queued``, ``proxied`` or ``refused``.
* ``op``: of a queued call, the write that it becomes (`schemas.write.Op`).
* ``lane``: of a queued call, what orders it (`schemas.lane`); of a proxied one, the undelivered writes that it waits
  for: those of the runs that it is about (``named``), or whatever its client has written lately (``recent``).
* ``again``: what a second delivery comes to: nothing new (``same``), another thing of the kind (``another``), or a
  refusal of this status; ``-`` where it is not known, and the bridge sends nothing twice.

* ``action``: what it is called where it is decided who may do what (`schemas.client`): the word of SageMaker's IAM
  where it has one, else the name of MLflow's RPC, else one of the same form.
* ``grant``: the scope that holds it, ``write`` or ``read``; ``-`` where it must be allowed by name.
* ``within``: what the call must name for it to be known which experiments it is about (`schemas.bodies.references`).

A call that is not in the table is proxied.
"""

import csv
import re
from collections import defaultdict
from collections.abc import Iterator
from enum import StrEnum
from functools import cache
from importlib.resources import files

import msgspec

from schemas.write import Op


class Handling(StrEnum):
    """What the bridge does with a call."""

    QUEUED = "queued"
    PROXIED = "proxied"
    #: MLflow takes it from its own host only, or it is not meant for clients; through the bridge it would be open.
    REFUSED = "refused"


class AwaitedLanes(StrEnum):
    """Which undelivered writes a proxied call waits for."""

    NAMED = "named"
    RECENT = "recent"
    NONE = "-"


class ExperimentRule(StrEnum):
    """What a call must name for a client who is limited to experiments, see `schemas.bodies.references`."""

    EXPERIMENT = "experiment"
    EXPERIMENTS = "experiments"
    #: Experiments, as places where traces are.
    LOCATIONS = "locations"
    RUN = "run"
    RUNS = "runs"
    #: A run, in the query, also where there is a body.
    RUN_OF_QUERY = "run-of-query"
    RUN_OR_MODEL = "run-or-model"
    TRACE = "trace"
    TRACES = "traces"
    LOGGED_MODEL = "logged-model"
    #: A path among MLflow's artifacts, which begins with the id of the experiment.
    ARTIFACT_PATH = "artifact-path"
    #: Nothing: it tells of no experiment, and changes nothing.
    HARMLESS = "harmless"
    #: It is not for such clients: what it is about can't be told from the call, or is no experiment's.
    REFUSED = "-"


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """A row of the table."""

    method: str
    path: str
    under: str
    kind: str
    answer: Handling
    op: str
    lane: str
    again: str
    action: str
    grant: str
    within: ExperimentRule

    @property
    def paths(self) -> tuple[str, ...]:
        """The paths at which MLflow serves it."""
        return (self.path, "/ajax-api" + self.path.removeprefix("/api")) if self.under == "ajax" else (self.path,)

    @property
    def waits(self) -> AwaitedLanes:
        """What it waits for, if it is proxied."""
        return AwaitedLanes(self.lane) if self.answer is Handling.PROXIED else AwaitedLanes.NONE


class EndpointMatch(msgspec.Struct, frozen=True):
    """The row of a call, and what varies in its path."""

    endpoint: Endpoint
    #: The write that it becomes, if it is queued.
    op: Op | None = None
    #: The first part that varies, decoded; empty if none does.
    subject: str = ""


#: Where OpenTelemetry's exporters send spans (https://opentelemetry.io/docs/specs/otlp/#otlphttp-request).
OTLP_PATH = "/v1/traces"


#: Everything below is refused, whatever MLflow may come to have there.
_ASSISTANT = "/ajax-api/3.0/mlflow/assistant"


def is_refused(found: EndpointMatch | None, path: str) -> bool:
    """Return whether a call is not to be passed on."""
    return path.startswith(_ASSISTANT) or (found is not None and found.endpoint.answer is Handling.REFUSED)


def find(method: str, path: str) -> EndpointMatch | None:
    """Return the row of this call, None for one that is not known. A HEAD has the row of the GET that it stands for."""
    method = "GET" if method == "HEAD" else method
    found = _EXACT.get((method, path))
    if found:
        return found
    for pattern, endpoint in _PATTERNS.get(method, ()):
        if match := pattern.fullmatch(path):
            return EndpointMatch(endpoint, _op(endpoint), match[1])
    return None


def only_reads(method: str, path: str) -> bool:
    """Return whether a call changes nothing, so that it may be made again; not so where that is not known."""
    if method in ("GET", "HEAD", "OPTIONS"):
        return True
    found = find(method, path)
    return found is not None and found.endpoint.kind == "read"


@cache
def endpoint_of(op: Op) -> Endpoint:
    """Return the call with which a write of this kind is delivered. ``create-run`` is none of MLflow's own."""
    return next(endpoint for endpoint in ENDPOINTS if endpoint.op == op)


def was_done_before(op: Op, status: int, error_code: str, message: str) -> bool:
    """Return whether this refusal of a call that may have arrived before means that it did.

    MLflow deletes a tag and stores outputs only once, and complains of the second time; every other queued call it
    takes again without a word.
    """
    match op:
        case Op.DELETE_TAG | Op.DELETE_EXPERIMENT_TAG | Op.DELETE_TRACE_TAG:
            absent = message.startswith(("No tag with name", "No trace tag with key"))
            return status == 404 and error_code == "RESOURCE_DOES_NOT_EXIST" and absent
        case Op.LOG_OUTPUTS:
            # In the words of SQLite and PostgreSQL, or of MySQL.
            stored = any(word in message.upper() for word in ("UNIQUE", "DUPLICATE"))
            return status == 400 and error_code == "BAD_REQUEST" and stored
    return False


def may_be_early(op: Op, status: int, error_code: str, message: str) -> bool:
    """Return whether this refusal may only mean that the trace, which goes another way, has not arrived yet."""
    match op:
        case Op.SET_TRACE_TAG:
            return status == 400 and error_code == "BAD_REQUEST" and "FOREIGN KEY" in message.upper()
        case Op.LINK_PROMPTS:
            return status == 404 and error_code == "RESOURCE_DOES_NOT_EXIST"
    return False


def _read() -> Iterator[Endpoint]:
    table = files(__package__).joinpath("endpoints.tsv").read_text(encoding="utf-8")
    for row in csv.DictReader(table.splitlines(), delimiter="\t"):
        yield msgspec.convert(row, Endpoint)


def _op(endpoint: Endpoint) -> Op | None:
    return Op(endpoint.op) if endpoint.answer is Handling.QUEUED else None


def _pattern(path: str) -> re.Pattern[str]:
    parts = re.split(r"\{(\w+)\}", path)
    # Each second one is a name.
    return re.compile(
        "".join(
            re.escape(part) if number % 2 == 0 else "(.+)" if part.endswith("path") else "([^/]+)"
            for number, part in enumerate(parts)
        )
    )


#: The whole table, and what of it is queued.
ENDPOINTS = tuple(_read())

_EXACT = {
    (endpoint.method, path): EndpointMatch(endpoint, _op(endpoint))
    for endpoint in ENDPOINTS
    for path in endpoint.paths
    if "{" not in path
}
_PATTERNS: defaultdict[str, list[tuple[re.Pattern[str], Endpoint]]] = defaultdict(list)
for _endpoint in ENDPOINTS:
    for _path in _endpoint.paths:
        if "{" in _path:
            _PATTERNS[_endpoint.method].append((_pattern(_path), _endpoint))

QUEUED = tuple(endpoint for endpoint in ENDPOINTS if endpoint.answer is Handling.QUEUED)
