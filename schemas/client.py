# SPDX-License-Identifier: Apache-2.0
"""Who asks, and what he may do.

An action is named in the words of SageMaker's IAM (``LogMetric``, ``DeleteRun``,
https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonsagemakerwithmlflow.html), or in words
like them where IAM has none. On an MLflow App, IAM knows one action for everything; here each is allowed or denied.
"""

import datetime as dt
import enum
import re
from functools import cache
from typing import Annotated

import msgspec

from schemas.endpoints import ENDPOINTS, EndpointMatch, endpoint_of
from schemas.write import Op

#: More bytes than there are.
UNBOUNDED = 2**53


class Scope(enum.StrEnum):
    """What a client may do without being allowed it by name."""

    #: Log: runs, experiments, metrics, params, tags, artifacts, traces, models of runs. No deletes, no registry.
    WRITE = "write"
    #: Read all of that, and the registry, and look at the UI.
    READ = "read"
    #: Everything that is not denied, and what operators do.
    ADMIN = "admin"


class Rule(msgspec.Struct, frozen=True):
    """What one call needs."""

    action: str
    #: The scope that holds the action, None where it must be allowed by name, or to an admin.
    scope: Scope | None = None


Action = Annotated[str, msgspec.Meta(pattern=r"^[A-Z][A-Za-z]{1,63}$")]


class Quota(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How much a client may use. None: what the settings say; 0: as much as it likes."""

    #: Units a second: requests, accepted writes, bytes of bodies.
    requests: float | None = None
    writes: float | None = None
    bytes: float | None = None
    #: Bytes of writes that wait to be delivered.
    pending: int | None = None

    def per_second(self, default: "Quota") -> dict[str, float | None]:
        """Return the limit on each use, or else the default's; None or 0 for none."""
        return {
            "requests": default.requests if self.requests is None else self.requests,
            "writes": default.writes if self.writes is None else self.writes,
            "bytes": default.bytes if self.bytes is None else self.bytes,
        }


class Client(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody who is known, and what he may do. What is denied counts before what is allowed."""

    name: str
    scopes: tuple[Scope, ...] = (Scope.WRITE, Scope.READ)
    allow: tuple[Action, ...] = ()
    deny: tuple[Action, ...] = ()
    quota: Quota = Quota()
    #: The ids of the experiments that he is limited to, None for all. Operators never are.
    experiments: frozenset[str] | None = None

    @property
    def is_operator(self) -> bool:
        """Whether he sees what belongs to other clients."""
        return Scope.ADMIN in self.scopes

    @property
    def most_pending(self) -> int | None:
        """How many bytes of his writes may wait, None for what is so for all; 0 as a quota is no limit."""
        return UNBOUNDED if self.quota.pending == 0 else self.quota.pending

    def may(self, rule: Rule) -> bool:
        """Return whether he may do this."""
        if rule.action in self.deny:
            return False
        return rule.scope in self.scopes or rule.action in self.allow or self.is_operator


class KeyDocument(msgspec.Struct, frozen=True, kw_only=True):
    """What may be shown of a key: everything but its secret."""

    key_id: str
    client: str
    created_at: dt.datetime
    expires_at: dt.datetime | None = None
    last_used_at: dt.datetime | None = None


#: Everybody, where nobody has to say who he is.
ANYBODY = Client(name="anonymous", scopes=(Scope.ADMIN,))

#: Somebody of whom nothing is known, and who may do nothing.
UNAUTHENTICATED = Client(name="unauthenticated", scopes=())

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.@|:+-]{0,127}")


def is_client_name(name: str) -> bool:
    """Return whether a client may be called so; lanes, logs and index lines hold the name as it is."""
    return bool(_NAME.fullmatch(name)) and name not in (ANYBODY.name, UNAUTHENTICATED.name)


def rule_for_upstream(found: EndpointMatch | None, method: str) -> Rule:
    """Return what a call of MLflow's needs. Of one that is not known: reading, or else to be allowed everything."""
    if found:
        return _rule(found.endpoint.action, found.endpoint.grant)
    return Rule("CallUnknown", Scope.READ if method in ("GET", "HEAD", "OPTIONS") else None)


def rule_of_op(op: Op) -> Rule:
    """Return what a write of this kind needs, whichever way it comes."""
    if op is Op.CREATE_RUN:
        return Rule("CreateRun", Scope.WRITE)
    endpoint = endpoint_of(op)
    return _rule(endpoint.action, endpoint.grant)


# Asked of each request.
@cache
def _rule(action: str, grant: str) -> Rule:
    return Rule(action, None if grant == "-" else Scope(grant))


#: Every action that one of MLflow's calls needs.
ACTIONS = frozenset(endpoint.action for endpoint in ENDPOINTS) | {"CallUnknown"}

#: The actions that only routes of the bridge's own need.
OWN_ACTIONS = frozenset(
    {
        "GetMetrics",
        "GetJob",
        "GetBacklog",
        "GetDeadLetter",
        "ReplayDeadLetter",
        "DiscardDeadLetter",
        "DrainDeadLetters",
    }
)
