# SPDX-License-Identifier: Apache-2.0
"""Connections that break under every call and every thread: a call succeeds, or says that the store is away."""

import datetime as dt
import logging
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any

import pytest
import redis

from bridge.auth.api_keys import StoredClient, new_access_key, new_key
from bridge.auth.encryption import Cipher
from bridge.auth.rate_limits import Usage
from bridge.bootstrap.processes import Api, build_api, build_worker
from bridge.config.environment import read_settings
from bridge.dispatch.celery_dispatch import CeleryDispatch
from bridge.errors import LeaseLost, OverQuota, StoreUnavailable
from bridge.outbox import RENEWAL, Accepted, Offer
from bridge.outbox.intake import VerdictCallback
from bridge.process.background import thread_counts
from bridge.redis_store.api_keys import RedisApiKeyStore
from bridge.redis_store.audit import RedisAuditStore
from bridge.redis_store.client import disconnect
from bridge.redis_store.client_activity import RedisClientActivities
from bridge.redis_store.dead_letters import RedisDeadLetters
from bridge.redis_store.drain_log import RedisDrainLog
from bridge.redis_store.flow_control import RedisFlowControl
from bridge.redis_store.instance_key import RedisInstanceId
from bridge.redis_store.job_search import RedisJobSearch
from bridge.redis_store.metrics import RedisCounterStore
from bridge.redis_store.outbox import RedisOutbox, connect
from bridge.redis_store.rate_limits import RedisRateLimitStore
from bridge.redis_store.replay_cache import RedisReplayCache
from bridge.redis_store.run_lookups import RedisExperimentMemory, RedisRunNames
from bridge.upstream import Delivered
from schemas.audit import AuditFilter, AuditRecord
from schemas.client import Client
from schemas.dead_letter import LetterFilter, LetterOrder
from schemas.idempotency import Idempotency
from tests.amounts import amount
from tests.dying import Connections
from tests.factories import RUN, job, metric
from tests.fakes import Events, respond_at_once
from tests.servers import Server, wait_until
from tests.unit.test_metrics_counting import REQUEST
from workers.periodic import start_periodic_threads

SECOND = dt.timedelta(seconds=1)
NOW = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
#: How many seconds a test goes on after its time, for want of a failure.
_LONGEST = 30.0
SEED = 20261129


@pytest.fixture
def seconds(request: pytest.FixtureRequest) -> float:
    return 30.0 if request.config.getoption("--long") else 3.0


@pytest.fixture(params=amount(["valkey"], ["valkey", "cluster"]))
def store(request: pytest.FixtureRequest) -> Iterator[tuple[str, list[Any]]]:
    """The URL of a store, and a client for each of its servers."""
    if request.param == "cluster":
        url = request.getfixturevalue("redis_cluster")
        cluster: Any = connect(url, timeout=SECOND, connections=2)
        servers = [redis.Redis(host=node.host, port=node.port) for node in cluster.get_primaries()]
        disconnect(cluster, in_use=True)
    else:
        url = request.getfixturevalue("redis_server")[1]
        servers = [redis.Redis.from_url(url)]
    for server in servers:
        server.flushall()
    yield url, servers
    for server in servers:
        server.close()


def work(outbox: RedisOutbox) -> None:
    if claim := outbox.claim(RUN, lease=SECOND):
        following = outbox.settle(claim, RENEWAL, lease=SECOND)
        if following:
            # The client of a cluster repeats a call whose answer was lost. A repeated release finds the lease given
            # back, which is what it was to do.
            with suppress(LeaseLost):
                outbox.release(following, after=dt.timedelta())


def accept(outbox: RedisOutbox, *, key: str | None = None) -> None:
    idempotency = Idempotency(key=key, fingerprint=b"f" * 16, reserves_key=True) if key else None
    for verdict in outbox.accept_all([Offer(write=metric(1), client="a", idempotency=idempotency)] * 2):
        if not isinstance(verdict, Accepted):
            raise verdict


