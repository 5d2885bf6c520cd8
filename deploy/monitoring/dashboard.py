# SPDX-License-Identifier: Apache-2.0
"""Generates the dashboard for Grafana, `dashboard.json`: from what is promised to what serves it.

Usage: python dashboard.py
"""

import itertools
from dataclasses import dataclass
from pathlib import Path

from grafana_foundation_sdk.builders import common as common_builders
from grafana_foundation_sdk.builders import dashboard, prometheus, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common
from grafana_foundation_sdk.models.dashboard import DataSourceRef

DASHBOARD = Path(__file__).resolve().parent / "dashboard.json"

_UID = "mlflow-bridge"
_SOURCE = DataSourceRef(type_val="prometheus", uid="$datasource")
_PANEL_WIDTH = 8
_PANEL_HEIGHT = 7


@dataclass(frozen=True, slots=True)
class Graph:
    """A panel: its unit (Grafana's id), what it says, and its queries by their legends."""

    title: str
    unit: str
    about: str
    queries: dict[str, str]


def _rate(metric: str, *labels: str) -> str:
    by = f" by ({', '.join(labels)})" if labels else ""
    return f"sum{by} (rate(mlflow_bridge_{metric}_total[$__rate_interval]))"


def _quantile(quantile: float, metric: str) -> str:
    return f"histogram_quantile({quantile}, sum by (le) (rate(mlflow_bridge_{metric}_bucket[$__rate_interval])))"


def _percentiles(metric: str) -> dict[str, str]:
    return {"p50": _quantile(0.5, metric), "p99": _quantile(0.99, metric)}


