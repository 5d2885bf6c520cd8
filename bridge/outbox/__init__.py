# SPDX-License-Identifier: Apache-2.0
"""The outbox port: the durable store of undelivered jobs, and the truth about every job.

Guarantees of every implementation:

* An accepted write is durable.
* A lane that holds a job is in the ready set, with the time when it is due. A claim moves that time to the end of its
  lease, so an expired lease and a due lane are the same thing and no process has to search for orphans.
* Jobs leave a lane only by ``settle``, from its head, in order of position, by the holder of the lease.
* A worker that lost its lease to another claim changes nothing any more (``LeaseLost``).
* The jobs that a claim returned are *frozen*: after a crash the next claim of that lane returns exactly the same jobs,
  so that they make the same calls, byte for byte.
* Every method can be repeated after an error that left open whether it took effect.

``StoreUnavailable`` is a verdict of ``accept_all``; every other method raises it when the store is unavailable.
"""

import datetime as dt
import enum
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from bridge.errors import OverCap, StoreUnavailable
from schemas.idempotency import Idempotency, KeyReused
from schemas.job import Job, JobDocument, LaneBacklog, UpstreamAnswer
from schemas.trace_context import NO_TRACE_CONTEXT, TraceContext
from schemas.write import Write

#: The length of the id by which the store recognises an offer.
ACCEPT_ID_BYTES = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """Verdict: the store has the write, and this is its job."""

    job_id: str
    lane: str
    #: The position of the job in the lane.
    position: int
    accepted_at: dt.datetime
    #: The lane had no pending writes before, so workers may not know of it.
    was_idle: bool
    #: The request is a repeat; the job is that of the first request.
    replayed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A worker's exclusive claim on a lane and the jobs at its head."""

    lane: str
    token: str = field(repr=False)
    #: Position of the last settled job; the first of ``jobs`` is the next.
    settled: int
    #: Failed attempts at the head of the lane.
    attempts: int
    #: The number of claims that ended in a crash of their worker, plus one for this claim.
    claims: int
    #: At the last crash the first job was being sent alone.
    was_tried_alone: bool = False
    #: An earlier claim had these jobs and may have sent them: they must make the same calls.
    is_resumed: bool = False
    #: Calls from this head on which upstream failed (500) or did not answer, minus one for each settlement since.
    failed_calls: int = 0
    #: Calls with the first job alone on which upstream failed, and since when.
    failed_alone: int = 0
    failed_alone_since: dt.datetime | None = None
    #: Since when upstream has denied the head of the lane; None if it does not.
    denied_since: dt.datetime | None = None
    jobs: tuple[Job, ...] = field(repr=False)
    #: The id of the first job, as its client has it.
    job_id: str | None = None
    #: The lane of the run's name, if this is the lane of the id of a named run.
    alias: str | None = None

    @property
    def client(self) -> str:
        """The client for which the lane is delivered now."""
        return self.jobs[0].client if self.jobs else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A write that a client offers for acceptance.

    With ``idempotency``, a repeat of a request of this client gets its first job and stores nothing.
    """

    write: Write
    client: str
    idempotency: Idempotency | None = None
    trace_context: TraceContext = NO_TRACE_CONTEXT
    #: The client's own cap on its pending bytes, None for the cap of all clients.
    most_pending: int | None = None
    #: Eight bytes, equal for all offers of a request, or empty. Once one is declined, no later one of a lane is stored.
    group: bytes = field(default=b"", repr=False)
    #: Equal for each repeat of the offer, so that the store recognises it.
    accept_id: bytes = field(default_factory=lambda: secrets.token_bytes(ACCEPT_ID_BYTES), repr=False)


#: The result of an offer. Only ``Accepted`` stores a write; after ``StoreUnavailable`` it is unknown.
Verdict = Accepted | OverCap | KeyReused | StoreUnavailable


class DeadLetterReason(enum.StrEnum):
    """Why a job became a dead letter."""

    #: Upstream rejected it for good.
    REFUSED = "refused"
    #: It was not delivered within the maximum age of a write.
    EXPIRED = "expired"
    #: Its delivery crashed workers repeatedly.
    POISON = "poison"
    #: Upstream denied it for longer than the denial grace.
    DENIED = "denied"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLettering:
    """Why jobs become dead letters, and upstream's answer, if there was one."""

    reason: DeadLetterReason
    message: str
    answer: UpstreamAnswer | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """A failed call, which carried the first ``writes`` jobs of a claim."""

    writes: int
    #: ``refused``, ``denied``, ``unavailable`` or ``unknown``.
    reason: str
    message: str
    status: int | None = None
    error_code: str | None = None
    #: Upstream failed on this very call, did not answer it, or denied it, and its content may be the cause. Else empty.
    failure_kind: Literal["failed", "silent", "denied", ""] = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """An outcome for the first ``count`` jobs of a claim."""

    count: int = 0
    #: The number of attempts, and the status and request id of upstream's response to the last one.
    attempts: int = 0
    status: int = 0
    request_id: str | None = None
    #: Set if the jobs become dead letters, None if they are delivered.
    dead_lettering: DeadLettering | None = None
    #: Notes that the first job is about to be sent alone, because workers keep crashing. Only with a count of 0.
    sends_alone: bool = False
    #: Notes that the first jobs were refused or denied together. Only with a count of 0.
    refused: Attempt | None = None


