# SPDX-License-Identifier: Apache-2.0
"""The port to upstream: what is sent there, and what an attempt can come to."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from schemas.job import Job
from schemas.trace_context import TraceParent

Headers = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request that delivers writes, or asks what has to be known for it."""

    #: With its query, if it has one.
    path: str
    body: bytes = field(repr=False)
    workspace: str | None = None
    method: str = "POST"
    #: What the body is; JSON if nothing is said.
    headers: Headers = ()
    #: The field that upstream's answer holds; empty where there is nothing to tell but that it was done.
    answer: str = ""
    #: Only asks: that it is answered does not say that a write would get through.
    reads: bool = False
    #: Not every upstream has this call: that it is not found says nothing about upstream.
    optional: bool = False
    #: In whose name it is sent; None for the bridge's own.
    client: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivered:
    """Upstream has it."""

    status: int
    request_id: str | None = None
    #: What it answered, where the call wanted to know something.
    body: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """Upstream will never take it: the same call again would be refused again."""

    status: int
    error_code: str
    message: str
    request_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Denied:
    """Upstream does not allow this call, which says nothing about others. It may be allowed later."""

    #: Names the action that is denied.
    reason: str
    #: What the bridge would need to be allowed, in AWS's words without the prefix, such as ``LogInputs``.
    action: str
    status: int | None = None
    error_code: str = ""
    request_id: str | None = None
    #: AWS or MLflow says so, which knows who the bridge is; else it may be a gateway, which may know nothing.
    identified: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Unavailable:
    """Upstream can't take anything now, this call or another; the same call later may well succeed."""

    reason: str
    status: int | None = None
    retry_after: dt.timedelta | None = None
    #: Our own credentials or clock are the trouble.
    ours: bool = False
    #: Upstream is well and only asks for fewer calls.
    throttled: bool = False
    #: MLflow itself has answered: upstream is there, and only this call did not get through.
    answered: bool = False
    #: Upstream failed on this very call (500). If it goes on to do so while it takes others, this is what it comes to.
    own_fault: Refused | None = None
    #: There may be nothing amiss with upstream but that it does not have this call.
    missing: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Unknown:
    """The call was sent and no answer came: upstream may or may not have it."""

    reason: str


Outcome = Delivered | Refused | Denied | Unavailable | Unknown


class Upstream(Protocol):
    """MLflow behind SageMaker's door, or any MLflow server."""

    def send(self, call: Call, followed_by: Headers = ()) -> Outcome:
        """Send a call, signed now. Every way in which this can end is an outcome; nothing is raised.

        ``followed_by`` are headers that say for whom it is made. They are no part of the call, and not signed.
        """
        ...

    def version(self) -> str | None:
        """Return the version that MLflow says it has, an empty text if it says none, None if nothing answers."""
        ...

    def probe(self) -> Mapping[str, object]:
        """Ask upstream whether it is there; say so within a second or two, without raising."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class CallContext:
    """The jobs of one call, and which attempt it is."""

    jobs: Sequence[Job] = field(repr=False)
    attempt: int
    #: Upstream has denied the first of them before.
    denied: bool = False

    @property
    def lane(self) -> str | None:
        """The lane of all of them."""
        return self.jobs[0].lane if self.jobs else None

    @property
    def client(self) -> str | None:
        """Whose the first is."""
        return self.jobs[0].client if self.jobs else None

    @property
    def request_id(self) -> str | None:
        """The id of the request that brought the first."""
        return self.jobs[0].trace_context.request_id if self.jobs else None

    @property
    def trace(self) -> TraceParent | None:
        """The place in a trace that all of them have; None if they have none, or different ones."""
        first = self.jobs[0].trace_context.trace if self.jobs else None
        return first if first and all(job.trace_context.trace == first for job in self.jobs) else None


#: What a call carries that only asks, for the bridge itself.
NO_JOBS = CallContext(jobs=(), attempt=1)
