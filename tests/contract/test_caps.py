# SPDX-License-Identifier: Apache-2.0
"""What may wait is bounded, and a store that is full can still be drained."""

import datetime as dt
from typing import Any

import pytest
from msgspec.structs import replace

from bridge.errors import OverCap, StoreUnavailable
from bridge.outbox import Accepted, Attempt, Caps, Claim, DeadLettering, DeadLetterReason, Offer, Settlement
from bridge.redis_store.dead_letters import RedisDeadLetters
from bridge.redis_store.flow_control import RedisFlowControl
from bridge.redis_store.outbox import RedisOutbox, connect
from bridge.upstream import Delivered
from schemas.dead_letter import LetterFilter
from schemas.idempotency import Idempotency, KeyReused
from schemas.write import Write
from tests.factories import RUN, accept_one, metric, tag
from tests.servers import Server, wait_until

LEASE = dt.timedelta(seconds=30)
RETENTION = dt.timedelta(hours=1)
MUCH = 1 << 40
OTHER = f"{7:032x}"


def outbox_with(client: Any, *, lane: int = MUCH, of_client: int = MUCH, store: int = MUCH) -> RedisOutbox:
    caps = Caps(lane=lane, client=of_client, store=store)
    return RedisOutbox(client, retention=RETENTION, idempotency_ttl=RETENTION, caps=caps)


def accept_until_full(outbox: RedisOutbox, *writes: Write, client: str = "a") -> tuple[int, str]:
    """How many writes were taken, and which cap the next one met."""
    for taken, write in enumerate(writes):
        try:
            accept_one(outbox, write, client=client)
        except OverCap as error:
            return taken, error.cap
    raise AssertionError("no cap was met")


def drain(outbox: RedisOutbox, lane: str = RUN) -> None:
    claim = outbox.claim(lane, lease=LEASE)
    while claim:
        claim = outbox.settle(claim, Settlement(count=len(claim.jobs), attempts=1, status=200), lease=LEASE)


def test_a_run_may_have_so_much_waiting_and_other_runs_are_not_concerned(client: Any) -> None:
    outbox = outbox_with(client, lane=1000)

    taken, cap = accept_until_full(outbox, *(metric(step) for step in range(100)))
    accept_one(outbox, metric(0, run_id=f"{7:032x}"), client="a")
    drain(outbox)
    again, _ = accept_until_full(outbox, *(metric(step) for step in range(100)))

    assert cap == "lane"
    assert 5 < taken < 20
    assert again == taken
    assert outbox.lane_backlog(RUN).bytes <= 1000


def test_a_client_may_have_so_much_waiting_and_other_clients_are_not_concerned(client: Any) -> None:
    outbox = outbox_with(client, of_client=1000)

    taken, cap = accept_until_full(outbox, *(metric(step) for step in range(100)))
    accept_one(outbox, metric(0), client="b")

    assert (cap, taken > 5) == ("client", True)


def test_the_caps_of_clients_and_of_the_store_span_all_partitions(client: Any) -> None:
    spread = [metric(step, run_id=f"{step:032x}") for step in range(100)]
    for write in spread[:40]:
        accept_one(outbox_with(client), write, client="a")

    # Another process begins with a look at all partitions.
    with pytest.raises(OverCap, match="store"):
        accept_one(outbox_with(client, store=1000), spread[50], client="a")
    with pytest.raises(OverCap, match="client"):
        accept_one(outbox_with(client, of_client=1000), spread[50], client="a")


def test_dead_letters_count_as_held_by_the_store(client: Any) -> None:
    outbox = outbox_with(client, store=1000)
    taken, _ = accept_until_full(outbox, *(metric(step) for step in range(100)))
    claim = outbox.claim(RUN, lease=LEASE)
    assert claim
    dead_lettering = DeadLettering(reason=DeadLetterReason.EXPIRED, message="down")
    outbox.settle(claim, Settlement(count=taken, attempts=1, dead_lettering=dead_lettering), lease=LEASE)

    with pytest.raises(OverCap, match="store"):
        accept_one(outbox, metric(1), client="a")
    assert outbox.backlog().bytes > 1000 - 200


