# SPDX-License-Identifier: Apache-2.0
"""What `bridge.operations` promises: the snapshot in one round trip, series, lanes and reports of workers."""

import datetime as dt
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import redis
from redis.cluster import RedisCluster

from bridge.operations.lanes import AttemptOrder, InvalidCursor
from bridge.operations.series import NAMES, note_gauges, sample_gauges, series_document
from bridge.operations.snapshot import Snapshot
from bridge.operations.workers import WorkerReport
from bridge.outbox import Attempt, Claim, DeadLettering, DeadLetterReason, Settlement
from bridge.process.clock import SystemClock
from bridge.redis_store import keys
from bridge.redis_store.dead_letters import RedisDeadLetters
from bridge.redis_store.drain_log import RedisDrainLog
from bridge.redis_store.flow_control import RedisFlowControl
from bridge.redis_store.lanes import RedisLanes
from bridge.redis_store.metrics import RedisCounterStore
from bridge.redis_store.outbox import RedisOutbox
from bridge.redis_store.series import RedisSeries
from bridge.redis_store.snapshot import RedisSnapshots
from bridge.redis_store.worker_reports import RedisWorkerReports
from bridge.telemetry import metric_catalogue as catalogue
from bridge.upstream import Delivered, Unavailable
from schemas.dead_letter import LetterFilter
from schemas.drain import Drain, DrainAction, DrainState
from schemas.operations import LanePage, LaneQuery, WorkerError
from tests.factories import accept_one, metric

LEASE = dt.timedelta(seconds=30)
LATER = dt.timedelta(minutes=5)
RUNS = [f"{number:032x}" for number in range(40)]
REFUSED = DeadLettering(reason=DeadLetterReason.REFUSED, message="no")
DOWN = Attempt(writes=1, reason="unavailable", message="status 503")
DENIED = Attempt(writes=1, reason="denied", message="not allowed", failure_kind="denied")
REPORT = WorkerReport(version="0.2.0", started_at=dt.datetime(2026, 1, 1, tzinfo=dt.UTC), concurrency=8, delivering=3)


@pytest.fixture
def flow_control(client: Any) -> RedisFlowControl:
    return RedisFlowControl(client, "upstream", rate=25, burst=50, probe=LEASE)


@pytest.fixture
def snapshots(client: Any, flow_control: RedisFlowControl) -> RedisSnapshots:
    return RedisSnapshots(client, flow_control)


@pytest.fixture
def lanes(client: Any) -> RedisLanes:
    return RedisLanes(client)


def claimed(outbox: RedisOutbox, lane: str) -> Claim:
    claim = outbox.claim(lane, lease=LEASE)
    assert claim
    return claim


def deliver(outbox: RedisOutbox, lane: str, *, dead: bool = False) -> None:
    settlement = Settlement(count=1, attempts=1, status=200, dead_lettering=REFUSED if dead else None)
    outbox.settle(claimed(outbox, lane), settlement, lease=LEASE)


def fail(outbox: RedisOutbox, lane: str, attempt: Attempt = DOWN) -> None:
    outbox.release(claimed(outbox, lane), after=LATER, attempt=attempt)


