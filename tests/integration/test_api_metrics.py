# SPDX-License-Identifier: Apache-2.0
"""``/metrics``: what it tells of intake, proxy and store."""

import re

import pytest
from werkzeug.test import Client as Http

from bridge.bootstrap.processes import Api, build_api
from bridge.config.environment import read_settings
from bridge.telemetry.metric_catalogue import CATALOGUE, Kind
from tests.asgi_client import client_of
from tests.factories import accept_one, metric
from tests.integration.test_api_access import LOG_METRIC, METRIC, key_for
from tests.servers import wait_until


@pytest.fixture
def environ(environ: dict[str, str]) -> dict[str, str]:
    """A part of the store where nobody else counts."""
    return environ | {"BRIDGE_STORE_URL": f"{environ['BRIDGE_STORE_URL']}?db=9"}


def figures(http: Http, **headers: str) -> dict[str, float]:
    answer = http.get("/metrics", headers=headers)
    assert answer.status_code == 200, answer.text
    lines = [line.rpartition(" ") for line in answer.text.splitlines() if not line.startswith("#")]
    return {name.removeprefix("mlflow_bridge_"): float(value) for name, _, value in lines}


def test_requests_and_writes_are_counted_across_processes(environ: dict[str, str]) -> None:
    names = (
        "writes_accepted_total",
        'writes_refused_total{status="400"}',
        'request_duration_seconds_count{route="queued"}',
    )
    with client_of(build_api(read_settings(environ))) as first, client_of(build_api(read_settings(environ))) as second:
        before = figures(first)
        for http in (first, second, second):
            http.post(LOG_METRIC, json=METRIC)
        second.post(LOG_METRIC, json={})

        def grown() -> list[float]:
            now = figures(first)
            return [now.get(name, 0) - before.get(name, 0) for name in names]

        wait_until(lambda: grown() == [3, 1, 4])


def test_what_waits_is_looked_up(environ: dict[str, str]) -> None:
    bridge = build_api(read_settings(environ))
    with client_of(bridge) as http:
        before = figures(http)
        accept_one(bridge.outbox, metric(1, run_id="a" * 32), client="anonymous")
        now = figures(http)

    assert now["backlog_lanes"] - before["backlog_lanes"] == 1
    assert now["backlog_bytes"] > before["backlog_bytes"]
    assert (now["store_up"], now["store_durability_problems"], now["workers"]) == (1, 0, 0)
    assert [now[f'circuit_breaker_state{{state="{state}"}}'] for state in ("closed", "open", "half-open")] == [1, 0, 0]
    assert now["upstream_call_rate"] == float("inf")


def test_it_is_told_for_how_long_the_oldest_write_has_waited(environ: dict[str, str]) -> None:
    bridge = build_api(read_settings(environ))
    with client_of(bridge) as http:
        accept_one(bridge.outbox, metric(1, run_id="b" * 32), client="anonymous")
        first = figures(http)["oldest_pending_seconds"]

        wait_until(lambda: figures(http)["oldest_pending_seconds"] > max(first, 0.1))


def test_every_gauge_is_told(environ: dict[str, str]) -> None:
    bridge = build_api(read_settings(environ))
    bridge.report_threads()
    with client_of(bridge) as http:
        wait_until(lambda: any(name.startswith("threads{") for name in figures(http)))
        told = {re.sub(r"\{.*", "", name) for name in figures(http)}

    gauges = {each.name.removeprefix("mlflow_bridge_") for each in CATALOGUE if each.kind is Kind.GAUGE}
    assert gauges - told == set()


def test_without_the_store_it_is_told_that_it_is_away(environ: dict[str, str]) -> None:
    with client_of(build_api(read_settings(environ | {"BRIDGE_STORE_URL": "redis://127.0.0.1:1"}))) as http:
        assert figures(http)["store_up"] == 0


@pytest.fixture
def guarded(environ: dict[str, str]) -> Api:
    return build_api(read_settings(environ | {"BRIDGE_AUTH": "keys"}))


def test_only_who_may_reads_them(guarded: Api) -> None:
    with client_of(guarded) as http:
        logger, scraper = key_for(guarded, "logger"), key_for(guarded, "scraper", scopes=(), allow=("GetMetrics",))

        assert http.get("/metrics").status_code == 401
        assert http.get("/metrics", headers={"Authorization": f"Bearer {logger}"}).status_code == 403
        assert figures(http, Authorization=f"Bearer {scraper}")["store_up"] == 1
