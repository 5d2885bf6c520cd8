# SPDX-License-Identifier: Apache-2.0
"""Clients of the bridge: scopes, allowed and denied actions, quotas.

Actions have the names of SageMaker's IAM actions (``LogMetric``, ``DeleteRun``,
https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonsagemakerwithmlflow.html). A call without
an IAM action has a name of the same form. For an MLflow App, IAM has a single action for all calls; the bridge allows
or denies each one.
"""

import datetime as dt
import enum
import re
from functools import cache
from typing import Annotated

import msgspec

from schemas.endpoints import ENDPOINTS, EndpointMatch, endpoint_of
from schemas.write import Op

#: Bytes. Stands for "no limit" where the store compares numbers.
UNBOUNDED = 2**53


class Scope(enum.StrEnum):
    """A group of actions. A client needs no ``allow`` entry for the actions of its scopes."""

    #: Log: runs, experiments, metrics, params, tags, artifacts, traces, models of runs. No deletes, no registry.
    WRITE = "write"
    #: Read all of that, the registry and the UI.
    READ = "read"
    #: Every action that is not denied, including those of operators.
    ADMIN = "admin"


class Rule(msgspec.Struct, frozen=True):
    """The permission that a call requires."""

    action: str
    #: The scope that includes the action. None: the client needs an ``allow`` entry or the scope ``admin``.
    scope: Scope | None = None


Action = Annotated[str, msgspec.Meta(pattern=r"^[A-Z][A-Za-z]{1,63}$")]


class Quota(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The rate limits of a client. None: the default of the settings; 0: no limit."""

    #: Per second: requests, accepted writes, bytes of request bodies.
    requests: float | None = None
    writes: float | None = None
    bytes: float | None = None
    #: Bytes of pending writes.
    pending: int | None = None
    #: Tokens of MLflow's AI Gateway in a day (UTC). It has no default.
    tokens_per_day: int | None = None

    def per_second(self, default: "Quota") -> dict[str, float | None]:
        """Return the rates, with the default's where this quota has none. None or 0: no limit."""
        return {
            "requests": default.requests if self.requests is None else self.requests,
            "writes": default.writes if self.writes is None else self.writes,
            "bytes": default.bytes if self.bytes is None else self.bytes,
        }


class Client(msgspec.Struct, frozen=True, kw_only=True):
    """An authenticated client and its permissions. ``deny`` takes precedence over ``allow`` and scopes."""

    name: str
    scopes: tuple[Scope, ...] = (Scope.WRITE, Scope.READ)
    allow: tuple[Action, ...] = ()
    deny: tuple[Action, ...] = ()
    quota: Quota = Quota()
    #: The ids of the experiments that it is limited to. None: all. Operators are never limited.
    experiments: frozenset[str] | None = None

    @property
    def is_operator(self) -> bool:
        """Whether it sees the jobs and dead letters of other clients."""
        return Scope.ADMIN in self.scopes

    @property
    def most_pending(self) -> int | None:
        """The limit on its pending bytes. None: the default of the settings. A quota of 0 is no limit."""
        return UNBOUNDED if self.quota.pending == 0 else self.quota.pending

    def may(self, rule: Rule) -> bool:
        """Return whether its scopes, ``allow`` and ``deny`` permit the action."""
        if rule.action in self.deny:
            return False
        return rule.scope in self.scopes or rule.action in self.allow or self.is_operator


class KeyDocument(msgspec.Struct, frozen=True, kw_only=True):
    """An API key without its secret."""

    key_id: str
    client: str
    created_at: dt.datetime
    expires_at: dt.datetime | None = None
    last_used_at: dt.datetime | None = None


#: Every client, where authentication is off.
ANYBODY = Client(name="anonymous", scopes=(Scope.ADMIN,))

#: A client without valid credentials. It has no permissions.
UNAUTHENTICATED = Client(name="unauthenticated", scopes=())

CLIENT_NAME_PATTERN = "[A-Za-z0-9][A-Za-z0-9_.@|:+-]{0,127}"
_CLIENT_NAME = re.compile(CLIENT_NAME_PATTERN)


def is_client_name(name: str) -> bool:
    """Return whether the name is valid and not reserved. Logs, headers and index lines hold it unescaped."""
    return bool(_CLIENT_NAME.fullmatch(name)) and name not in (ANYBODY.name, UNAUTHENTICATED.name)


def rule_for_upstream(match: EndpointMatch | None, method: str) -> Rule:
    """Return the permission for a call of MLflow's. An unknown call requires ``read``, or ``admin`` if it may write."""
    if match:
        return _rule(match.endpoint.action, match.endpoint.grant)
    return Rule("CallUnknown", Scope.READ if method in ("GET", "HEAD", "OPTIONS") else None)


def rule_of_op(op: Op) -> Rule:
    """Return the permission for a write, for MLflow's own path and ``POST /v1/writes`` alike."""
    if op is Op.CREATE_RUN:
        return Rule("CreateRun", Scope.WRITE)
    endpoint = endpoint_of(op)
    return _rule(endpoint.action, endpoint.grant)


# Cached: each request needs one.
@cache
def _rule(action: str, grant: str) -> Rule:
    return Rule(action, None if grant == "-" else Scope(grant))


#: The actions of MLflow's calls.
ACTIONS = frozenset(endpoint.action for endpoint in ENDPOINTS) | {"CallUnknown"}

#: The actions that only routes of the bridge's own need.
OWN_ACTIONS = frozenset(
    {
        "GetMetrics",
        "GetJob",
        "GetBacklog",
        "AttemptLane",
        "GetWorkers",
        "GetDeadLetter",
        "ReplayDeadLetter",
        "DiscardDeadLetter",
        "DrainDeadLetters",
        "ListSessions",
        "EndSession",
        "GetUpstream",
        "ManageUpstream",
        "GetClient",
        "ManageClients",
        "ManageKeys",
        "GetAudit",
        "GetUsage",
    }
)
