# SPDX-License-Identifier: Apache-2.0
"""Events: what has happened in the bridge. Logs, metrics and traces observe them. None holds a body or a credential."""

import datetime as dt
from typing import Protocol

import msgspec


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """Base of all events."""


class DeliveryEvent(Event, frozen=True, kw_only=True):
    """Base of the events about the first writes of a claimed lane."""

    lane: str
    #: The lane position of the first write, and the number of writes.
    first: int
    writes: int
    #: The ids of the first write, and of the request that brought it.
    job_id: str | None
    request_id: str | None
    attempt: int


class WritesDelivered(DeliveryEvent, frozen=True, kw_only=True):
    """Upstream has executed a call with these writes."""

    duration: dt.timedelta
    #: The time since the first write was accepted.
    lag: dt.timedelta
    upstream_request_id: str | None


class UpstreamCallCompleted(Event, frozen=True, kw_only=True):
    """A call was sent to upstream, and its outcome is known."""

    #: The method, and the path below MLflow's API, without its query: ``POST runs/log-batch``.
    endpoint: str = ""
    #: None for a call that the bridge makes for itself.
    lane: str | None
    #: The id of the request that brought the first write.
    request_id: str | None
    attempt: int
    outcome: str
    status: int | None
    duration: dt.timedelta
    #: The call only read.
    reads: bool = False
    error_code: str | None = None
    upstream_request_id: str | None = None
    #: The cause of a failure. It may hold upstream's message, which may quote a write, so it is never logged.
    unlogged_reason: str = ""


class BatchRejected(DeliveryEvent, frozen=True, kw_only=True):
    """Upstream refused or denied a call with several writes. It is bisected to find the write at fault."""

    status: int
    error_code: str
    upstream_request_id: str | None


class WritesDeadLettered(DeliveryEvent, frozen=True, kw_only=True):
    """Writes became dead letters."""

    reason: str
    status: int
    error_code: str | None
    upstream_request_id: str | None


class DeadLettersDrained(Event, frozen=True, kw_only=True):
    """Dead letters were replayed or discarded at an operator's request."""

    action: str
    letters: int
    drain_id: str | None = None


class DeadLettersExpired(Event, frozen=True, kw_only=True):
    """Dead letters older than the configured retention were discarded."""

    letters: int


class LaneDeferred(DeliveryEvent, frozen=True, kw_only=True):
    """An attempt failed. The lane is retried after ``delay``."""

    outcome: str
    reason: str
    delay: dt.timedelta


class LaneDenied(DeliveryEvent, frozen=True, kw_only=True):
    """Upstream denies the write at the head of a lane. It is retried after ``delay``."""

    #: The IAM action that the bridge lacks.
    action: str
    reason: str
    delay: dt.timedelta


class DeliveryErrored(DeliveryEvent, frozen=True, kw_only=True):
    """An internal error ended an attempt at these writes, or at the first of them. The lane is retried."""

    reason: str
    #: The line of code, without any values.
    where: str


class LeaseExpired(DeliveryEvent, frozen=True, kw_only=True):
    """A worker lost its claim on a lane to another worker, which may repeat some writes."""


class StoreError(Event, frozen=True, kw_only=True):
    """The store could not serve an operation."""

    operation: str
    reason: str
    #: The lane of the delivery, if it was one.
    lane: str | None = None


class SecretDecryptionFailed(Event, frozen=True, kw_only=True):
    """No configured encryption key decrypts a client's secret, so its signatures are rejected."""

    access_key: str


class DispatchFailed(Event, frozen=True, kw_only=True):
    """Hints could not be published. The sweep dispatches their lanes later."""

    hints: int
    reason: str


class LanesRedispatched(Event, frozen=True, kw_only=True):
    """The sweep dispatched lanes that were due."""

    lanes: int


class UpstreamExamined(Event, frozen=True, kw_only=True):
    """The version and the calls of upstream were examined, at the start or after an outage."""

    #: The version that the settings state, or else the reported one.
    version: str
    #: The queued calls that upstream lacks, separated by commas. They are forwarded, so that it rejects them itself.
    lacks: str


class DeliveriesPaused(Event, frozen=True, kw_only=True):
    """An operator has paused the deliveries to an upstream."""

    client: str
    why: str
    #: When the pause ends by itself; None if an operator has to end it.
    until: dt.datetime | None
    request_id: str


class DeliveriesResumed(Event, frozen=True, kw_only=True):
    """An operator has ended the pause of deliveries."""

    client: str
    request_id: str


class ThreadStarted(Event, frozen=True, kw_only=True):
    """A background thread has started."""

    thread: str


class ThreadFailed(Event, frozen=True, kw_only=True):
    """The work of a background thread raised an unexpected error. The thread continues after a pause."""

    thread: str
    error: str
    #: The line of code, without any values.
    place: str


class GatewayUse(msgspec.Struct, frozen=True, kw_only=True):
    """A call of MLflow's AI Gateway that it has answered, with the tokens that the response states."""

    #: The name of the endpoint; ``other`` if the request does not show it.
    endpoint: str
    prompt_tokens: int = 0
    completion_tokens: int = 0


class RequestCompleted(Event, frozen=True, kw_only=True):
    """A request has been answered. Logged only if clients authenticate."""

    #: The time of the response, because the event is logged a moment later.
    at: dt.datetime
    client: str
    address: str
    method: str
    #: Without its query.
    path: str
    #: ``queued``, ``proxied``, ``api`` (the bridge's own routes), or ``rejected`` (before any route).
    route: str
    #: The permission that the request needs; None for public paths.
    action: str | None
    #: The object that an own route changes: ids and names of its path, separated by spaces. None: it changes nothing.
    target: str | None = None
    #: ``allowed``, ``denied``, ``rate_limited``, or ``unauthenticated``.
    decision: str
    status: int
    #: From the head of the request to the end of the response.
    duration: dt.timedelta
    #: The whole response was sent, as far as the bridge knows.
    complete: bool
    #: The lane of a single queued write, and the number of accepted writes.
    lane: str | None
    writes: int
    #: The response names the jobs of an earlier request with the same idempotency key.
    replayed: bool
    job_id: str | None
    request_id: str
    upstream_request_id: str | None
    #: The received bytes of the request's body.
    bytes: int = 0
    gateway: GatewayUse | None = None


class ReadCached(Event, frozen=True, kw_only=True):
    """A read was answered without a call to upstream of its own."""

    #: ``static``: a file of MLflow's UI; ``shared``: the answer to an identical read.
    cache: str


class SignedIn(Event, frozen=True, kw_only=True):
    """A browser has signed in."""

    client: str
    #: ``key`` or ``oidc``.
    via: str
    session_id: str
    address: str
    request_id: str


class SignedOut(Event, frozen=True, kw_only=True):
    """A browser session was ended before its time."""

    client: str
    via: str
    session_id: str
    #: Who ended it: the client itself, or an operator.
    by: str
    #: The address of the client that ended it; empty if it is not known.
    address: str = ""
    request_id: str


class SignInFailed(Event, frozen=True, kw_only=True):
    """A browser could not sign in."""

    via: str
    #: One of the codes that the sign-in page explains.
    reason: str
    #: The error of the provider or of the check, without any value of a token.
    detail: str
    address: str
    request_id: str


class Observer(Protocol):
    """A receiver of events."""

    def __call__(self, event: Event, /) -> None:
        """Receive an event; never raises."""
        ...
