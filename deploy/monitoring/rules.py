# SPDX-License-Identifier: Apache-2.0
"""Renders `alarms.toml` as the rules of Prometheus.

Usage: python rules.py
"""

import tomllib
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).resolve().parent
TABLE = HERE / "alarms.toml"
RULES = HERE / "rules.yml"
#: From the root of the repository. Rows name a section of it.
RUNBOOK = "docs/how-to/runbook.md"
#: Alarms of other services in the same Alertmanager may have the same names.
SERVICE = "mlflow-bridge"

_HEADER = "# Rendered from alarms.toml: make -C deploy monitoring-render\n"
_LINE_WIDTH = 120


def table() -> list[dict[str, Any]]:
    """Return the rows of `alarms.toml`."""
    rows: list[dict[str, Any]] = tomllib.loads(TABLE.read_text(encoding="utf-8"))["alarm"]
    return rows


def rule(row: dict[str, Any]) -> dict[str, Any]:
    """Return the alerting rule of a row."""
    return {
        "alert": row["name"],
        "expr": row["promql"],
        "for": row["for"],
        "labels": {"severity": row["severity"], "service": SERVICE},
        "annotations": {"summary": row["summary"], "runbook": f"{RUNBOOK}#{row['runbook']}"},
    }


def render() -> str:
    """Return the text of `rules.yml`."""
    groups = [{"name": SERVICE, "rules": [rule(row) for row in table()]}]
    return _HEADER + yaml.safe_dump({"groups": groups}, sort_keys=False, width=_LINE_WIDTH)


if __name__ == "__main__":
    RULES.write_text(render(), encoding="utf-8")