def of_outbox(client: Any) -> dict[str, Callable[[], object]]:
    outbox = RedisOutbox(client, retention=SECOND, idempotency_ttl=SECOND)
    letters, log = RedisDeadLetters(client, fate_ttl=SECOND), RedisDrainLog(client)
    search, everything = RedisJobSearch(client), LetterFilter()
    return {
        "accept": lambda: accept(outbox),
        "accept with a key": lambda: accept(outbox, key="k"),
        "accept on a new outbox": lambda: accept(RedisOutbox(client, retention=SECOND, idempotency_ttl=SECOND)),
        "work": lambda: work(outbox),
        "due": lambda: outbox.due(limit=100, guard=SECOND / 100),
        "job": lambda: outbox.job("AQnojob", client="a"),
        "pending jobs": lambda: outbox.pending_jobs(RUN, client=None, after=0, limit=3),
        "undelivered": lambda: outbox.undelivered(RUN, after=0, max_bytes=1000),
        "lanes of a client": lambda: outbox.lanes_of("a", limit=3),
        "extents": lambda: outbox.extents([RUN]),
        "lane backlog": lambda: outbox.lane_backlog(RUN),
        "backlog": outbox.backlog,
        "report worker": lambda: outbox.report_worker("w"),
        "workers": outbox.workers,
        "durability": outbox.durability,
        "letters": lambda: letters.page(everything, after=None, limit=3),
        "newest letters": lambda: letters.page(everything, after=None, limit=3, order=LetterOrder.NEWEST),
        "letters of a cause": lambda: letters.count(LetterFilter(error_code="X")),
        "totals of letters": lambda: letters.totals(everything),
        "letters by id": lambda: letters.summaries([f"{RUN}.1"]),
        "later writes": lambda: letters.later_writes(job(metric(1))),
        "jobs of a request": lambda: search.by_request("r", client=None),
        "job of a key": lambda: search.by_idempotency_key("k", client="a"),
        "count letters": lambda: letters.count(everything),
        "letter": lambda: letters.letter(f"{RUN}.1"),
        "replay": lambda: letters.replay(f"{RUN}.1"),
        "discard": lambda: letters.discard(f"{RUN}.1"),
        "drains": lambda: log.due(guard=SECOND),
        "drain": lambda: log.drain("d"),
        "list drains": lambda: log.drains(state=None, limit=3),
        "change a rate": lambda: log.change_rate("d", 1.0),
        "cancel": lambda: log.cancel("d"),
    }


def of_the_rest(client: Any) -> dict[str, Callable[[], object]]:
    flow_control = RedisFlowControl(client, "u", rate=None, burst=1, probe=SECOND)
    api_keys, key, access = RedisApiKeyStore(client, cipher=Cipher([b"k" * 32])), new_key(), new_access_key()
    names, memory = RedisRunNames(client, retention=SECOND), RedisExperimentMemory(client)
    counters, replay_cache = RedisCounterStore(client), RedisReplayCache(client)
    someone, audit = Client(name="a"), RedisAuditStore(client)
    record = AuditRecord(
        at=NOW,
        client="a",
        address="",
        action=None,
        method="",
        path="",
        on=None,
        decision="denied",
        status=403,
        request_id=None,
    )
    return {
        "acquire": flow_control.acquire,
        "record": lambda: flow_control.record(Delivered(status=200)),
        "state": flow_control.state,
        "delivered since": lambda: flow_control.delivered_since(NOW),
        "ledger": lambda: RedisRateLimitStore(client).settle([Usage(client="a", uses={"requests": (1.0, 1.0)})]),
        "instance_id": lambda: RedisInstanceId(client).name(),
        "put client": lambda: api_keys.put_client(someone),
        "client of": lambda: api_keys.client_of(key, now=NOW),
        "secret of": lambda: api_keys.secret_of(access.key_id, now=NOW),
        "client signed": lambda: api_keys.use_access_key(access.key_id, now=NOW),
        "encrypt": api_keys.re_encrypt,
        "revoke": lambda: api_keys.revoke(key_id="none"),
        "clients": api_keys.clients,
        "stored clients": api_keys.stored_clients,
        "replace": lambda: api_keys.replace(someone, was=api_keys.stored_client("a")),
        "delete client": lambda: api_keys.delete(StoredClient(someone, b"other")),
        "delete key": lambda: api_keys.delete_key("none"),
        "claim removal": lambda: api_keys.claim_removal(["k1"], remaining=["k2"]),
        "withdraw removal": lambda: api_keys.withdraw_removal(["k1"]),
        "activities": lambda: RedisClientActivities(client).of(["a"]),
        "append audit": lambda: audit.append([record]),
        "page audit": lambda: audit.page(AuditFilter(), after=None, limit=3),
        "keys": api_keys.keys,
        "bind": lambda: names.bind("lane", RUN),
        "run id": lambda: names.run_id("lane"),
        "remember": lambda: memory.remember("lane", "1"),
        "experiment of": lambda: memory.experiment_of("lane"),
        "add": lambda: counters.add({("name", "label"): 1.0, ("other",): 2.0}),
        "read": counters.read,
        "report threads": lambda: counters.report("p", {("t", "alive"): 1}),
        "threads": counters.threads,
        "begin": lambda: replay_cache.begin("s" * 64, lease=SECOND),
        "finish": lambda: replay_cache.finish("s" * 64, b"", keep=SECOND),
        "forget": lambda: replay_cache.forget("s" * 64),
    }


