# SPDX-License-Identifier: Apache-2.0
"""The documents of ``/v1/upstreams``: an upstream, its flow control, its failed calls, a probe, a pause."""

import datetime as dt
from typing import Annotated, Literal

import msgspec


class PauseDocument(msgspec.Struct, frozen=True, kw_only=True):
    """Why deliveries are paused, by which client, since when, and until when (null: until they are resumed)."""

    why: str
    by: str
    since: dt.datetime
    until: dt.datetime | None


class GateDocument(msgspec.Struct, frozen=True, kw_only=True):
    """The flow control of an upstream: circuit breaker, rate limiter and pause."""

    breaker: Literal["closed", "open", "half-open"]
    #: Of the open breaker: why, since when, and when it lets the next call through.
    why: str | None
    since: dt.datetime | None
    opens_again_at: dt.datetime | None
    #: Calls a second; null if there is no limit. It is below the configured one while upstream throttles.
    rate: float | None
    configured_rate: float | None
    burst: int | None
    #: Calls that may be sent at once; negative if calls wait for their place.
    bucket: float | None
    #: When a write call last succeeded.
    delivered_at: dt.datetime | None
    paused: PauseDocument | None


class UpstreamDocument(msgspec.Struct, frozen=True, kw_only=True):
    """An upstream, and how its calls go."""

    id: str
    #: Its ARN or URL, without passwords.
    name: str
    kind: Literal["tracking-server", "app", "mlflow"]
    region: str | None
    gate: GateDocument
    #: How often the breaker has opened since the last answer, and the failures in a row since it last opened.
    trips: int
    failures: int
    #: The calls of the last 60 to 65 minutes, by outcome.
    outcomes: dict[str, int]


class Upstreams(msgspec.Struct, frozen=True):
    """The upstreams of this bridge."""

    upstreams: list[UpstreamDocument]


class FailedCall(msgspec.Struct, frozen=True, kw_only=True):
    """A call that failed, or that got no response and may have succeeded."""

    #: Ids sort by time.
    id: str
    at: dt.datetime
    #: The method, and the path below MLflow's API.
    call: str
    #: Null for a call that the bridge makes for itself.
    lane: str | None
    status: int | None
    error_code: str | None
    #: ``refused``, ``denied``, ``unavailable`` or ``unknown``.
    outcome: str
    #: In seconds.
    duration: float
    #: Of the request that brought the first write.
    request_id: str | None
    upstream_request_id: str | None
    #: Cut to 300 characters.
    message: str


class FailurePage(msgspec.Struct, frozen=True, kw_only=True):
    """Failed calls, the newest first."""

    failures: list[FailedCall]
    #: The cursor of the next page.
    next: str | None = None


class FailureQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which failed calls to list."""

    cursor: str = ""
    limit: Annotated[int, msgspec.Meta(ge=1, le=1000)] = 100


class ProbeCheck(msgspec.Struct, frozen=True, kw_only=True):
    """A check of the way to upstream: its result, and what fixes it."""

    name: str
    ok: bool
    #: ``warn`` works, and needs attention; ``skipped`` needs a check that has failed.
    verdict: Literal["ok", "warn", "fail", "skipped"]
    detail: str
    advice: str | None


class ProbeDocument(msgspec.Struct, frozen=True, kw_only=True):
    """Whether upstream answers a read, and each step on the way there."""

    reachable: bool
    checks: list[ProbeCheck]


class PauseOrder(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Pause deliveries, or resume them."""

    paused: bool
    #: For those who wonder why nothing arrives. Needed for a pause.
    why: Annotated[str, msgspec.Meta(max_length=500)] = ""
    #: When the pause ends by itself; null if it lasts until deliveries are resumed.
    until: Annotated[dt.datetime, msgspec.Meta(tz=True)] | None = None