#: Settles no jobs and renews the lease.
RENEWAL = Settlement()


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """The backlog of the whole outbox."""

    lanes: int
    #: The bytes of all pending writes and dead letters.
    bytes: int
    dead_letters: int
    #: Since when the longest-due lane has been due; None if none is.
    oldest_due: dt.datetime | None
    #: When the oldest pending write was accepted; None if none is pending.
    oldest_accepted_at: dt.datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientBacklog:
    """The backlog of one client."""

    lanes: int
    writes: int
    bytes: int
    oldest_accepted_at: dt.datetime | None
    #: Whether ``writes`` counts all of them. A backlog that is too large is read in part.
    is_complete: bool
    #: Why lanes with these writes could not be delivered at their last attempt: ``unavailable``, ``denied``, ...
    failures: tuple[str, ...]
    #: When the first of those lanes is tried again; None if no lane waits for its next attempt.
    next_attempt_at: dt.datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Caps:
    """Limits on stored bytes. Dead letters count towards the store's limit only."""

    lane: int
    client: int
    store: int


#: The oldest Redis with scripts that may run in a full store (``allow-oom``); every Valkey is newer.
OLDEST_STORE = (7, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Durability:
    """How durable an accepted write is, as the store reports it."""

    #: ``fsync-always``, ``fsync-everysec``, ``none``, or ``unknown`` where the store does not report it.
    level: str
    #: Faults that can lose an accepted write, or data that this release can't read. The bridge does not use a store
    #: that has any.
    faults: tuple[str, ...] = ()
    #: Risks that an operator should know.
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DueLane:
    """A lane that should be claimed, and the client of its oldest pending write."""

    lane: str
    client: str


@dataclass(frozen=True, slots=True)
class Extent:
    """The positions of a lane's last accepted and last settled job. Both are 0 for an unknown lane."""

    accepted: int
    settled: int
    #: Attempts at its head have failed: delivery may pause for long.
    is_failing: bool = False

    @property
    def pending(self) -> int:
        """The number of pending writes."""
        return self.accepted - self.settled


class SentOffers(Protocol):
    """Offers that were sent to the store, which has not responded yet. Exactly one of the methods is called, once."""

    #: The descriptor that becomes readable once the store responds; None where the verdicts are there already.
    descriptor: int | None
    #: The longest time that the store has to respond.
    timeout_s: float

    def verdicts(self) -> list[Verdict]:
        """Return the verdict on each offer. This waits for the response if it has not arrived."""
        ...

    def abandon(self) -> None:
        """Wait no longer. The store may accept the offers all the same."""
        ...


class Outbox(Protocol):
    """The durable store of undelivered jobs. The docstring of this module states its guarantees."""

    def accept_all(self, offers: Sequence[Offer], *, repeated: bool = False) -> list[Verdict]:
        """Store each write at the end of its lane, in the order of the offers, in few round trips.

        Each offer gets a verdict of its own. One that exceeds a cap, or has the idempotency key of another request, is
        declined without an effect on the others. ``repeated``: they were offered before and may have been stored then.
        """
        ...

    def send(self, offers: Sequence[Offer]) -> SentOffers:
        """Begin `accept_all`, so that an event loop does not have to wait for the store."""
        ...

    def claim(self, lane: str, *, lease: dt.timedelta) -> Claim | None:
        """Claim a lane that is due and return the jobs at its head, or None: empty, leased, or not yet due."""
        ...

    def settle(self, claim: Claim, settlement: Settlement, *, lease: dt.timedelta) -> Claim | None:
        """Record an outcome and return the renewed claim with the next jobs, or None if the lane is empty now.

        A settlement of no jobs only renews the lease.
        """
        ...

    def release(
        self,
        claim: Claim,
        *,
        after: dt.timedelta,
        reason: str | None = None,
        attempt: Attempt | None = None,
        thaw: bool = True,
    ) -> None:
        """Release the lane, due again after a delay.

        ``attempt`` is the call that failed; ``reason`` says why no call was made, if none was. Without ``thaw``, the
        jobs stay frozen: they were sent and may have arrived.
        """
        ...

    def due(self, *, limit: int, guard: dt.timedelta) -> list[DueLane]:
        """Return lanes that are due, none from a partition that was swept within ``guard``.

        If there are more than the limit, half of the result are the lanes that are due for longest. The other half is a
        random part of the remaining ones, so that a lane behind thousands of another client is found, too.
        """
        ...

    def job(self, job_id: str, *, client: str | None) -> JobDocument | None:
        """Return the document of a job, or None if this client has no such job (or it is older than the retention).

        Without a client, the job may be of any client.
        """
        ...

    def pending_jobs(self, lane: str, *, client: str | None, after: int, limit: int) -> tuple[list[str], int | None]:
        """Return the ids of the client's pending jobs of a lane behind the position ``after``, in order.

        Without a client, those of all clients. The second value is the position to continue behind, None at the end. A
        short page may have a next one.
        """
        ...

    def undelivered(self, lane: str, *, after: int, max_bytes: int) -> tuple[list[Job], int | None]:
        """Return the pending jobs of a lane behind the position ``after``, of all clients, in order.

        They have about ``max_bytes`` at most. The second value is the position to continue behind, None at the end.
        """
        ...

    def lanes_of(self, client: str, *, limit: int) -> list[str]:
        """Return up to ``limit`` lanes with pending writes of this client, whichever process accepted them."""
        ...

    def extents(self, lanes: Sequence[str]) -> dict[str, Extent]:
        """Return the extent of each lane. The lane of a run id brings that of the run's name, if it has one."""
        ...

    def extents_of(self, groups: Sequence[Sequence[str]]) -> list[dict[str, Extent]]:
        """Return what ``extents`` returns for each group of lanes, in as many round trips as for one."""
        ...

    def backlog(self) -> Backlog:
        """Return the backlog of the whole outbox."""
        ...

    def client_backlog(self, client: str) -> ClientBacklog:
        """Return what is pending of one client, known or not."""
        ...

    def lane_backlog(self, lane: str) -> LaneBacklog:
        """Return the backlog of one lane, known or not."""
        ...

    def report_worker(self, name: str) -> None:
        """Note that this worker process is alive."""
        ...

    def workers(self) -> int:
        """Return how many worker processes have reported recently."""
        ...

    def durability(self) -> Durability:
        """Return how durable an accepted write is."""
        ...

    def declare_format(self) -> None:
        """Declare that this release writes to the store, so that a release that can't read it does not start."""
        ...


class RunNames(Protocol):
    """The run ids of named runs. All methods raise ``StoreUnavailable`` when the store is unavailable."""

    def run_id(self, lane: str) -> str | None:
        """Return the id of the run that the lane of a named run stands for, None while there is none."""
        ...

    def bind(self, lane: str, run_id: str) -> str:
        """Bind the lane to this run, and return the id of the run that it is bound to: an earlier one stays bound."""
        ...
