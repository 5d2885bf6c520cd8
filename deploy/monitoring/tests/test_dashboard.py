# SPDX-License-Identifier: Apache-2.0
"""The dashboard of Grafana: generated, complete, and with queries that Prometheus can read."""

import json
import re
import subprocess
from pathlib import Path

import yaml
from test_rules import PROMTOOL, ROOT, needs_promtool

from dashboard import DASHBOARD, ROWS, render

QUERIES = [query for graphs in ROWS.values() for graph in graphs for query in graph.queries.values()]


def test_the_committed_dashboard_is_the_generated_one() -> None:
    assert DASHBOARD.read_text(encoding="utf-8") == render()


def test_each_panel_has_an_id_and_its_own_title() -> None:
    panels = json.loads(render())["panels"]

    assert len({panel["id"] for panel in panels}) == len({panel["title"] for panel in panels}) == len(panels)


def test_it_shows_every_metric_of_the_documentation() -> None:
    documented = (ROOT / "docs" / "reference" / "metrics.md").read_text(encoding="utf-8")
    names = set(re.findall(r"^\| `(mlflow_bridge_\w+)` \|", documented, re.MULTILINE))
    shown = {re.sub("_bucket$", "", name) for query in QUERIES for name in re.findall(r"mlflow_bridge_\w+", query)}

    assert len(names) > 30
    assert shown == names


@needs_promtool
def test_prometheus_can_read_every_query(tmp_path: Path) -> None:
    assert PROMTOOL
    rules = [
        {"record": f"query{number}", "expr": query.replace("$__rate_interval", "5m")}
        for number, query in enumerate(QUERIES)
    ]
    (tmp_path / "queries.yml").write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))

    completed = subprocess.run(
        [PROMTOOL, "check", "rules", "queries.yml"], cwd=tmp_path, capture_output=True, text=True, check=False
    )

    assert (completed.returncode, completed.stderr) == (0, "")
