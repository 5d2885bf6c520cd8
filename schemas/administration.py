# SPDX-License-Identifier: Apache-2.0
"""The documents of ``/v1/clients``, ``/v1/keys`` and ``/v1/actions``: clients, what they may do, and their keys."""

import datetime as dt
from typing import Annotated, Any, Literal

import msgspec

from schemas.client import ACTIONS, OWN_ACTIONS, Quota, Scope
from schemas.mlflow_limits import EXPERIMENT_ID

KeyKind = Literal["bearer", "sigv4"]

#: With a time zone: the meaning must not depend on the zone of the server.
_Timestamp = Annotated[dt.datetime, msgspec.Meta(tz=True)]
_KnownAction = Annotated[str, msgspec.Meta(extra_json_schema={"enum": sorted(ACTIONS | OWN_ACTIONS)})]
_ExperimentId = Annotated[str, msgspec.Meta(pattern=f"^{EXPERIMENT_ID}$")]
#: A smaller rate than this, other than 0, would have a client wait for days.
MIN_RATE = 0.001
_NO_LIMIT_OR_RATE = {"anyOf": [{"const": 0}, {"minimum": MIN_RATE}]}
_Rate = Annotated[float, msgspec.Meta(ge=0, le=1_000_000, extra_json_schema=_NO_LIMIT_OR_RATE)] | None
_Bandwidth = Annotated[float, msgspec.Meta(ge=0, le=2**53, extra_json_schema=_NO_LIMIT_OR_RATE)] | None
_Bytes = Annotated[int, msgspec.Meta(ge=0, le=2**53)] | None
_LONGEST_OVERLAP_S = 365 * 24 * 3600


class ClientDocument(msgspec.Struct, frozen=True, kw_only=True):
    """A client: what it may do, its limits, and what is known of its use."""

    name: str
    #: How it authenticates: by the prefix of its name, or by the kind of its keys.
    kind: Literal["key", "sigv4", "oidc", "alb"]
    scopes: tuple[Scope, ...]
    allow: tuple[str, ...]
    deny: tuple[str, ...]
    #: The ids of the experiments that it is limited to; null for all.
    experiments: tuple[str, ...] | None
    #: Its own limits. Null: the default of the settings; 0: no limit.
    quota: dict[str, float | None]
    #: How full the bucket of each limit is, from 0 to 1; null without any limit.
    levels: dict[str, float] | None
    pending_bytes: int
    #: How many bytes of it may be pending: its own limit, or that of the settings; null without a limit.
    pending_limit: int | None
    dead_letters: int
    #: The number of its live keys.
    keys: int
    #: The last use of one of its keys; null if there was none, and for a client of tokens.
    last_seen_at: dt.datetime | None
    #: The version of what it may do and of its limits, for ``If-Match``.
    etag: str


class ClientPage(msgspec.Struct, frozen=True, kw_only=True):
    """Clients, by name. ``next`` is the cursor of the following page, null at the end."""

    clients: list[ClientDocument]
    next: str | None = None


class ClientQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which clients to list."""

    cursor: str = ""
    limit: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 100


class NewQuota(Quota, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The limits of a client. Null: the default of the settings; 0: no limit."""

    requests: _Rate = None
    writes: _Rate = None
    bytes: _Bandwidth = None
    pending: _Bytes = None


class ClientSpecification(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of ``PUT /v1/clients/<name>``: all that the client may do, and its limits."""

    scopes: tuple[Scope, ...]
    allow: tuple[_KnownAction, ...] = ()
    deny: tuple[_KnownAction, ...] = ()
    #: The ids of the experiments that it is limited to; null for all.
    experiments: tuple[_ExperimentId, ...] | None = None
    quota: NewQuota = NewQuota()


class PermissionQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The action, and the experiment, about which a permission is asked for."""

    action: str
    experiment_id: str | None = None


class PermissionDocument(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a client may do an action, and by what it is decided."""

    allowed: bool
    because: str


class ActionDocument(msgspec.Struct, frozen=True, kw_only=True):
    """An action that a client can be allowed or denied."""

    action: str
    #: The scope that includes it; null if it must be allowed by name, or by the scope ``admin``.
    scope: Literal["write", "read"] | None
    #: Whether the calls that need it are MLflow's or the bridge's own.
    of: Literal["mlflow", "bridge"]


class ActionList(msgspec.Struct, frozen=True, kw_only=True):
    """All actions, by name."""

    actions: list[ActionDocument]


class KeyDescription(msgspec.Struct, frozen=True, kw_only=True):
    """A key without its secret."""

    key_id: str
    client: str
    kind: KeyKind
    created_at: dt.datetime
    expires_at: dt.datetime | None
    last_used_at: dt.datetime | None


class KeyList(msgspec.Struct, frozen=True, kw_only=True):
    """Keys without their secrets, by client and age."""

    keys: list[KeyDescription]


class KeyQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which keys to list."""

    client: str | None = None


class KeyOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of ``POST /v1/clients/<name>/keys``."""

    kind: KeyKind = "bearer"
    #: Null: it does not expire.
    expires_at: _Timestamp | None = None


class RotationOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Body of ``POST /v1/keys/<key_id>/rotate``."""

    #: For how many seconds the old key still works.
    overlap: Annotated[float, msgspec.Meta(ge=0, le=_LONGEST_OVERLAP_S)] = 86_400
    #: When the new key expires. Null: it does not.
    expires_at: _Timestamp | None = None


class NewKey(msgspec.Struct, frozen=True, kw_only=True):
    """A new key with its secret, which is in no later response."""

    key_id: str
    client: str
    kind: KeyKind
    #: What the client sends; of a key that signs, ``AWS_SECRET_ACCESS_KEY``.
    secret: str
    created_at: dt.datetime
    expires_at: dt.datetime | None

    def __repr__(self) -> str:
        return f"NewKey(key_id={self.key_id!r}, client={self.client!r}, secret='***')"


def quota_document(quota: Quota) -> dict[str, Any]:
    """Return all limits of a quota, null for those that it does not have."""
    return {name: getattr(quota, name) for name in quota.__struct_fields__}