@pytest.mark.parametrize("cap", ["lane", "of_client", "store"])
def test_what_can_never_be_taken_is_told_from_what_has_to_wait(client: Any, cap: str) -> None:
    write = metric(0)
    accept_one(outbox_with(client), write, client="a")
    size = outbox_with(client).lane_backlog(RUN).bytes

    with pytest.raises(OverCap) as later:
        accept_one(outbox_with(client, **{cap: size}), write, client="a")
    with pytest.raises(OverCap) as never:
        accept_one(outbox_with(client, **{cap: size - 1}), write, client="a")

    assert (later.value.max_bytes, never.value.max_bytes) == (None, size - 1)


def test_what_waits_of_a_run_is_told(client: Any) -> None:
    outbox = outbox_with(client)
    unknown = outbox.lane_backlog(RUN)
    for step in range(3):
        accept_one(outbox, metric(step), client="a")
    waiting = outbox.lane_backlog(RUN)
    claim = outbox.claim(RUN, lease=LEASE)
    assert claim
    in_delivery = outbox.lane_backlog(RUN)
    outbox.release(claim, after=LEASE, attempt=Attempt(writes=3, reason="unavailable", message="down"))
    failed = outbox.lane_backlog(RUN)

    assert (unknown.pending, unknown.bytes, unknown.oldest_accepted_at) == (0, 0, None)
    assert (waiting.pending, waiting.delivering, waiting.attempts) == (3, False, 0)
    assert waiting.bytes == sum(job.size for job in claim.jobs)
    assert waiting.oldest_accepted_at == claim.jobs[0].accepted_at
    assert (in_delivery.delivering, in_delivery.next_attempt_at) == (True, None)
    assert (failed.delivering, failed.attempts) == (False, 1)
    assert failed.error
    assert failed.error.message == "down"
    assert failed.next_attempt_at
    assert 0 <= failed.lag < 60


@pytest.fixture
def real(redis_server: tuple[Server, str]) -> Any:
    client = connect(redis_server[1], timeout=LEASE, connections=20)
    client.flushall()
    yield client
    client.config_set("maxmemory", 0)
    client.close()


def test_intake_stops_well_before_the_stores_own_limit(real: Any) -> None:
    used = real.info("memory")["used_memory"]
    real.config_set("maxmemory", used * 2)
    accept_one(outbox_with(real), metric(1), client="a")
    real.config_set("maxmemory", int(used * 1.1))

    with pytest.raises(OverCap, match="store"):
        accept_one(outbox_with(real), metric(2), client="a")


def test_a_store_at_its_own_limit_takes_no_writes_and_can_be_drained(real: Any) -> None:
    outbox = outbox_with(real)
    for step in range(10):
        accept_one(outbox, metric(step), client="a")
    real.config_set("maxmemory", 1)

    with pytest.raises(StoreUnavailable):
        accept_one(outbox, metric(10), client="a")
    # As a process does that is started now.
    outbox = outbox_with(real)
    flow_control = RedisFlowControl(real, "u", rate=10, burst=10, probe=LEASE)
    flow_control.acquire()
    assert [each.lane for each in outbox.due(limit=10, guard=dt.timedelta(milliseconds=1))] == [RUN]
    claim = outbox.claim(RUN, lease=LEASE)
    assert isinstance(claim, Claim)
    outbox.release(claim, after=dt.timedelta(), attempt=Attempt(writes=10, reason="unavailable", message="down"))
    claim = outbox.claim(RUN, lease=LEASE)
    assert isinstance(claim, Claim)
    flow_control.record(Delivered(status=200))
    dead_lettering = DeadLettering(reason=DeadLetterReason.EXPIRED, message="down")
    dead_lettered = Settlement(count=1, attempts=1, dead_lettering=dead_lettering)
    following = outbox.settle(claim, dead_lettered, lease=LEASE)
    assert outbox.settle(claim, dead_lettered, lease=LEASE) == following
    claim = following
    assert isinstance(claim, Claim)
    claim = outbox.settle(claim, Settlement(), lease=LEASE)
    assert isinstance(claim, Claim)

    assert outbox.settle(claim, Settlement(count=9, attempts=1, status=200), lease=LEASE) is None
    assert RedisDeadLetters(real, fate_ttl=RETENTION).count(LetterFilter()) == 1


