# SPDX-License-Identifier: Apache-2.0
"""The endpoints of MLflow's REST API and how the bridge handles each: the table ``endpoints.tsv``.

An endpoint that is not in the table is proxied. The columns:

* ``method``, ``path``: a path parameter is written ``{name}``. If its name ends in ``path``, it may contain slashes.
* ``under``: ``ajax`` where MLflow serves the endpoint below ``/ajax-api`` as well as below ``/api``.
* ``kind``: ``read``, ``write`` or ``stream`` (its response or request body can be long).
* ``answer``: ``queued``, ``proxied`` or ``refused`` (`Handling`).
* ``op``: for a queued call, the write that it becomes (`schemas.write.Op`).
* ``lane``: for a queued call, the kind of its lane (`schemas.lane`). For a proxied call, the undelivered writes that it
  waits for (`AwaitedLanes`).
* ``again``: the effect of a second delivery. ``same``: none. ``another``: a second entity. A status: MLflow refuses it
  with that status. ``-``: not known. It documents the call and is checked by tests; `was_done_before` decides.
* ``action``: the name of the permission (`schemas.client`): that of SageMaker's IAM, else of MLflow's RPC, else one of
  the same form.
* ``grant``: the scope that includes the action, ``write`` or ``read``. ``-``: only an ``allow`` entry permits it.
* ``within``: the ids that a call of a client with experiment limits must name (`ExperimentRule`).
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
    """How the bridge handles a call."""

    #: Validated, stored and answered at once; a worker delivers it later.
    QUEUED = "queued"
    #: Forwarded while the client waits.
    PROXIED = "proxied"
    #: Answered with an error. MLflow accepts such calls from its own host only; the bridge would open them to clients.
    REFUSED = "refused"


class AwaitedLanes(StrEnum):
    """The lanes that a proxied call waits for (read your writes)."""

    #: Those of the runs, experiments and traces that the call names.
    NAMED = "named"
    #: Those that its client has recently written to: the call is a search.
    RECENT = "recent"
    NONE = "-"


class ExperimentRule(StrEnum):
    """The ids that a call must name if its client is limited to experiments (`schemas.bodies.references`)."""

    EXPERIMENT = "experiment"
    EXPERIMENTS = "experiments"
    #: Experiments, as MLflow's trace locations.
    LOCATIONS = "locations"
    RUN = "run"
    RUNS = "runs"
    #: A run in the query string, even if the call has a body.
    RUN_OF_QUERY = "run-of-query"
    RUN_OR_MODEL = "run-or-model"
    TRACE = "trace"
    TRACES = "traces"
    LOGGED_MODEL = "logged-model"
    #: The path of an artifact, which begins with the id of its experiment.
    ARTIFACT_PATH = "artifact-path"
    #: None: the call reveals nothing about experiments and changes nothing.
    HARMLESS = "harmless"
    #: Forbidden for such clients: the call does not show which experiment it refers to, or refers to none.
    REFUSED = "-"


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """A row of the table; its fields are the columns above."""

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
        """The path patterns at which MLflow serves the endpoint."""
        return (self.path, "/ajax-api" + self.path.removeprefix("/api")) if self.under == "ajax" else (self.path,)

    @property
    def waits(self) -> AwaitedLanes:
        """The writes that a proxied call waits for; a queued call never waits."""
        return AwaitedLanes(self.lane) if self.answer is Handling.PROXIED else AwaitedLanes.NONE


class EndpointMatch(msgspec.Struct, frozen=True):
    """A call matched with its endpoint."""

    endpoint: Endpoint
    #: For a queued call, the write that it becomes.
    op: Op | None = None
    #: The value of the first path parameter, percent-decoded; empty if the path has none.
    path_parameter: str = ""


#: Where OpenTelemetry's exporters send spans (https://opentelemetry.io/docs/specs/otlp/#otlphttp-request).
OTLP_PATH = "/v1/traces"

#: Refused with everything below it, including endpoints of future MLflow versions.
_ASSISTANT_PATH = "/ajax-api/3.0/mlflow/assistant"


def is_refused(match: EndpointMatch | None, path: str) -> bool:
    """Return whether the bridge refuses to forward a call."""
    return path.startswith(_ASSISTANT_PATH) or (match is not None and match.endpoint.answer is Handling.REFUSED)


def find_endpoint(method: str, path: str) -> EndpointMatch | None:
    """Return the endpoint of a call, None if it is not in the table. HEAD is matched as GET."""
    method = "GET" if method == "HEAD" else method
    exact = _EXACT.get((method, path))
    if exact:
        return exact
    for pattern, endpoint in _PATTERNS.get(method, ()):
        if match := pattern.fullmatch(path):
            return EndpointMatch(endpoint, _op(endpoint), match[1])
    return None


def is_read_only(method: str, path: str) -> bool:
    """Return whether a call is known to change nothing, so that it can be retried."""
    if method in ("GET", "HEAD", "OPTIONS"):
        return True
    match = find_endpoint(method, path)
    return match is not None and match.endpoint.kind == "read"


@cache
def endpoint_of(op: Op) -> Endpoint:
    """Return the endpoint that delivers writes of this kind. ``create-run`` has none: MLflow has no such call."""
    return next(endpoint for endpoint in ENDPOINTS if endpoint.op == op)


def was_done_before(op: Op, status: int, error_code: str, message: str) -> bool:
    """Return whether a refused redelivery means that the first delivery succeeded.

    MLflow refuses to delete a tag twice or to store the same outputs twice. It accepts every other queued call again.
    """
    match op:
        case Op.DELETE_TAG | Op.DELETE_EXPERIMENT_TAG | Op.DELETE_TRACE_TAG:
            is_absent = message.startswith(("No tag with name", "No trace tag with key"))
            return status == 404 and error_code == "RESOURCE_DOES_NOT_EXIST" and is_absent
        case Op.LOG_OUTPUTS:
            # SQLite and PostgreSQL say UNIQUE, MySQL says DUPLICATE.
            is_stored = any(word in message.upper() for word in ("UNIQUE", "DUPLICATE"))
            return status == 400 and error_code == "BAD_REQUEST" and is_stored
    return False


def may_precede_trace(op: Op, status: int, error_code: str, message: str) -> bool:
    """Return whether a refused write may be ahead of its trace: spans are delivered in a lane of their own."""
    match op:
        case Op.SET_TRACE_TAG:
            return status == 400 and error_code == "BAD_REQUEST" and "FOREIGN KEY" in message.upper()
        case Op.LINK_PROMPTS:
            return status == 404 and error_code == "RESOURCE_DOES_NOT_EXIST"
    return False


def _rows() -> Iterator[Endpoint]:
    table = files(__package__).joinpath("endpoints.tsv").read_text(encoding="utf-8")
    for row in csv.DictReader(table.splitlines(), delimiter="\t"):
        yield msgspec.convert(row, Endpoint)


def _op(endpoint: Endpoint) -> Op | None:
    return Op(endpoint.op) if endpoint.answer is Handling.QUEUED else None


def _pattern(path: str) -> re.Pattern[str]:
    parts = re.split(r"\{(\w+)\}", path)
    # `re.split` with a group: every second part is the name of a parameter.
    return re.compile(
        "".join(
            re.escape(part) if number % 2 == 0 else "(.+)" if part.endswith("path") else "([^/]+)"
            for number, part in enumerate(parts)
        )
    )


ENDPOINTS = tuple(_rows())

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
