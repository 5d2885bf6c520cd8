# SPDX-License-Identifier: Apache-2.0
"""Several writes accepted in one round trip: each has its own verdict, and all keep their order."""

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pytest
from redis.cluster import RedisCluster

from bridge.errors import OverCap
from bridge.outbox import Accepted, Caps, Offer
from bridge.redis_store import keys
from bridge.redis_store.accept import WriteAcceptor
from bridge.redis_store.outbox import RedisOutbox
from bridge.redis_store.scripts import Call, SentCalls
from schemas.idempotency import Idempotency, KeyReused
from schemas.write import Write
from tests.contract.conftest import RETENTION
from tests.dying import lose_first_results
from tests.factories import RUN, metric, tag

LEASE = dt.timedelta(seconds=30)
OTHER = f"{1:032x}"


def offer(write: Write, *, key: str | None = None, request: bytes = b"r" * 16, group: bytes = b"") -> Offer:
    idempotency = Idempotency(key=key, fingerprint=request) if key else None
    return Offer(write=write, client="a", idempotency=idempotency, group=group)


def grouped(writes: Iterable[Write]) -> list[Offer]:
    """Return the offers of one request."""
    return [offer(write, group=b"request1") for write in writes]


def pending(outbox: RedisOutbox, lane: str) -> list[Write]:
    claim = outbox.claim(lane, lease=LEASE)
    assert claim
    return [job.write for job in claim.jobs]


def test_each_write_goes_to_the_end_of_its_lane_in_the_order_of_the_offers(outbox: RedisOutbox) -> None:
    writes = [metric(step, run_id=RUN if step % 2 else OTHER) for step in range(300)]

    verdicts = outbox.accept_all([offer(write) for write in writes])

    assert [type(verdict) for verdict in verdicts] == [Accepted] * 300
    assert [verdict.was_idle for verdict in verdicts if isinstance(verdict, Accepted)] == [True, True] + [False] * 298
    assert pending(outbox, RUN) == writes[1::2]
    assert pending(outbox, OTHER) == writes[0::2]


def test_a_verdict_is_about_one_offer_only(client: Any) -> None:
    caps = Caps(lane=1000, client=1 << 40, store=1 << 40)
    outbox = RedisOutbox(client, retention=RETENTION, idempotency_ttl=RETENTION, caps=caps)
    outbox.accept_all([offer(metric(1), key="k")])
    long = tag("long", "x" * 900)

    verdicts = outbox.accept_all(
        [offer(metric(3)), offer(metric(4), key="k", request=b"o" * 16), offer(long), offer(metric(5))]
    )

    assert [type(verdict) for verdict in verdicts] == [Accepted, KeyReused, OverCap, Accepted]
    assert pending(outbox, RUN) == [metric(1), metric(3), metric(5)]


def test_a_key_that_comes_twice_at_once_is_one_write(outbox: RedisOutbox) -> None:
    first, second = outbox.accept_all([offer(metric(1), key="k"), offer(metric(1), key="k")])

    assert isinstance(first, Accepted)
    assert isinstance(second, Accepted)
    assert (first.job_id, first.replayed, second.replayed) == (second.job_id, False, True)
    assert pending(outbox, RUN) == [metric(1)]


def test_of_two_requests_with_one_key_at_once_the_first_has_it(outbox: RedisOutbox) -> None:
    verdicts = outbox.accept_all(
        [offer(metric(1), key="k"), offer(metric(2, run_id=OTHER), key="k", request=b"o" * 16)]
    )

    assert [type(verdict) for verdict in verdicts] == [Accepted, KeyReused]
    assert pending(outbox, RUN) == [metric(1)]


