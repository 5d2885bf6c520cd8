# SPDX-License-Identifier: Apache-2.0
"""Whatever becomes of the store, every background thread of api and workers lives afterwards, and /metrics shows it."""

import contextlib
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import redis
import requests
from prometheus_client.parser import text_string_to_metric_families

from tests.servers import redis_at, redis_cluster_nodes_at, replica_of, running, wait_until
from tests.system import System, system

#: Whole lives of processes.
pytestmark = pytest.mark.full


#: What each process has, and how often, once it has worked: one api server, its manager, two workers.
WORKERS_OWN = {"sweep": 2, "drain": 2}


def threads(bridge: System) -> dict[tuple[str, str], float]:
    """Of each thread and state how many there are, as an operator sees it."""
    return {
        (labels["thread"], labels["state"]): value
        for name, labels, value in samples(bridge)
        if name == "mlflow_bridge_threads"
    }


def samples(bridge: System) -> Iterator[tuple[str, dict[str, str], float]]:
    with contextlib.suppress(requests.RequestException):
        text = requests.get(f"{bridge.url}/metrics", timeout=30).text
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                yield sample.name, sample.labels, sample.value


def all_live(bridge: System) -> dict[tuple[str, str], float] | None:
    """The threads, once all processes have reported theirs: at least those that there were before, and none dead."""
    found = threads(bridge)
    alive = {name: number for (name, state), number in found.items() if state == "alive"}
    complete = all(alive.get(name) == number for name, number in WORKERS_OWN.items()) and alive.get("meter", 0) >= 4
    return found if complete and not any(n for (_, state), n in found.items() if state == "dead") else None


def metric(run_id: str, step: int) -> dict[str, object]:
    return {"run_id": run_id, "key": "m", "value": step, "step": step, "timestamp": 1}


def logged(bridge: System, run_id: str, step: int) -> bool:
    return bridge.log("log-metric", metric(run_id, step)).status_code == 200


def survives(bridge: System, trouble: Callable[[], None], *, seconds: float) -> None:
    """Log, have trouble again and again, and see that all threads that there were live and that all is delivered."""
    run_id = bridge.create_run()
    assert logged(bridge, run_id, 0)
    before = wait_until(lambda: all_live(bridge))

    end, taken = time.monotonic() + seconds, [0]
    while len(taken) < 4 or time.monotonic() < end:
        trouble()
        step = taken[-1] + 1
        wait_until(partial(logged, bridge, run_id, step), timeout=60)
        taken.append(step)

    bridge.drained()
    # Reports of before the last trouble count for ten seconds.
    began = time.monotonic()
    wait_until(lambda: time.monotonic() - began > 11 and all_live(bridge), timeout=60, every=0.5)
    after = threads(bridge)
    assert {name: n for name, n in before.items() if after.get(name, 0) < n} == {}
    assert {point["step"] for point in bridge.history(run_id, "m")} >= set(taken)
    failed = {
        labels["thread"]: n for name, labels, n in samples(bridge) if name.endswith("thread_failures_total") and n
    }
    assert failed == {}
    for process in (bridge.api, *bridge.workers):
        assert "thread_failed" not in process.child.log.read_text(errors="replace")


@pytest.fixture
def seconds(request: pytest.FixtureRequest) -> float:
    return 60.0 if request.config.getoption("--long") else 3.0


def kill_clients(store: Any) -> None:
    for _ in range(20):
        store.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        time.sleep(0.01)


def test_a_store_that_is_killed_and_that_closes_connections(mlflow_url: str, short_dir: Path, seconds: float) -> None:
    with system(mlflow_url, short_dir / "lasting") as bridge:

        def trouble() -> None:
            with redis.Redis.from_url(bridge.store_url) as store:
                kill_clients(store)
            bridge.store.kill()
            assert not logged(bridge, "0" * 32, 1)
            bridge.store.start()

        survives(bridge, trouble, seconds=seconds)


# Half a minute: a cluster takes seconds for each failover. The same threads lose their connections to a cluster in
# tests/contract/test_dying_connections.py.
def test_masters_of_a_cluster_that_are_killed_and_fail_over(mlflow_url: str, short_dir: Path, seconds: float) -> None:
    broker, broker_url = redis_at(short_dir / "lasting-broker")
    with redis_cluster_nodes_at(short_dir / "lasting-c") as (url, nodes), running(broker):
        first, second, *_ = nodes
        settings = {"BRIDGE_STORE_URL": url, "BRIDGE_BROKER_URL": broker_url}
        with (
            replica_of(second, short_dir / "lasting-c") as (replica, _),
            system(mlflow_url, short_dir / "lasting-s", settings=settings) as bridge,
        ):

            def trouble() -> None:
                nodes[first].kill()
                nodes[first].start()
                fail_over(second, replica)

            survives(bridge, trouble, seconds=seconds)


def fail_over(*ports: int) -> None:
    """Have the replica among these two become the master."""
    nodes: list[Any] = [redis.Redis(port=port) for port in ports]
    [replica] = [node for node in nodes if node.info("replication")["role"] == "slave"]

    def done() -> bool:
        with contextlib.suppress(redis.RedisError):
            return replica.info("replication")["role"] == "master" or not replica.execute_command("CLUSTER FAILOVER")
        return False

    wait_until(done, every=0.2)
    wait_until(lambda: all(node.cluster("info")["cluster_state"] == "ok" for node in nodes))
    others = [node for node in nodes if node is not replica]
    wait_until(lambda: [node.info("replication")["role"] for node in others] == ["slave"])
    wait_until(lambda: others[0].info("replication")["master_link_status"] == "up")
    for node in nodes:
        node.close()