#: Rows from the promise to the machine. Gauges are the same in each api, so `max` also fits several targets.
ROWS: dict[str, tuple[Graph, ...]] = {
    "Accepted writes": (
        Graph(
            "Age of pending writes",
            "s",
            "The oldest pending write; and how long due writes have waited for a worker.",
            {
                "oldest pending": "max(mlflow_bridge_oldest_pending_seconds)",
                "oldest due": "max(mlflow_bridge_oldest_due_seconds)",
                "since the last delivery": "time() - (max(mlflow_bridge_last_delivery_timestamp_seconds) > 0)",
            },
        ),
        Graph(
            "Backlog",
            "short",
            "Lanes with pending writes, and dead letters that are neither replayed nor discarded.",
            {"lanes": "max(mlflow_bridge_backlog_lanes)", "dead letters": "max(mlflow_bridge_dead_letters)"},
        ),
        Graph(
            "Writes per second",
            "wps",
            "Over time, as many writes are delivered or become dead letters as are accepted.",
            {
                "accepted": _rate("writes_accepted"),
                "delivered": _rate("writes_delivered"),
                "replayed": _rate("writes_replayed"),
                "dead letters, {{reason}}": _rate("writes_dead_lettered", "reason"),
            },
        ),
    ),
    "Clients": (
        Graph(
            "Requests per second",
            "reqps",
            "By route: queued, proxied, the bridge's own, or rejected before routing.",
            {"{{route}}": _rate("requests", "route")},
        ),
        Graph(
            "Rejected",
            "reqps",
            "Writes by status: clients cause 4xx, the bridge 503. Other requests by the decision.",
            {
                "writes, {{status}}": _rate("writes_refused", "status"),
                "{{decision}}": _rate("requests_rejected", "decision"),
            },
        ),
        Graph(
            "Duration of requests",
            "s",
            "Until the end of the response; for queued writes, until they are accepted.",
            _percentiles("request_duration_seconds"),
        ),
        Graph(
            "Browser sessions",
            "ops",
            "Sign-ins by result, and sessions that were ended before their time.",
            {"sign-ins, {{result}}": _rate("sign_ins", "result"), "sign-outs": _rate("sign_outs")},
        ),
    ),
    "Delivery": (
        Graph("Delivery lag", "s", "From a write's acceptance to its delivery.", _percentiles("delivery_lag_seconds")),
        Graph(
            "Calls to upstream",
            "reqps",
            "By outcome, and the limit in force.",
            {"{{outcome}}": _rate("upstream_calls", "outcome"), "limit": "min(mlflow_bridge_upstream_call_rate) < Inf"},
        ),
        Graph(
            "Duration of calls to upstream",
            "s",
            "Calls of workers, of all outcomes.",
            _percentiles("upstream_call_duration_seconds"),
        ),
        Graph(
            "Writes per call",
            "short",
            "Median of writes and of attempts for each delivered call.",
            {"writes": _quantile(0.5, "upstream_batch_size"), "attempts": _quantile(0.5, "delivery_attempts")},
        ),
        Graph(
            "Deferred lanes",
            "ops",
            "After failed attempts by outcome, after denials by action, and calls that are bisected.",
            {
                "{{outcome}}": _rate("lanes_deferred", "outcome"),
                "denied {{action}}": _rate("lanes_denied", "action"),
                "bisected calls": _rate("batches_refused"),
            },
        ),
        Graph(
            "Flow control",
            "short",
            "The state of the circuit breaker and a pause are lines at 1. Negative tokens are calls that wait.",
            {
                "{{state}}": "max by (state) (mlflow_bridge_circuit_breaker_state)",
                "paused": "max(mlflow_bridge_deliveries_paused)",
                "tokens": "min(mlflow_bridge_upstream_rate_limit_tokens)",
            },
        ),
    ),
    "Processes and store": (
        Graph(
            "Workers and threads",
            "short",
            "Worker processes, and background threads that have ended: there should be none.",
            {
                "workers": "max(mlflow_bridge_workers)",
                "dead {{thread}}": 'max by (thread) (mlflow_bridge_threads{state="dead"})',
            },
        ),
        Graph(
            "Store",
            "short",
            "1 while the store responds. Problems are settings that can lose accepted writes.",
            {"up": "min(mlflow_bridge_store_up)", "problems": "max(mlflow_bridge_store_durability_problems)"},
        ),
        Graph(
            "Bytes in the store",
            "bytes",
            "Pending writes and dead letters. `BRIDGE_MAX_STORE` is the limit.",
            {"bytes": "max(mlflow_bridge_backlog_bytes)"},
        ),
        Graph(
            "Internal failures",
            "ops",
            "The bridge goes on after each. Defects are failures of threads and internal errors of deliveries.",
            {
                "store, {{operation}}": _rate("store_failures", "operation"),
                "hints": _rate("dispatch_failures"),
                "leases lost": _rate("leases_lost"),
                "thread {{thread}}": _rate("thread_failures", "thread"),
                "deliveries": _rate("delivery_errors"),
            },
        ),
        Graph(
            "Sweep and restarts",
            "ops",
            "Lanes that the sweep dispatches after a lost hint or a backoff; threads of new processes.",
            {"redispatched": _rate("lanes_redispatched"), "threads started": _rate("threads_started")},
        ),
        Graph(
            "Dead letters removed",
            "ops",
            "Replayed or discarded by an operator, or discarded after their retention.",
            {"{{action}}": _rate("dead_letters_drained", "action"), "expired": _rate("dead_letters_expired")},
        ),
    ),
}


def render() -> str:
    """Return the text of `dashboard.json`."""
    board = (
        dashboard.Dashboard("MLflow Bridge")
        .uid(_UID)
        .tags(["mlflow"])
        .refresh("1m")
        .time("now-6h", "now")
        .readonly()
        .with_variable(dashboard.DatasourceVariable("datasource").label("Prometheus").type("prometheus"))
    )
    ids = itertools.count(1)
    for title, graphs in ROWS.items():
        board.with_row(dashboard.Row(title).id(next(ids)))
        for graph in graphs:
            board.with_panel(_panel(graph).id(next(ids)))
    return JSONEncoder(sort_keys=True, indent=2).encode(board.build()) + "\n"


def _panel(graph: Graph) -> timeseries.Panel:
    legend = common_builders.VizLegendOptions().show_legend(show_legend=True)
    legend.display_mode(common.LegendDisplayMode.LIST).placement(common.LegendPlacement.BOTTOM).calcs([])
    panel = (
        timeseries.Panel()
        .title(graph.title)
        .description(graph.about)
        .unit(graph.unit)
        .datasource(_SOURCE)
        .legend(legend)
        .span(_PANEL_WIDTH)
        .height(_PANEL_HEIGHT)
    )
    for number, (label, query) in enumerate(graph.queries.items()):
        ref_id = chr(ord("A") + number)
        panel.with_target(prometheus.Dataquery().expr(query).legend_format(label).ref_id(ref_id))
    return panel


if __name__ == "__main__":
    DASHBOARD.write_text(render(), encoding="utf-8")
