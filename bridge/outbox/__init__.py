# SPDX-License-Identifier: Apache-2.0
"""The port to the outbox: the durable store of undelivered jobs, and the truth about every job.

What every implementation guarantees:

* What is said to be accepted is durable.
* A lane that holds a job is in the ready set, at the time when it is due. A claim moves that time to the end of its
  lease, so an expired lease and a due lane are the same thing and nobody has to look for orphans.
* Jobs leave a lane only by ``settle``, from its head, in order of position, by the one who holds the lease.
* Whoever lost a lease to another claim changes nothing any more (``LeaseLost``).
* What a claim returned is *frozen*: after a crash the next claim of that lane returns exactly the same jobs, so that
  they make the same calls, byte for byte.
* Every method can be repeated after an error that left open whether it took effect.

Every method but ``accept_all``, where it is a verdict, raises ``StoreUnavailable`` when the store can't do its part.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """The store has the write; this is its job."""

    job_id: str
    lane: str
    #: Of its job in the lane.
    position: int
    accepted_at: dt.datetime
    #: The lane had nothing pending before: workers may not know of it.
    was_idle: bool
    #: The request is a repeat; the job is the first one's.
    replayed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A worker's exclusive claim on a lane and the jobs at its head."""

    lane: str
    token: str = field(repr=False)
    #: Position of the last settled job; the first of ``jobs`` is the next.
    settled: int
    #: How many attempts at the head of the lane have failed so far.
    attempts: int
    #: One more than the claims of the lane, lately, whose worker came to a sudden end.
    claims: int
    #: The first job was being sent alone when that happened last.
    tried_alone: bool = False
    #: The jobs are those of an earlier claim, which may have sent them: they must make the same calls.
    resumed: bool = False
    #: How many calls from this head upstream failed on (500) or did not answer, less one for each settlement since.
    broke: int = 0
    #: On how many it failed that carried the first job alone, and since when.
    broke_alone: int = 0
    broke_since: dt.datetime | None = None
    #: Since when upstream has denied what stands at the head of the lane; None if it has not.
    denied_since: dt.datetime | None = None
    jobs: tuple[Job, ...] = field(repr=False)
    #: Of the first job, as its client has it.
    job_id: str | None = None
    #: The lane of the name that the run has, where the lane is that of its id and it has one.
    alias: str | None = None

    @property
    def client(self) -> str:
        """On whose behalf the lane is delivered now."""
        return self.jobs[0].client if self.jobs else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A write that asks to be accepted, and whose it is.

    With ``idempotency``, a repeat of a request of this client is answered with its first job and stores nothing.
    """

    write: Write
    client: str
    idempotency: Idempotency | None = None
    trace_context: TraceContext = NO_TRACE_CONTEXT
    #: How many bytes its client may have pending, None for what is so for all.
    most_pending: int | None = None
    #: The same for all offers of one request: once one was declined, no later one of its lane is taken.
    request: bytes = field(default=b"", repr=False)
    #: The same each time the offer is made, so that the store knows it again.
    accept_id: bytes = field(default_factory=lambda: secrets.token_bytes(8), repr=False)


#: What comes of an offer. All but the first store nothing; after ``StoreUnavailable`` the write may be ours.
Verdict = Accepted | OverCap | KeyReused | StoreUnavailable


class DeadLetterReason(enum.StrEnum):
    """Why a job was given up on."""

    #: Upstream said that it will never take it.
    REFUSED = "refused"
    #: Upstream could not be reached for longer than the delivery horizon.
    EXPIRED = "expired"
    #: Its delivery ended its worker, time and again.
    POISON = "poison"
    #: Upstream did not allow it, for as long as denials are waited out.
    DENIED = "denied"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLettering:
    """Why jobs become dead letters, and what upstream said, if it said anything."""

    reason: DeadLetterReason
    message: str
    answer: UpstreamAnswer | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """A call that did not deliver the first ``writes`` jobs of a claim."""

    writes: int
    #: ``refused`` or ``denied`` (together with others, or alone), ``unavailable`` or ``unknown``.
    reason: str
    message: str
    status: int | None = None
    error_code: str | None = None
    #: Upstream failed on this very call, or did not answer it, and perhaps because of what it carried; or denied it.
    broke: Literal["failed", "silent", "denied", ""] = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """An outcome, to be written down for the first ``count`` jobs of a claim."""

    count: int = 0
    attempts: int = 0
    status: int = 0
    request_id: str | None = None
    #: Set if the jobs are buried, None if they are delivered.
    dead_lettering: DeadLettering | None = None
    #: Note that the first job is about to be sent alone because workers keep dying. Only with a count of 0.
    alone: bool = False
    #: Note that the first jobs were refused together. Only with a count of 0.
    refused: Attempt | None = None


#: Settles nothing; the claim is renewed.
RENEWAL = Settlement()


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """How much is waiting in the whole outbox."""

    lanes: int
    #: Of all pending writes and dead letters.
    bytes: int
    dead_letters: int
    #: Since when the longest-due lane has been due; None if none is.
    oldest_due: dt.datetime | None
    #: When the write that has waited for longest was accepted; None if none waits.
    oldest_accepted_at: dt.datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Caps:
    """The most bytes that may wait. What is dead counts in the store only."""

    lane: int
    client: int
    store: int


#: The oldest Redis whose scripts can declare that they run in a full store; Valkey begins after it.
OLDEST_STORE = (7, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Durability:
    """What the store does for an accepted write, as it says itself."""

    #: ``fsync-always``, ``fsync-everysec``, ``none``, or ``unknown`` where the store does not tell.
    level: str
    #: What can lose an accepted write; a store that has any of these is not to be used.
    faults: tuple[str, ...] = ()
    #: What an operator should know.
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DueLane:
    """A lane that should be claimed, and the client whose write has waited there first."""

    lane: str
    client: str


@dataclass(frozen=True, slots=True)
class Extent:
    """How far a lane goes, and how far it is settled: positions of jobs. Both are 0 for one that is not known."""

    accepted: int
    settled: int
    #: Attempts at its head have failed: it may be long until it goes on.
    fails: bool = False

    @property
    def pending(self) -> int:
        """How many writes wait."""
        return self.accepted - self.settled


class Outbox(Protocol):
    """See the head of this file for what is guaranteed."""

    def accept_all(self, offers: Sequence[Offer], *, repeated: bool = False) -> list[Verdict]:
        """Store each write at the end of its lane, in the order of the offers, in few round trips.

        Each offer gets a verdict of its own: over a cap, or with an idempotency key that came with another request
        before, it is declined, and the others are not touched by that. ``repeated`` says that they were offered before
        and may have been stored then.
        """
        ...

    def claim(self, lane: str, *, lease: dt.timedelta) -> Claim | None:
        """Claim a lane that is due and return the jobs at its head, or None: empty, another's, or not yet due."""
        ...

    def settle(self, claim: Claim, settlement: Settlement, *, lease: dt.timedelta) -> Claim | None:
        """Write an outcome down and return the renewed claim with the next jobs, or None if the lane is empty now.

        A settlement of no jobs only renews the lease.
        """
        ...

    def release(
        self,
        claim: Claim,
        *,
        after: dt.timedelta,
        held: str | None = None,
        attempt: Attempt | None = None,
        thaw: bool = True,
    ) -> None:
        """Give the lane back, due again after a while.

        ``attempt`` is the call that did not get through; ``held`` says why none was made. Without ``thaw`` the jobs
        stay frozen: they were sent and may have arrived.
        """
        ...

    def due(self, *, limit: int, guard: dt.timedelta) -> list[DueLane]:
        """Return lanes that are due, none from a partition swept by anybody within ``guard``.

        Half of them are those that are due for longest; if there are more, the others are some of all these, so that a
        lane behind thousands of another client is found, too.
        """
        ...

    def job(self, job_id: str, *, client: str | None) -> JobDocument | None:
        """Return what is known of a job, or None if this client has no such job (or it is older than the retention).

        Without a client it may be anybody's.
        """
        ...

    def pending_jobs(self, lane: str, *, client: str | None, after: int, limit: int) -> tuple[list[str], int | None]:
        """Return the ids of the client's pending jobs of a lane, in order, from behind the position ``after`` on.

        Without a client, everybody's. With them comes the position to go on behind, None at the end. A page may be
        short and yet have a next one.
        """
        ...

    def undelivered(self, lane: str, *, after: int, most_bytes: int) -> tuple[list[Job], int | None]:
        """Return the jobs that are pending in a lane, whoever has written them, from behind a position on, in order.

        They are about ``most_bytes`` at most; with them comes the position to go on behind, None at the end.
        """
        ...

    def lanes_of(self, client: str, *, limit: int) -> list[str]:
        """Return lanes in which writes of this client are pending, at most so many, whichever process took them."""
        ...

    def extents(self, lanes: Sequence[str]) -> dict[str, Extent]:
        """Return how far each lane goes, and is settled, now; with the lanes of the names that runs among them have."""
        ...

    def backlog(self) -> Backlog:
        """Return how much is waiting."""
        ...

    def lane_backlog(self, lane: str) -> LaneBacklog:
        """Return what is pending of one run, known or not."""
        ...

    def report_worker(self, name: str) -> None:
        """Note that this worker process is alive."""
        ...

    def workers(self) -> int:
        """Return how many worker processes have reported lately."""
        ...

    def durability(self) -> Durability:
        """Ask the store how durable an accepted write is."""
        ...


class RunNames(Protocol):
    """All methods raise ``StoreUnavailable`` when the store can't do its part."""

    def run_id(self, lane: str) -> str | None:
        """Return the id of the run that the lane of a named run stands for, None while there is none."""
        ...

    def bind(self, lane: str, run_id: str) -> str:
        """Have the lane stand for this run from now on, and return its id: another, if it stands for one already."""
        ...
