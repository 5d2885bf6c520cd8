# SPDX-License-Identifier: Apache-2.0
"""The table of alarms, and its rendering in CloudWatch. `deploy/monitoring` tests the rendering for Prometheus."""

import json
import re
from typing import Any

import pytest
from conftest import ROOT, Variant

from alarms import table

KEYS = {"name", "summary", "severity", "runbook", "promql", "for"}
RULE_KEYS = {"metric", "statistic", "threshold", "comparison", "periods", "missing"}
ROWS = table()


def _gauges() -> set[str]:
    """The gauges in the documentation, which the root test suite holds to the catalogue."""
    (metrics,) = (ROOT / "docs").rglob("metrics.md")
    return set(re.findall(r"^\| `mlflow_bridge_(\w+)` \| gauge \|", metrics.read_text(), re.MULTILINE))


def _alarm(variant: Variant, name: str) -> dict[str, Any]:
    (found,) = (
        each["Properties"]
        for key, each in variant.service.all("CloudWatch::Alarm").items()
        if re.fullmatch(rf"Alarms{name}[0-9A-F]{{8}}", key)
    )
    return dict(found)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["name"])
def test_a_row_says_all_that_both_renderings_need(row: dict[str, Any]) -> None:
    assert set(row) - {"cloudwatch"} == KEYS
    assert set(row.get("cloudwatch", RULE_KEYS)) == RULE_KEYS
    assert row["severity"] in {"critical", "warning"}
    assert re.fullmatch(r"([A-Z][a-z]+)+", row["name"])
    assert re.fullmatch(r"\d+m", row["for"])
    assert row["summary"].endswith(".")


@pytest.mark.parametrize("row", [row for row in ROWS if "cloudwatch" in row], ids=lambda row: row["name"])
def test_an_alarm_watches_a_gauge_as_its_row_says(server: Variant, row: dict[str, Any]) -> None:
    rule, alarm = row["cloudwatch"], _alarm(server, row["name"])

    assert rule["metric"] in _gauges()
    assert alarm["Namespace"] == "MLflowBridge/mlflow-bridge"
    assert alarm["MetricName"] == rule["metric"]
    assert alarm["Dimensions"] == [{"Name": "service", "Value": "mlflow-bridge"}]
    assert (alarm["Statistic"], alarm["Threshold"]) == (rule["statistic"], rule["threshold"])
    assert alarm["ComparisonOperator"] == rule["comparison"]
    assert (alarm["EvaluationPeriods"], alarm["Period"]) == (rule["periods"], 60)
    assert alarm["TreatMissingData"] == rule["missing"]
    assert row["runbook"] in alarm["AlarmDescription"]


def test_silence_of_what_protects_writes_is_an_alarm() -> None:
    missing = {row["name"]: row["cloudwatch"]["missing"] for row in ROWS if "cloudwatch" in row}

    assert [missing[name] for name in ("NoWorkers", "StoreDown", "StoreNotDurable")] == ["breaching"] * 3


def test_names_are_unique() -> None:
    assert len({row["name"] for row in ROWS}) == len(ROWS)


def test_every_alarm_notifies_and_takes_it_back(variant: Variant) -> None:
    for key, alarm in variant.service.all("CloudWatch::Alarm").items():
        if key.startswith("Alarms"):
            assert alarm["Properties"]["AlarmActions"] == alarm["Properties"]["OKActions"] != []


def test_aws_own_metrics_are_watched_too(variant: Variant) -> None:
    for name in ("RequestsFail", "ApiUnhealthy", "StoreMemory1", "StoreEngine1"):
        assert _alarm(variant, name)["TreatMissingData"] == "notBreaching"


def test_a_failed_deployment_notifies(variant: Variant) -> None:
    rule = variant.service.one("Events::Rule")

    assert rule["EventPattern"]["detail"]["eventName"] == ["SERVICE_DEPLOYMENT_FAILED"]
    assert "AlarmsTopic" in json.dumps(rule["Targets"])


def test_notifications_are_encrypted_and_can_be_sent(variant: Variant) -> None:
    topic = variant.service.one("SNS::Topic")
    key = json.dumps(variant.store.one("KMS::Key")["KeyPolicy"])

    assert topic["KmsMasterKeyId"]
    assert "cloudwatch.amazonaws.com" in key
    assert "events.amazonaws.com" in key


def test_an_address_is_subscribed_if_there_is_one(variant: Variant) -> None:
    subscriptions = [each["Properties"]["Endpoint"] for each in variant.service.all("SNS::Subscription").values()]

    assert subscriptions == (["operator@example.com"] if variant.name == "new-app" else [])


def test_the_dashboard_shows_gauges_that_exist(server: Variant) -> None:
    body = json.dumps(server.service.one("CloudWatch::Dashboard")["DashboardBody"])
    shown = set(re.findall(r'MLflowBridge/mlflow-bridge\\*",\\*"(\w+)', body))

    assert shown >= {"oldest_due_seconds", "workers", "dead_letters"}
    assert shown - _gauges() == set()
