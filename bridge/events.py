# SPDX-License-Identifier: Apache-2.0
"""Facts, told once. Code emits them; logs observe them. None holds a body or a credential."""

import datetime as dt
from typing import Protocol

import msgspec


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """Something that has happened."""


class DeliveryEvent(Event, frozen=True, kw_only=True):
    """Something that has happened to the first writes of a claimed lane."""

    lane: str
    #: The position of the first write, and how many they are.
    first: int
    writes: int
    #: Of the first write, and of the request that brought it.
    job_id: str | None
    request_id: str | None
    attempt: int


class WritesDelivered(DeliveryEvent, frozen=True, kw_only=True):
    """Upstream took one call that carried these writes."""

    duration: dt.timedelta
    #: Since the first of them was accepted.
    lag: dt.timedelta
    upstream_request_id: str | None


class UpstreamCallCompleted(Event, frozen=True, kw_only=True):
    """A worker has sent a call to upstream; this is what it came to."""

    #: What is delivered; None where the bridge asks for itself.
    lane: str | None
    #: The request that brought the first write that it carries.
    request_id: str | None
    attempt: int
    outcome: str
    status: int | None
    duration: dt.timedelta


class BatchRejected(DeliveryEvent, frozen=True, kw_only=True):
    """Upstream refused a call that carried several writes; it is split to find the guilty one."""

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
    """Dead letters were replayed or discarded because somebody asked for it."""

    action: str
    letters: int
    drain_id: str | None = None


class DeadLettersExpired(Event, frozen=True, kw_only=True):
    """Dead letters were discarded because they were older than the retention that the operator has set."""

    letters: int


class LaneDeferred(DeliveryEvent, frozen=True, kw_only=True):
    """An attempt did not get through; the lane is tried again after ``delay``."""

    outcome: str
    reason: str
    delay: dt.timedelta


class LaneDenied(DeliveryEvent, frozen=True, kw_only=True):
    """Upstream does not allow the write at the head of a lane; it is asked again after ``delay``."""

    #: What the bridge would have to be allowed.
    action: str
    reason: str
    delay: dt.timedelta


class DeliveryErrored(DeliveryEvent, frozen=True, kw_only=True):
    """A defect of the bridge ended an attempt at these writes, or at the first of them; the lane is tried again."""

    reason: str
    #: The line of code, without any values.
    where: str


class LeaseExpired(DeliveryEvent, frozen=True, kw_only=True):
    """A worker found that the lane that it had claimed is another's by now, which may send some writes once more."""


class StoreError(Event, frozen=True, kw_only=True):
    """The store could not be used for what ``during`` says."""

    operation: str
    reason: str
    #: Whose delivery it was for, if for one.
    lane: str | None = None


class SecretDecryptionFailed(Event, frozen=True, kw_only=True):
    """None of the encryption keys at hand opens a client's secret; nobody who signs with it is known."""

    access_key: str


class DispatchFailed(Event, frozen=True, kw_only=True):
    """Hints could not be published. Harmless: the sweep finds their lanes."""

    hints: int
    reason: str


class LanesRedispatched(Event, frozen=True, kw_only=True):
    """The sweep found lanes that were due and dispatched them."""

    lanes: int


class UpstreamExamined(Event, frozen=True, kw_only=True):
    """Upstream was asked what it can do, at the start or after it was away."""

    #: Empty where it does not say it.
    version: str
    #: The queued calls that it does not have, separated by commas; they are passed on, for it to say so.
    lacks: str


class ThreadStarted(Event, frozen=True, kw_only=True):
    """A background thread begins to work."""

    thread: str


class ThreadFailed(Event, frozen=True, kw_only=True):
    """The work of a background thread raised what it should not. The thread goes on after a pause."""

    thread: str
    error: str
    #: The line of code, without any values.
    place: str


class RequestCompleted(Event, frozen=True, kw_only=True):
    """A client has asked for something and was answered. Logged only where clients say who they are."""

    #: When that was, for it is logged a moment later.
    at: dt.datetime
    client: str
    address: str
    method: str
    #: Without its query.
    path: str
    #: Who answered: ``queued`` calls, the bridge's ``own`` routes, ``proxied`` ones, or nobody (``none``).
    route: str
    #: What he had to be allowed; None for what is open to everybody.
    action: str | None
    #: ``allowed``, ``denied``, ``limited`` by a quota, or ``stranger`` for one whom nobody knows.
    decision: str
    status: int
    #: From the head of the request to the end of the answer.
    duration: dt.timedelta
    #: The answer went out whole, as far as the bridge knows.
    complete: bool
    #: What was written to, if it was one queued write, and how many were accepted.
    lane: str | None
    writes: int
    #: It was answered with the jobs of an earlier one.
    replayed: bool
    job_id: str | None
    request_id: str
    upstream_request_id: str | None


class Observer(Protocol):
    """Whoever is told of events."""

    def __call__(self, event: Event, /) -> None:
        """Take note of the event; never raise."""
        ...
