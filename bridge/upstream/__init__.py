# SPDX-License-Identifier: Apache-2.0
"""The port to upstream: a call, its possible outcomes, and the jobs that it delivers."""

import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from schemas.job import Job
from schemas.trace_context import TraceParent

Headers = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One HTTP request to MLflow that delivers writes, or reads what a delivery needs to know."""

    #: Including the query, if any.
    path: str
    body: bytes = field(repr=False)
    workspace: str | None = None
    method: str = "POST"
    #: The content type and encoding of the body; JSON if empty.
    headers: Headers = ()
    #: The field that MLflow's response must have; empty for calls to which MLflow responds with an empty object.
    response_field: str = ""
    #: The call only reads: its success does not show that upstream accepts writes.
    reads: bool = False
    #: Some MLflow servers lack this call: a 404 says nothing about upstream's health.
    optional: bool = False
    #: Sign with this client's session of the role; None for the bridge's own session.
    client: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivered:
    """Upstream has executed the call."""

    status: int
    request_id: str | None = None
    #: The response body if the call has a ``response_field``, else empty.
    body: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """Upstream rejects the call for good: the same call would be rejected again."""

    status: int
    error_code: str
    message: str
    request_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Denied:
    """Upstream denies this call. Other calls may be allowed, and this one may be allowed later."""

    #: Names the denied action.
    reason: str
    #: The IAM action that the bridge lacks, without its prefix, such as ``LogInputs``.
    action: str
    status: int | None = None
    error_code: str = ""
    request_id: str | None = None
    #: True if AWS or MLflow denies it, which know the bridge's identity; False if it may be a gateway.
    identified: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Unavailable:
    """Upstream can't serve calls now. The same call may succeed later."""

    reason: str
    status: int | None = None
    error_code: str = ""
    request_id: str | None = None
    retry_after: dt.timedelta | None = None
    #: The cause is the bridge's own credentials or clock.
    identity_failed: bool = False
    #: Upstream is healthy and asks for fewer calls.
    throttled: bool = False
    #: MLflow itself has responded: upstream is up, and only this call failed.
    answered: bool = False
    #: The final outcome if upstream keeps failing on this very call while it accepts others.
    final_refusal: Refused | None = None
    #: Upstream may be healthy and only lack this call.
    missing: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Unknown:
    """The call was sent and got no response: upstream may or may not have executed it."""

    reason: str


Outcome = Delivered | Refused | Denied | Unavailable | Unknown


class Upstream(Protocol):
    """MLflow behind SageMaker's gateway, or any MLflow server."""

    def send(self, call: Call, trace_headers: Headers = ()) -> Outcome:
        """Send a call, signed now. Every result is an outcome; never raises.

        ``trace_headers`` carry the request id and the trace context. They are not signed, and may differ in a repeat.
        """
        ...

    def version(self) -> str | None:
        """Return MLflow's version, an empty text if it does not state one, None if it does not respond."""
        ...

    def probe(self) -> Mapping[str, object]:
        """Return whether upstream is ``reachable``, and the ``reason`` if not, within two seconds; never raises."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class CallContext:
    """The jobs that one call delivers, for logs, traces and the client's session."""

    jobs: Sequence[Job] = field(repr=False)
    attempt: int
    #: Upstream has denied the first job before.
    denied: bool = False

    @property
    def lane(self) -> str | None:
        """The lane of all jobs."""
        return self.jobs[0].lane if self.jobs else None

    @property
    def client(self) -> str | None:
        """The client of the first job."""
        return self.jobs[0].client if self.jobs else None

    @property
    def request_id(self) -> str | None:
        """The id of the request that brought the first job."""
        return self.jobs[0].trace_context.request_id if self.jobs else None

    @property
    def trace(self) -> TraceParent | None:
        """The trace context that all jobs share; None if they have none or differ."""
        first = self.jobs[0].trace_context.trace if self.jobs else None
        return first if first and all(job.trace_context.trace == first for job in self.jobs) else None


#: The context of a call that the bridge makes for itself.
NO_JOBS = CallContext(jobs=(), attempt=1)
