# SPDX-License-Identifier: Apache-2.0
"""A CloudWatch dashboard: what waits, what clients see, what the tasks and the store use."""

from collections.abc import Sequence

from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_elasticloadbalancingv2 as elbv2
from constructs import Construct

from alarms import Metrics
from edge import Edge
from valkey import DurableStore

_WIDTH = 8


class Dashboard(Construct):
    """Three rows of three graphs, from the promise to the machine."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        metrics: Metrics,
        edge: Edge,
        services: Sequence[ecs.FargateService],
        store: DurableStore,
    ) -> None:
        super().__init__(scope, construct_id)
        board = cloudwatch.Dashboard(self, "Board", period_override=cloudwatch.PeriodOverride.INHERIT)
        board.add_widgets(
            _graph(
                "Age (s)",
                *(metrics.gauge(name, "Maximum") for name in ("oldest_due_seconds", "oldest_pending_seconds")),
            ),
            _graph("Backlog", *(metrics.gauge(name, "Maximum") for name in ("backlog_lanes", "dead_letters"))),
            _graph("Workers", metrics.gauge("workers", "Maximum"), metrics.gauge("upstream_call_rate", "Minimum")),
        )
        board.add_widgets(*_edge_graphs(edge))
        board.add_widgets(
            _graph("CPU (%)", *(service.metric_cpu_utilization() for service in services)),
            _graph("Memory (%)", *(service.metric_memory_utilization() for service in services)),
            _graph("Store memory (%)", *store.usage("DatabaseMemoryUsagePercentage")),
        )


def _edge_graphs(edge: Edge) -> list[cloudwatch.GraphWidget]:
    target = edge.target_group.metrics
    answers = (elbv2.HttpCodeTarget.TARGET_2XX_COUNT, elbv2.HttpCodeTarget.TARGET_4XX_COUNT)
    return [
        _graph("Requests", target.request_count(), *(target.http_code_target(code) for code in answers)),
        _graph("Server errors", target.http_code_target(elbv2.HttpCodeTarget.TARGET_5XX_COUNT)),
        _graph(
            "Response time (s)",
            *(target.target_response_time(statistic=statistic) for statistic in ("p50", "p99")),
        ),
    ]


def _graph(title: str, *metrics: cloudwatch.IMetric) -> cloudwatch.GraphWidget:
    return cloudwatch.GraphWidget(title=title, left=list(metrics), width=_WIDTH)
