# SPDX-License-Identifier: Apache-2.0
"""One scrape of the api tells what api and workers have done together."""

import requests
from prometheus_client.parser import text_string_to_metric_families

from tests.servers import wait_until
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