def test_a_key_that_gets_free_while_it_is_read_is_bound_to_one_request(
    client: Any, outbox: RedisOutbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    guard, bind, freed = keys.idempotency_guard("a", "k"), WriteAcceptor._bind_guards, list[str]()  # noqa: SLF001 - a guard gets free between its two commands

    def bind_what_gets_free(self: WriteAcceptor, guards: Mapping[str, bytes]) -> dict[str, bytes | None]:
        if freed:
            return bind(self, guards)
        freed.extend(guards)
        return dict.fromkeys(guards)

    monkeypatch.setattr(WriteAcceptor, "_bind_guards", bind_what_gets_free)
    [verdict] = outbox.accept_all([offer(metric(1), key="k")])
    [other] = outbox.accept_all([offer(metric(2, run_id=OTHER), key="k", request=b"o" * 16)])

    assert freed == [guard]
    assert (type(verdict), type(other)) == (Accepted, KeyReused)
    assert client.get(guard) == b"r" * 16


def test_long_writes_of_one_round_trip_are_stored_in_order(outbox: RedisOutbox) -> None:
    # More than is sent in one piece.
    writes = [tag(f"t{number}", "x" * 7_900) for number in range(50)]

    verdicts = outbox.accept_all([offer(write) for write in writes])

    assert [type(verdict) for verdict in verdicts] == [Accepted] * 50
    assert pending(outbox, RUN) == writes


def test_offers_that_are_repeated_are_stored_once(outbox: RedisOutbox, monkeypatch: pytest.MonkeyPatch) -> None:
    lose_first_results(outbox._scripts.accept, monkeypatch)  # noqa: SLF001 - the wire is what breaks here
    offers = [offer(metric(step)) for step in range(5)]

    verdicts = outbox.accept_all(offers)
    again = outbox.accept_all(offers, repeated=True)

    assert [type(verdict) for verdict in verdicts] == [Accepted] * 5
    assert [each.job_id for each in again if isinstance(each, Accepted)] == [
        each.job_id for each in verdicts if isinstance(each, Accepted)
    ]
    assert pending(outbox, RUN) == [metric(step) for step in range(5)]


def test_writes_of_a_batch_for_all_nodes_are_accepted_and_one_that_moved_is_found(
    outbox: RedisOutbox, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    lanes = [f"{number:032x}" for number in range(40)]
    writes = {lane: [metric(step, run_id=lane) for step in range(2)] for lane in lanes}
    if isinstance(client, RedisCluster):
        # As if each slot had moved since the nodes were asked for theirs.
        cluster: Any = client
        nodes, found = cluster.get_primaries(), cluster.get_node_from_key

        def next_node(key: str) -> Any:
            names = [node.name for node in nodes]
            return nodes[(names.index(found(key).name) + 1) % len(nodes)]

        monkeypatch.setattr(cluster, "get_node_from_key", next_node)

    verdicts = outbox.accept_all([offer(write) for lane in lanes for write in writes[lane]])

    assert [verdict.lane for verdict in verdicts if isinstance(verdict, Accepted)] == [
        lane for lane in lanes for _ in writes[lane]
    ]
    assert {lane: pending(outbox, lane) for lane in lanes} == writes


def test_a_first_try_that_arrives_after_its_repeat_does_not_come_behind_what_was_written_since(
    outbox: RedisOutbox,
) -> None:
    first = [offer(tag("t", "old"))]
    outbox.accept_all(first, repeated=True)
    outbox.accept_all([offer(tag("t", "new"))])

    [late] = outbox.accept_all(first)

    assert not isinstance(late, Accepted)
    assert pending(outbox, RUN) == [tag("t", "old"), tag("t", "new")]


def test_a_store_that_has_forgotten_the_script_is_given_it_again(outbox: RedisOutbox, client: Any) -> None:
    outbox.accept_all([offer(metric(1))])
    client.script_flush()

    verdicts = outbox.accept_all([offer(metric(2)), offer(metric(3))])

    assert [type(verdict) for verdict in verdicts] == [Accepted] * 2
    assert pending(outbox, RUN) == [metric(1), metric(2), metric(3)]


def test_writes_of_one_request_take_one_call_for_each_lane(
    outbox: RedisOutbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent, send = list[Call](), outbox._scripts.accept.send  # noqa: SLF001 - the number of calls is what is promised

    def send_and_note(calls: Sequence[Call]) -> SentCalls:
        sent.extend(calls)
        return send(calls)

    monkeypatch.setattr(outbox._scripts.accept, "send", send_and_note)  # noqa: SLF001
    writes = [metric(step, run_id=RUN if step % 2 else OTHER) for step in range(300)]

    verdicts = [each for each in outbox.accept_all(grouped(writes)) if isinstance(each, Accepted)]

    assert len(sent) == 2
    assert [verdict.lane for verdict in verdicts] == [write.lane for write in writes]
    assert [verdict.was_idle for verdict in verdicts] == [True, True] + [False] * 298
    for lane, first in ((OTHER, 0), (RUN, 1)):
        positions = [verdict.position for verdict in verdicts if verdict.lane == lane]
        assert positions == list(range(positions[0], positions[0] + 150))
        assert pending(outbox, lane) == writes[first::2]


def test_of_one_request_the_first_writes_are_accepted_for_which_there_is_room(client: Any) -> None:
    caps = Caps(lane=1000, client=1 << 40, store=1 << 40)
    outbox = RedisOutbox(client, retention=RETENTION, idempotency_ttl=RETENTION, caps=caps)
    writes = [metric(1), metric(2), tag("long", "x" * 800), metric(3), metric(4, run_id=OTHER)]

    verdicts = outbox.accept_all(grouped(writes))

    assert [type(verdict) for verdict in verdicts] == [Accepted, Accepted, OverCap, OverCap, Accepted]
    assert pending(outbox, RUN) == writes[:2]
    assert pending(outbox, OTHER) == writes[4:]


def test_writes_with_a_key_and_without_keep_their_order_in_one_request(outbox: RedisOutbox) -> None:
    writes = [metric(step) for step in range(6)]
    offers = [offer(write, group=b"request1", key="k" if step == 2 else None) for step, write in enumerate(writes)]

    verdicts = outbox.accept_all(offers)
    again = outbox.accept_all(offers[2:3])

    assert [type(verdict) for verdict in (*verdicts, *again)] == [Accepted] * 7
    assert pending(outbox, RUN) == writes


def test_long_writes_of_one_request_are_stored_in_order(outbox: RedisOutbox) -> None:
    # More than one call takes.
    writes = [tag(f"t{number}", "x" * 7_900) for number in range(50)]

    verdicts = outbox.accept_all(grouped(writes))

    assert [type(verdict) for verdict in verdicts] == [Accepted] * 50
    assert pending(outbox, RUN) == writes


def test_a_request_of_which_the_first_try_had_no_response_is_stored_once(
    outbox: RedisOutbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    lose_first_results(outbox._scripts.accept, monkeypatch)  # noqa: SLF001 - the wire is what breaks here
    # As many as one round trip offers.
    writes = [metric(step) for step in range(1000)]

    verdicts = outbox.accept_all(grouped(writes))

    positions = [verdict.position for verdict in verdicts if isinstance(verdict, Accepted)]
    assert positions == list(range(positions[0], positions[0] + 1000))
    assert outbox.extents([RUN])[RUN].pending == 1000


def test_a_request_that_arrives_after_its_repeat_is_not_stored_behind_what_was_written_since(
    outbox: RedisOutbox,
) -> None:
    first = grouped([tag("t", "old"), tag("u", "old")])
    # Only the second was repeated before the process ended.
    outbox.accept_all(first[1:], repeated=True)
    outbox.accept_all([offer(tag("u", "new"))])

    late = outbox.accept_all(first)

    assert not any(isinstance(each, Accepted) for each in late)
    assert pending(outbox, RUN) == [tag("u", "old"), tag("u", "new")]
