# SPDX-License-Identifier: Apache-2.0
"""CloudWatch alarms: the table of `deploy/monitoring`, and what only AWS can see."""

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from aws_cdk import Duration
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_elasticloadbalancingv2 as elbv2
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from constructs import Construct

from edge import Edge
from parameters import REPOSITORY_ROOT, Parameters
from valkey import DurableStore

TABLE = REPOSITORY_ROOT / "deploy" / "monitoring" / "alarms.toml"
#: The dimension of every gauge that the api writes, and its value.
SERVICE_DIMENSION = {"service": "mlflow-bridge"}
#: The api writes its gauges once a minute.
_PERIOD = Duration.minutes(1)
_MISSING = {
    "breaching": cloudwatch.TreatMissingData.BREACHING,
    "notBreaching": cloudwatch.TreatMissingData.NOT_BREACHING,
}
_COMPARISON = {
    "GreaterThanThreshold": cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD,
    "LessThanThreshold": cloudwatch.ComparisonOperator.LESS_THAN_THRESHOLD,
}
#: Of a hundred requests that targets answer. Below it a few proxied errors of MLflow trip no deployment.
_FAILED_REQUESTS_PERCENT = 5
_STORE_MEMORY_PERCENT = 75
_STORE_CPU_PERCENT = 80


def table() -> list[dict[str, Any]]:
    """Return the rows of `deploy/monitoring/alarms.toml`."""
    rows: list[dict[str, Any]] = tomllib.loads(TABLE.read_text(encoding="utf-8"))["alarm"]
    return rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Metrics:
    """The bridge's gauges in CloudWatch. The namespace is one deployment's own."""

    namespace: str

    def gauge(self, name: str, statistic: str) -> cloudwatch.Metric:
        """Return a gauge of the catalogue, named without its prefix."""
        return cloudwatch.Metric(
            namespace=self.namespace,
            metric_name=name,
            dimensions_map=SERVICE_DIMENSION,
            statistic=statistic,
            period=_PERIOD,
        )


class Alarms(Construct):
    """An encrypted topic, and the alarms that notify it."""

    def __init__(
        self, scope: Construct, construct_id: str, *, parameters: Parameters, metrics: Metrics, key: kms.IKey
    ) -> None:
        super().__init__(scope, construct_id)
        self.topic = sns.Topic(self, "Topic", master_key=key, enforce_ssl=True)
        for service in ("cloudwatch", "events"):
            self.topic.grant_publish(iam.ServicePrincipal(f"{service}.amazonaws.com"))
        if parameters.alarm_email:
            self.topic.add_subscription(subscriptions.EmailSubscription(parameters.alarm_email))
        self.by_name = dict(self._of_table(metrics))

    def watch_edge(self, edge: Edge) -> cloudwatch.Alarm:
        """Watch what clients see; return the alarm that rolls a deployment back."""
        requests = edge.target_group.metrics.request_count(period=_PERIOD, statistic="Sum")
        failures = edge.target_group.metrics.http_code_target(
            elbv2.HttpCodeTarget.TARGET_5XX_COUNT, period=_PERIOD, statistic="Sum"
        )
        share = cloudwatch.MathExpression(
            expression="IF(requests > 0, 100 * FILL(failures, 0) / requests, 0)",
            using_metrics={"requests": requests, "failures": failures},
            period=_PERIOD,
            label="Failed requests, percent",
        )
        unhealthy = edge.target_group.metrics.unhealthy_host_count(period=_PERIOD, statistic="Maximum")
        self._alarm("ApiUnhealthy", unhealthy, threshold=0, periods=3, about="An api task fails its health check.")
        return self._alarm(
            "RequestsFail", share, threshold=_FAILED_REQUESTS_PERCENT, periods=3, about="The api answers with 5xx."
        )

    def watch_store(self, store: DurableStore) -> None:
        """Watch the memory and the engine of each shard: either can end acceptance."""
        for name, metric, limit in (
            ("StoreMemory", "DatabaseMemoryUsagePercentage", _STORE_MEMORY_PERCENT),
            ("StoreEngine", "EngineCPUUtilization", _STORE_CPU_PERCENT),
        ):
            for number, used in enumerate(store.usage(metric), start=1):
                about = f"The store's {metric} is high in shard {number}."
                self._alarm(f"{name}{number}", used, threshold=limit, periods=5, about=about)

    def watch_deployments(self, cluster: ecs.Cluster) -> None:
        """Notify of each deployment that ECS has given up."""
        events.Rule(
            self,
            "FailedDeployments",
            event_pattern=events.EventPattern(
                source=["aws.ecs"],
                detail_type=["ECS Deployment State Change"],
                detail={"eventName": ["SERVICE_DEPLOYMENT_FAILED"], "clusterArn": [cluster.cluster_arn]},
            ),
            targets=[targets.SnsTopic(self.topic)],
        )

    def _of_table(self, metrics: Metrics) -> Iterator[tuple[str, cloudwatch.Alarm]]:
        for row in table():
            if rule := row.get("cloudwatch"):
                yield (
                    row["name"],
                    self._alarm(
                        row["name"],
                        metrics.gauge(rule["metric"], rule["statistic"]),
                        threshold=rule["threshold"],
                        periods=rule["periods"],
                        about=f"{row['severity']}: {row['summary']} Runbook: {row['runbook']}",
                        comparison=_COMPARISON[rule["comparison"]],
                        missing=_MISSING[rule["missing"]],
                    ),
                )

    def _alarm(
        self,
        name: str,
        metric: cloudwatch.IMetric,
        *,
        threshold: float,
        periods: int,
        about: str,
        comparison: cloudwatch.ComparisonOperator = cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD,
        missing: cloudwatch.TreatMissingData = cloudwatch.TreatMissingData.NOT_BREACHING,
    ) -> cloudwatch.Alarm:
        alarm = cloudwatch.Alarm(
            self,
            name,
            metric=metric,
            threshold=threshold,
            evaluation_periods=periods,
            comparison_operator=comparison,
            treat_missing_data=missing,
            alarm_description=about,
        )
        action = actions.SnsAction(self.topic)
        alarm.add_alarm_action(action)
        alarm.add_ok_action(action)
        return alarm