def test_a_store_that_becomes_unfit_is_given_no_more_writes(real: Any) -> None:
    outbox = outbox_with(real)
    accept_one(outbox, metric(1), client="a")
    real.config_set("maxmemory-policy", "allkeys-lru")
    try:

        def refused() -> bool:
            try:
                accept_one(outbox, metric(2), client="a")
            except StoreUnavailable as error:
                return "noeviction" in str(error)
            return False

        wait_until(refused)
        assert refused()
    finally:
        real.config_set("maxmemory-policy", "noeviction")
    accept_one(outbox, metric(3), client="a")


def offer(write: Write, group: bytes, client: str = "a", idempotency: Idempotency | None = None) -> Offer:
    return Offer(write=write, client=client, group=group, idempotency=idempotency)


@pytest.mark.parametrize(
    ("cap", "full"),
    [("lane", RUN), ("of_client", RUN), ("store", RUN), ("of_client", OTHER), ("store", OTHER)],
    ids=["run", "client", "store", "client, new run", "store, new run"],
)
def test_no_shorter_write_of_a_request_passes_one_of_its_run_that_found_no_room(
    client: Any, cap: str, full: str
) -> None:
    accept_one(outbox_with(client), replace(tag("t", "x" * 900), lane=full), client="a")
    # It looks at what is there already.
    outbox = outbox_with(client, **{cap: 2000})
    long, short, other = tag("t", "x" * 1200), metric(1), metric(2, run_id=f"{9:032x}")

    of_one = outbox.accept_all([offer(long, b"request1"), offer(short, b"request1"), offer(other, b"request1")])
    of_next = outbox.accept_all([offer(short, b"request2")])
    alone = outbox.accept_all([offer(short, b"")])

    assert [type(verdict) for verdict in of_one] == [OverCap, OverCap, Accepted]
    assert [type(verdict) for verdict in (*of_next, *alone)] == [Accepted, Accepted]


def test_one_that_can_never_be_taken_holds_up_no_other_of_its_request(client: Any) -> None:
    outbox = outbox_with(client, lane=2000)

    verdicts = outbox.accept_all([offer(tag("t", "x" * 3000), b"request1"), offer(metric(1), b"request1")])

    assert [type(verdict) for verdict in verdicts] == [OverCap, Accepted]


def test_a_key_whose_write_can_never_be_taken_may_come_with_a_smaller_one(client: Any) -> None:
    outbox = outbox_with(client, lane=1000)
    accept_one(outbox, metric(0), client="a")
    keyed = {
        body: Idempotency(key="k", fingerprint=body)
        for body in (b"fingerprint-long", b"fingerprint-full", b"fingerprint-less")
    }
    too_long, full, less = keyed.values()

    [never] = outbox.accept_all([offer(tag("t", "x" * 2000), b"", idempotency=too_long)])
    [later] = outbox.accept_all([offer(tag("t", "x" * 850), b"", idempotency=full)])
    [reused] = outbox.accept_all([offer(metric(1), b"", idempotency=less)])
    drain(outbox)
    [taken] = outbox.accept_all([offer(tag("t", "x" * 850), b"", idempotency=full)])

    assert isinstance(never, OverCap)
    assert never.max_bytes == 1000
    assert isinstance(later, OverCap)
    assert later.max_bytes is None
    assert isinstance(reused, KeyReused), "the one that may come again keeps its key"
    assert isinstance(taken, Accepted)
