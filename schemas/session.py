# SPDX-License-Identifier: Apache-2.0
"""The documents of a browser's session, and of what belongs to the client that asks."""

import datetime as dt
from typing import Literal

import msgspec

from schemas.client import Scope


class SignInMethods(msgspec.Struct, frozen=True, kw_only=True):
    """How a browser can sign in."""

    key: bool
    oidc: bool


class SessionDocument(msgspec.Struct, frozen=True, kw_only=True):
    """Who the browser is signed in as, and what the client may do."""

    signed_in: bool
    sign_in: SignInMethods
    #: The version of the bridge.
    version: str
    #: The name of this bridge, BRIDGE_LABEL.
    label: str | None = None
    #: BRIDGE_CONSOLE_HOST, the host name for operators alone.
    console_host: str | None = None
    client: str | None = None
    #: The name by which the page calls the client.
    display: str | None = None
    via: Literal["none", "key", "oidc", "alb"] | None = None
    scopes: tuple[Scope, ...] = ()
    #: The bridge's own actions that the client may do.
    actions: tuple[str, ...] = ()
    #: The ids of the experiments that the client is limited to; null for all.
    experiments: tuple[str, ...] | None = None
    #: Whether the client may write nothing.
    read_only: bool = False
    signed_in_at: dt.datetime | None = None
    #: Null where the session is not the bridge's.
    ends_at: dt.datetime | None = None


class KeySignIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An API key to sign in with."""

    key: str

    def __repr__(self) -> str:
        return "KeySignIn(key='***')"


class SignedOutDocument(msgspec.Struct, frozen=True, kw_only=True):
    """The session is ended."""

    #: Where the browser also ends its session at the provider; null if there is no such page.
    end_session_url: str | None = None


class SessionSummary(msgspec.Struct, frozen=True, kw_only=True):
    """A browser session, for operators."""

    session_id: str
    client: str
    display: str
    via: str
    signed_in_at: dt.datetime
    seen_at: dt.datetime
    ends_at: dt.datetime


class SessionPage(msgspec.Struct, frozen=True, kw_only=True):
    """Browser sessions."""

    sessions: list[SessionSummary]
    #: The cursor of the next page.
    next: str | None = None


class SessionQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which sessions to list."""

    cursor: str = ""
    limit: int = 100


class OwnKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key of the client that asks, without its secret."""

    key_id: str
    kind: Literal["bearer", "sigv4"]
    created_at: dt.datetime
    expires_at: dt.datetime | None = None
    last_used_at: dt.datetime | None = None


class OwnKeys(msgspec.Struct, frozen=True):
    """The keys of the client that asks."""

    keys: list[OwnKey]


class UpstreamDelivery(msgspec.Struct, frozen=True, kw_only=True):
    """Whether writes reach upstream now."""

    delivering: bool
    #: ``paused``, ``breaker-open``, ``throttled``, or why the client's own runs wait: ``denied``, ``unavailable``, ...
    reason: str | None = None
    #: When a write last got through.
    since: dt.datetime | None = None
    next_attempt_at: dt.datetime | None = None


class OwnBacklog(msgspec.Struct, frozen=True, kw_only=True):
    """What is pending of the client that asks."""

    writes: int
    lanes: int
    bytes: int
    oldest_accepted_at: dt.datetime | None
    #: False if there are more writes than that.
    is_complete: bool
    upstream: UpstreamDelivery