def test_each_call_succeeds_or_says_that_the_store_is_away(
    store: tuple[str, list[Any]], seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, killers = store
    connections = Connections(monkeypatch)
    client = connect(url, timeout=SECOND, connections=50)
    calls = of_outbox(client) | of_the_rest(client)
    random_ = random.Random(SEED)  # noqa: S311 - it only chooses
    outcomes: Counter[tuple[str, str]] = Counter()
    causes: Counter[str] = Counter()
    least = seconds * 10

    def done() -> int:
        return sum(number for (_, outcome), number in outcomes.items() if outcome == "done")

    with connections.breaking(killers, seed=SEED) as breaks:
        end = time.monotonic() + seconds
        # On a slow machine it may take longer until calls have succeeded and have been hit.
        while time.monotonic() < end or (not (causes and done() > least) and time.monotonic() < end + _LONGEST):
            name = random_.choice(list(calls))
            try:
                calls[name]()
                outcomes[name, "done"] += 1
            except StoreUnavailable as error:
                outcomes[name, "away"] += 1
                causes[type(error.__cause__).__name__] += 1
    disconnect(client, in_use=True)

    logging.getLogger(__name__).info("%s breaks, %s", breaks[0], causes)
    assert breaks[0] > least
    assert done() > least
    assert causes
    for call in calls.values():
        call()


def test_the_broker_answers_or_has_no_room(
    redis_server: tuple[Server, str], seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    killer = redis.Redis.from_url(redis_server[1])
    connections = Connections(monkeypatch)
    dispatch = CeleryDispatch(redis_server[1], observe=Events(), timeout=SECOND)
    outcomes: Counter[bool] = Counter()

    with connections.breaking([killer], seed=SEED):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            dispatch.lane_due(RUN, "a")
            outcomes[dispatch.capacity().total > 0] += 1

    assert outcomes[True]
    wait_until(dispatch.ping)
    killer.flushall()
    killer.close()


@pytest.fixture
def environ(store: tuple[str, list[Any]], redis_server: tuple[Server, str]) -> Mapping[str, str]:
    return {
        "BRIDGE_STORE_URL": store[0],
        "BRIDGE_BROKER_URL": redis_server[1],
        "BRIDGE_UPSTREAM": "http://127.0.0.1:1",
        "BRIDGE_QUOTA_REQUESTS": "100000",
    }


def use(api: Api, someone: Client, callback: VerdictCallback) -> None:
    """Give work to each of its threads."""
    api.observe(REQUEST)
    try:
        api.rate_limits.admit(someone, needs=("requests",))
    except OverQuota as error:
        raise AssertionError from error
    api.intake.submit([Offer(write=metric(1), client="a")], callback, respond_at_once)
    api.dispatch.lane_due(RUN, "a")


def test_every_thread_of_an_api_and_a_worker_lives_on(
    environ: Mapping[str, str],
    store: tuple[str, list[Any]],
    seconds: float,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    connections = Connections(monkeypatch)
    api, worker = build_api(read_settings(environ)), build_worker(read_settings(environ))
    start_periodic_threads(worker)
    api.report_threads()
    submitted, verdicts = 0, list[Any]()

    with connections.breaking(store[1], seed=SEED):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            use(api, Client(name="a"), verdicts.append)
            submitted += 1

    # What the intake still has waiting would be stored during other tests.
    wait_until(lambda: len(verdicts) == submitted)
    worker.stopping.set()
    names = {name for name, state in thread_counts() if state == "alive"}
    # The thread of the intake begins with the first store that is slow, which need not happen here.
    assert names >= {"meter", "events", "quotas", "dispatch", "occupancy"}
    assert not [name for name, state in thread_counts() if state == "dead"]
    # None had to be caught by its thread: the adapters say what they must.
    assert [record for record in caplog.records if "thread_failed" in record.message] == []
    for thread, state in wait_until(lambda: _quietly(api.operations.counters.threads)):
        assert (thread, state) == (thread, "alive")
    api.close()
    worker.close()


def _quietly(read: Callable[[], Any]) -> Any:
    try:
        return read()
    except StoreUnavailable:
        return None
