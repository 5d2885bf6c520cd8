# SPDX-License-Identifier: Apache-2.0
"""A store that is frozen or killed: no false success, no hang, nothing lost."""

import redis

from tests.servers import wait_until
from tests.system import System, stopwatch


def metric(run_id: str, step: int) -> dict[str, object]:
    return {"run_id": run_id, "key": "m", "value": step, "step": step, "timestamp": 1_700_000_000_000}


def test_a_frozen_store_is_answered_with_503_within_two_seconds(bridge: System) -> None:
    run_id = bridge.create_run()

    with bridge.store.frozen():
        watch = stopwatch()
        refused = bridge.log("log-metric", metric(run_id, 1))
        seconds = watch.seconds

    assert refused.status_code == 503
    assert refused.headers["Retry-After"]
    assert refused.json()["error_code"] == "TEMPORARILY_UNAVAILABLE"
    assert seconds < 2
    wait_until(lambda: bridge.log("log-metric", metric(run_id, 2)).status_code == 200)


def test_what_was_accepted_survives_a_killed_store(bridge: System) -> None:
    run_id = bridge.create_run()
    with bridge.workers[0].frozen(), bridge.workers[1].frozen():
        accepted = bridge.log("log-metric", metric(run_id, 1))

        bridge.store.kill()
        watch = stopwatch()
        while_down = bridge.log("log-metric", metric(run_id, 2))
        seconds = watch.seconds
        not_ready = bridge.http.get(f"{bridge.url}/readyz", timeout=30)
        bridge.store.start()

        after = bridge.log("log-metric", metric(run_id, 3))

    assert accepted.status_code == 200
    assert while_down.status_code == 503
    assert seconds < 2
    assert not_ready.status_code == 503
    assert not_ready.json()["status"] == "unavailable"
    assert after.status_code == 200
    assert bridge.job(accepted.headers["Job-Id"])["status"] == "delivered"
    assert bridge.job(after.headers["Job-Id"])["status"] == "delivered"
    assert {point["step"] for point in bridge.history(run_id, "m")} == {1, 3}


def test_a_store_that_may_evict_makes_the_bridge_unready_until_it_is_mended(bridge: System) -> None:
    run_id = bridge.create_run()
    store = redis.Redis.from_url(bridge.store_url)
    store.config_set("maxmemory-policy", "allkeys-lru")
    try:
        wait_until(lambda: bridge.log("log-metric", metric(run_id, 1)).status_code == 503)
        refused = bridge.log("log-metric", metric(run_id, 1))
        not_ready = bridge.http.get(f"{bridge.url}/readyz", timeout=30)
    finally:
        store.config_set("maxmemory-policy", "noeviction")
    wait_until(lambda: bridge.log("log-metric", metric(run_id, 2)).status_code == 200)

    assert "not durable" in refused.json()["message"]
    assert (not_ready.status_code, not_ready.json()["status"]) == (503, "unavailable")
    assert "noeviction" in str(not_ready.json()["store"]["faults"])
    wait_until(lambda: bridge.ready()["status"] == "ready")


def test_a_restart_of_the_store_costs_a_client_no_error(bridge: System) -> None:
    """The connections that the api keeps to the store are broken then; it makes new ones and repeats the accept."""
    run_id = bridge.create_run()
    assert bridge.log("log-metric", metric(run_id, 1)).status_code == 200

    bridge.store.kill()
    bridge.store.start()
    answers = [bridge.log("log-metric", metric(run_id, step)).status_code for step in range(2, 10)]

    assert answers == [200] * 8
    bridge.drained()
    wait_until(lambda: bridge.ready()["workers"]["alive"] == 2)
    assert all("thread_failed" not in worker.child.last_lines(10_000) for worker in bridge.workers)
    assert sorted(point["step"] for point in bridge.history(run_id, "m")) == list(range(1, 10))
