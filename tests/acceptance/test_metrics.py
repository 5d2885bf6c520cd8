# SPDX-License-Identifier: Apache-2.0
"""One scrape of the api tells what api and workers have done together."""

import json
from pathlib import Path

import requests
from prometheus_client.parser import text_string_to_metric_families

from tests.servers import Server, api_with, running, wait_until
from tests.system import System

GROWING = ("writes_accepted_total", "writes_delivered_total", "upstream_calls_total", "delivery_lag_seconds_count")


def figures(bridge: System) -> dict[str, float]:
    text = requests.get(f"{bridge.url}/metrics", timeout=30).text
    found: dict[str, float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found[sample.name] = found.get(sample.name, 0.0) + sample.value
    return {name.removeprefix("mlflow_bridge_"): value for name, value in found.items()}


def test_a_write_is_seen_from_its_request_to_its_delivery(bridge: System) -> None:
    before = figures(bridge)
    run_id = bridge.create_run()
    answer = bridge.log("log-metric", {"run_id": run_id, "key": "m", "value": 1, "timestamp": 1})
    assert bridge.job(answer.headers["Job-Id"])["status"] == "delivered"

    def all_have_grown() -> bool:
        now = figures(bridge)
        return all(now.get(name, 0.0) > before.get(name, 0.0) for name in GROWING)

    wait_until(all_have_grown)
    now = figures(bridge)
    assert now["workers"] == 2
    assert now["last_delivery_timestamp_seconds"] > before["last_delivery_timestamp_seconds"]


def test_the_api_writes_the_metrics_of_cloudwatch_to_its_log(redis_server: tuple[Server, str], short_dir: Path) -> None:
    environ = {
        "BRIDGE_STORE_URL": redis_server[1],
        "BRIDGE_UPSTREAM": "http://127.0.0.1:9",
        "BRIDGE_EMF_NAMESPACE": "Bridge",
        "BRIDGE_LOG_LEVEL": "error",
    }
    api, _ = api_with(environ, short_dir / "cloudwatch")
    with running(api):
        [line] = wait_until(lambda: [line for line in api.child.last_lines(100).splitlines() if '"_aws"' in line])

    document = json.loads(line)
    assert document["_aws"]["CloudWatchMetrics"][0]["Namespace"] == "Bridge"
    assert (document["service"], document["store_up"], "workers" in document) == ("mlflow-bridge", 1.0, True)
