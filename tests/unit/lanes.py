# SPDX-License-Identifier: Apache-2.0
"""One lane, the outbox that holds it, and a delivery whose upstream, gate and clock the test decides about."""

import datetime as dt
import json
import threading
from typing import Any

from bridge.delivery.deliverer import Deliverer, Timing
from bridge.delivery.fault_isolation import OutcomePolicy
from bridge.delivery.run_creation import RunCreation
from bridge.delivery.run_order import RunOrder
from bridge.redis_store import keys
from bridge.redis_store.outbox import RedisOutbox
from bridge.redis_store.run_lookups import RedisRunNames
from bridge.upstream import Call, Delivered, Outcome, Refused
from bridge.upstream.sender import UpstreamSender
from schemas.job import JobStatus
from schemas.write import Write
from tests.factories import RUN, accept_one
from tests.fakes import Events, FakeClock, FakeDispatch, FakeGate, FakeStore, FakeUpstream

LEASE = dt.timedelta(seconds=30)
HORIZON = dt.timedelta(hours=72)
DENIAL_GRACE = dt.timedelta(minutes=15)
REFUSED = Refused(status=400, error_code="INVALID_PARAMETER_VALUE", message="no")


class Lane:
    """One lane and all that delivers it."""

    def __init__(self, *writes: Write) -> None:
        client = FakeStore()
        self.outbox = RedisOutbox(client, retention=LEASE, idempotency_ttl=LEASE)
        self.upstream = FakeUpstream()
        self.dispatch = FakeDispatch()
        self.flow_control = FakeGate()
        self.events = Events()
        self.clock = FakeClock(dt.datetime.now(dt.UTC))
        self.stopping = threading.Event()
        self.jobs = [self.accept(write) for write in writes]
        sender = UpstreamSender(
            upstream=self.upstream,
            flow_control=self.flow_control,
            observe=self.events,
            clock=self.clock,
            stopping=self.stopping,
        )
        self.names = RedisRunNames(client, retention=LEASE)
        self.delivery = Deliverer(
            outbox=self.outbox,
            sender=sender,
            outcome_policy=OutcomePolicy(
                flow_control=self.flow_control, upstream=self.upstream, clock=self.clock, denial_grace=DENIAL_GRACE
            ),
            run_creation=RunCreation(sender=sender, names=self.names),
            run_order=RunOrder(outbox=self.outbox, names=self.names, clock=self.clock),
            dispatch=self.dispatch,
            observe=self.events,
            clock=self.clock,
            timing=Timing(lease=LEASE, horizon=HORIZON),
        )

    def accept(self, write: Write) -> str:
        return accept_one(self.outbox, write, client="a").job_id

    def deliver(self) -> None:
        self.delivery.deliver(RUN)

    def expire_lease(self) -> None:
        self.expire_lease_of(RUN)

    def expire_lease_of(self, lane: str) -> None:
        client: Any = self.outbox._client  # noqa: SLF001 - what the lease's end does, without waiting for it
        client.zadd(keys.ready(keys.partition(lane)), {lane: 0})

    def statuses(self) -> list[JobStatus]:
        documents = [self.outbox.job(job_id, client="a") for job_id in self.jobs]
        return [document.status for document in documents if document]

    def refuse(self, *guilty: int) -> None:
        """Refuse every call that carries a metric with one of these steps."""

        def answer(call: Call) -> Outcome:
            return REFUSED if steps(call).intersection(guilty) else Delivered(status=200)

        self.upstream.answer = answer


def steps(call: Call) -> set[int]:
    body = json.loads(call.body)
    return {m.get("step", 0) for m in body.get("metrics", [body])}