@contextmanager
def round_trips(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[object]]:
    """Note each time that something is sent to the store."""
    sent: list[object] = []
    packed: Any = redis.connection.AbstractConnection.send_packed_command

    def send(self: Any, command: Any, *args: Any, **options: Any) -> Any:
        sent.append(command)
        return packed(self, command, *args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(redis.connection.AbstractConnection, "send_packed_command", send)
        yield sent


def test_an_empty_store_has_an_empty_snapshot(snapshots: RedisSnapshots) -> None:
    read = snapshots.read()

    assert (read.lanes, read.writes, read.pending_bytes, read.dead_bytes, read.dead_letters) == (0, 0, 0, 0, 0)
    assert (read.oldest_accepted_at, read.oldest_due, read.workers, read.drains) == (None, None, (), ())
    assert read.flow_control.breaker == "closed"
    assert abs(read.at - dt.datetime.now(dt.UTC)) < dt.timedelta(seconds=10)


def test_a_snapshot_tells_writes_and_letters_apart(
    outbox: RedisOutbox, letters: RedisDeadLetters, snapshots: RedisSnapshots
) -> None:
    for run in RUNS:
        accepted = accept_one(outbox, metric(1, run_id=run), client="a")
        accept_one(outbox, metric(2, run_id=run), client="b")
    first = snapshots.read()
    for run in RUNS[:10]:
        deliver(outbox, run, dead=True)
    second = snapshots.read()
    for letter_id in letters.find(LetterFilter(), after=None, limit=4).letter_ids:
        letters.discard(letter_id)
    letters.replay(letters.find(LetterFilter(), after=None, limit=1).letter_ids[0])
    third = snapshots.read()

    assert (first.lanes, first.writes, first.dead_bytes) == (40, 80, 0)
    assert first.pending_bytes > 0
    assert first.oldest_accepted_at
    assert first.oldest_accepted_at <= accepted.accepted_at
    assert first.oldest_due
    assert (second.writes, second.dead_letters, second.dead_letters_last_hour) == (70, 10, 10)
    assert second.pending_bytes < first.pending_bytes
    assert second.dead_bytes > 0
    assert (third.writes, third.dead_letters) == (71, 5)


def test_what_an_older_release_has_left_is_unknown_until_its_partition_is_empty(
    outbox: RedisOutbox, snapshots: RedisSnapshots, client: Any
) -> None:
    accept_one(outbox, metric(1), client="a")
    lane = metric(1).lane
    held = keys.held(keys.partition(lane))
    # Its scripts change the bytes alone.
    client.hincrby(held, "bytes", 100)
    client.hincrby(held, "of:a", 100)
    unknown = snapshots.read()
    accept_one(outbox, metric(2), client="a")
    still = snapshots.read()
    claim = claimed(outbox, lane)
    outbox.settle(claim, Settlement(count=2, attempts=1, status=200), lease=LEASE)
    empty = snapshots.read()
    accept_one(outbox, metric(3), client="a")

    assert (unknown.writes, still.writes, empty.writes) == (None, None, 0)
    assert unknown.pending_bytes > 100
    assert (unknown.dead_bytes, empty.pending_bytes) == (0, 0)
    assert snapshots.read().writes == 1


def test_nonsense_is_not_repeated(outbox: RedisOutbox, snapshots: RedisSnapshots, client: Any) -> None:
    accept_one(outbox, metric(1), client="a")
    held = keys.held(keys.partition(metric(1).lane))
    client.hset(held, mapping={"writes": -3, "of:a": -50})

    read = snapshots.read()

    assert (read.writes, read.pending_bytes) == (None, 0)
    assert read.dead_bytes >= 0


def test_a_snapshot_is_one_round_trip(
    outbox: RedisOutbox,
    snapshots: RedisSnapshots,
    log: RedisDrainLog,
    client: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if type(client) is not redis.Redis:
        pytest.skip("only the commands of a client of one real server are counted")
    for run in RUNS:
        accept_one(outbox, metric(1, run_id=run), client="a")
    log.begin(drain("d1"))
    # The first one opens the connection, and sees the drain.
    snapshots.read()

    with round_trips(monkeypatch) as sent:
        read = snapshots.read()

    assert len(sent) == 1, sent
    assert (read.lanes, [each.drain_id for each in read.drains]) == (40, ["d1"])


def test_a_snapshot_costs_a_cluster_one_round_trip_a_node_and_the_time(
    outbox: RedisOutbox, snapshots: RedisSnapshots, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster: Any = client
    if not isinstance(client, RedisCluster):
        pytest.skip("for a cluster")
    accept_one(outbox, metric(1), client="a")
    snapshots.read()

    with round_trips(monkeypatch) as sent:
        snapshots.read()

    assert len(sent) <= len(cluster.get_primaries()) + 1, sent


def drain(drain_id: str) -> Drain:
    return Drain(
        drain_id=drain_id,
        action=DrainAction.REPLAY,
        filter=LetterFilter(),
        rate=20,
        state=DrainState.RUNNING,
        total=10,
        done=0,
        began_at=dt.datetime.now(dt.UTC),
    )


def test_drains_are_in_the_snapshot_while_they_run(snapshots: RedisSnapshots, log: RedisDrainLog) -> None:
    log.begin(drain("d1"))
    log.begin(drain("d2"))
    log.advance("d1", state=DrainState.RUNNING, cursor=None, done=4, skipped=0, at=dt.datetime.now(dt.UTC))
    first = snapshots.read().drains
    log.cancel("d2")

    assert {(each.drain_id, each.done) for each in first} == {("d1", 4), ("d2", 0)}
    assert [each.drain_id for each in snapshots.read().drains] == ["d1"]


def test_it_is_known_since_when_the_breaker_is_open(
    snapshots: RedisSnapshots, flow_control: RedisFlowControl, client: Any
) -> None:
    began = dt.datetime.now(dt.UTC) - dt.timedelta(seconds=1)
    refused = Unavailable(reason="AWS refuses the bridge's credentials", identity_failed=True)
    flow_control.record(refused)
    opened = snapshots.read().flow_control
    # A probe fails, and the breaker opens for longer.
    client.hset(flow_control.key, "until", 1)
    flow_control.record(refused)
    again = snapshots.read().flow_control
    client.hset(flow_control.key, "until", 1)
    flow_control.record(Delivered(status=200))
    closed = snapshots.read().flow_control

    assert (opened.breaker, opened.reason) == ("open", refused.reason)
    assert opened.since
    assert began < opened.since < began + dt.timedelta(seconds=20)
    assert (again.breaker, again.since) == ("open", opened.since)
    assert (closed.breaker, closed.since) == ("closed", None)


def test_what_a_closed_breaker_left_is_not_since_when_it_is_open(
    snapshots: RedisSnapshots, flow_control: RedisFlowControl, client: Any
) -> None:
    now_ms = int(dt.datetime.now(dt.UTC).timestamp() * 1000)
    # An older release has closed it and opened it again, and knows nothing of `opened`.
    client.hset(flow_control.key, mapping={"opened": 1000, "delivered": now_ms, "until": now_ms + 9000, "reason": "x"})

    assert snapshots.read().flow_control.since is None


def test_workers_report_what_they_do(outbox: RedisOutbox, snapshots: RedisSnapshots, client: Any) -> None:
    reports, error = RedisWorkerReports(client), WorkerError(at=REPORT.started_at, text="The store failed.")
    outbox.report_worker("older:7")
    outbox.report_worker("newer:8")
    reports.report("gone:1", REPORT)
    reports.report("newer:8", WorkerReport(**{**_fields(REPORT), "last_error": error}))

    newer, older = snapshots.workers()

    assert (newer.name, newer.host, newer.pid, newer.version) == ("newer:8", "newer", 8, "0.2.0")
    assert (newer.concurrency, newer.delivering, newer.last_error) == (8, 3, error)
    assert (older.name, older.pid, older.version, older.delivering) == ("older:7", 7, None, None)
    assert snapshots.read().alive_workers == (newer, older)
    assert set(client.hkeys(keys.WORKER_REPORTS)) == {b"newer:8"}


def _fields(report: WorkerReport) -> dict[str, Any]:
    return {name: getattr(report, name) for name in report.__struct_fields__}


def test_counts_and_gauges_are_kept_by_the_minute(client: Any, snapshots: RedisSnapshots, outbox: RedisOutbox) -> None:
    store, counters, now = RedisSeries(client), RedisCounterStore(client), dt.datetime.now(dt.UTC)
    accept_one(outbox, metric(1), client="a")
    counters.add({(catalogue.WRITES_ACCEPTED.name,): 2.0, (catalogue.UPSTREAM_CALLS.name, "delivered", "200"): 1.0})
    counters.add({(catalogue.UPSTREAM_CALLS.name, "unavailable", "503"): 3.0, (catalogue.LEASES_LOST.name,): 9.0})
    counters.add({(catalogue.DELIVERY_LAG_SECONDS.name, "1"): 4.0, (catalogue.DELIVERY_LAG_SECONDS.name, "sum"): 0.3})
    sample_gauges(store, snapshots, SystemClock())
    guarded = store.claim_sample()

    document = series_document(store, NAMES, minutes=3, now=now + dt.timedelta(minutes=1))

    found = {name: each.values[:2] for name, each in document.series.items() if each.values}
    total = {name: sum(value for value in values if value is not None) for name, values in found.items()}
    assert (total["writes_accepted"], total["upstream_calls"], total["pending_writes"]) == (2, 4, 1)
    assert (total["breaker_open"], guarded) == (0, False)
    assert max(value or 0 for value in document.series["delivery_lag_seconds"].p50 or []) == pytest.approx(0.075)
    # A future minute has no counts.
    assert document.series["writes_accepted"].values
    assert document.series["writes_accepted"].values[2] is None
    assert (document.step, document.partial, len(document.series)) == (60, True, len(NAMES))
    assert all(0 < client.ttl(key) < 4 * 3600 for key in client.scan_iter("bridge:series:*"))


def test_a_minute_in_which_the_breaker_was_open_stays_one(client: Any, snapshots: RedisSnapshots) -> None:
    store, now, closed = RedisSeries(client), dt.datetime.now(dt.UTC), snapshots.read()
    until = now + LATER
    state = type(closed.flow_control)(breaker="open", reason="x", opens_again_at=until, rate=None)
    opened: Snapshot = _replaced(closed, flow_control=state, writes=None)

    for each in (closed, opened, closed):
        note_gauges(store, each, now=now)

    document = series_document(store, ["breaker_open"], minutes=1, now=now)
    assert document.series["breaker_open"].values == [1.0]


def _replaced(snapshot: Snapshot, **changes: Any) -> Snapshot:
    fields = {name: getattr(snapshot, name) for name in snapshot.__dataclass_fields__}
    return Snapshot(**fields | changes)


def all_pages(read: Callable[[LaneQuery], LanePage], **wanted: Any) -> list[str]:
    found, cursor = [], None
    while True:
        page = read(LaneQuery(**wanted, cursor=cursor))
        found += [lane.lane for lane in page.lanes]
        cursor = page.next
        if cursor is None:
            return found


def test_lanes_are_listed_in_order_of_their_oldest_write(outbox: RedisOutbox, lanes: RedisLanes) -> None:
    times = {run: accept_one(outbox, metric(1, run_id=run), client="a").accepted_at for run in RUNS}
    expected = sorted(RUNS, key=lambda run: (times[run], run))

    assert all_pages(lanes.page, limit=7) == expected
    assert all_pages(lanes.page, limit=7, order="newest") == expected[::-1]
    assert all_pages(lanes.page, limit=1000) == expected


def test_lanes_that_waited_from_the_same_moment_are_each_listed_once(
    outbox: RedisOutbox, lanes: RedisLanes, client: Any
) -> None:
    for run in RUNS:
        accept_one(outbox, metric(1, run_id=run), client="a")
        client.zadd(keys.oldest(keys.partition(run)), {run: 1000})

    assert all_pages(lanes.page, limit=3) == sorted(RUNS)
    assert all_pages(lanes.page, limit=3, order="newest") == sorted(RUNS, reverse=True)


def test_lanes_are_found_by_state_and_by_client(outbox: RedisOutbox, lanes: RedisLanes) -> None:
    waiting, delivering, failing, denied, other = RUNS[:5]
    for run in (waiting, delivering, failing, denied):
        accept_one(outbox, metric(1, run_id=run), client="a")
    accept_one(outbox, metric(1, run_id=other), client="b")
    claimed(outbox, delivering)
    fail(outbox, failing)
    fail(outbox, denied, DENIED)

    by_state = {
        state: all_pages(lanes.page, state=state, limit=1) for state in ("waiting", "delivering", "failing", "denied")
    }

    assert {state: set(found) for state, found in by_state.items()} == {
        "waiting": {waiting, other},
        "delivering": {delivering},
        "failing": {failing},
        "denied": {denied},
    }
    assert all_pages(lanes.page, client="b", limit=1) == [other]
    assert set(all_pages(lanes.page, client="a", limit=1, order="newest")) == {waiting, delivering, failing, denied}
    assert all_pages(lanes.page, client="nobody") == []


def test_a_lane_says_what_it_waits_for(outbox: RedisOutbox, lanes: RedisLanes, client: Any) -> None:
    run, named = RUNS[0], "run:nightly%2F17"
    accept_one(outbox, metric(1, run_id=run), client="a")
    accept_one(outbox, metric(2, run_id=run), client="a")
    deliver(outbox, run, dead=True)
    outbox.release(claimed_again(outbox, run, client), after=LATER, attempt=DOWN)

    lane = lanes.lane(run)

    assert lane
    assert (lane.pending, lane.client, lane.run_name, lane.dead_letters) == (1, "a", None, 1)
    assert (lane.state, lane.attempts, lane.error and lane.error.message) == ("failing", 1, "status 503")
    assert lane.next_attempt_at
    assert lanes.lane("never-heard-of") is None
    assert lanes.lane(named) is None


def claimed_again(outbox: RedisOutbox, run: str, client: Any) -> Claim:
    """Claim a lane while its last claim lives."""
    client.zadd(keys.ready(keys.partition(run)), {run: 0})
    return claimed(outbox, run)


def test_a_lane_is_attempted_now_unless_it_is_being_delivered(outbox: RedisOutbox, lanes: RedisLanes) -> None:
    failing, delivering = RUNS[:2]
    for run in (failing, delivering):
        accept_one(outbox, metric(1, run_id=run), client="a")
    fail(outbox, failing)
    claimed(outbox, delivering)
    assert outbox.claim(failing, lease=LEASE) is None

    ordered = [lanes.attempt(run) for run in (failing, delivering, RUNS[2], failing)]

    assert ordered == [AttemptOrder.DUE, AttemptOrder.DELIVERING, AttemptOrder.UNKNOWN, AttemptOrder.DUE]
    assert outbox.claim(failing, lease=LEASE)
    assert outbox.claim(delivering, lease=LEASE) is None


@pytest.mark.parametrize("cursor", ["", "x", "MTAw", "YS9i", "MS8=MS8=", "é", "LS8="])
def test_a_cursor_that_is_none_is_refused(lanes: RedisLanes, cursor: str) -> None:
    with pytest.raises(InvalidCursor):
        lanes.page(LaneQuery(cursor=cursor))


def test_a_process_without_threads_hides_those_of_no_other(client: Any) -> None:
    counters = RedisCounterStore(client)
    counters.report("new", {})
    counters.report("old", {("meter", "alive"): 1})

    assert counters.threads() == {("meter", "alive"): 1}
