# SPDX-License-Identifier: Apache-2.0
"""Rewrites the tables of the settings and metrics pages from the code and the table of alarms, which describe each.

Usage: python -m tools.reference_tables
"""

import dataclasses
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

from bridge.config.settings import Settings, variable
from bridge.telemetry.metric_catalogue import CATALOGUE

ROOT = Path(__file__).parents[1]
REFERENCE = ROOT / "docs" / "reference"
ALARMS = ROOT / "deploy" / "monitoring" / "alarms.toml"


def settings_rows() -> Iterator[str]:
    """Yield the rows of docs/reference/settings.md."""
    for field in dataclasses.fields(Settings):
        default = {None: "required", "": ""}.get(field.metadata["default"], f"`{field.metadata['default']}`")
        yield f"| `{variable(field)}` | {default} | {field.metadata['about']} |\n"


def metric_rows() -> Iterator[str]:
    """Yield the rows of docs/reference/metrics.md."""
    for metric in CATALOGUE:
        labels = ", ".join(f"`{label}`" for label in metric.labels) or "-"
        yield f"| `{metric.name}` | {metric.kind} | {labels} | {metric.about} |\n"


def alarm_rows() -> Iterator[str]:
    """Yield the rows of the alarms in docs/reference/metrics.md."""
    for alarm in tomllib.loads(ALARMS.read_text(encoding="utf-8"))["alarm"]:
        name = f"[{alarm['name']}](../how-to/runbook.md#{alarm['runbook']})"
        yield f"| {name} | {alarm['severity']} | `{alarm['promql']}` | {alarm['for']} | {alarm['summary']} |\n"


def with_table(text: str, header: str, rows: Iterator[str]) -> str:
    """Return a page's text with these rows in the table that has this header."""
    table = re.compile(rf"(?<=^{re.escape(header)}\n)(\|[-|]+\|\n)(?:\|.*\n)*", re.MULTILINE)
    body = "".join(rows)
    return table.sub(lambda match: match[1] + body, text, count=1)


def main() -> None:
    """Rewrite both pages."""
    for name, header, rows in (
        ("settings.md", "| variable | default | meaning |", settings_rows()),
        ("metrics.md", "| metric | kind | labels | meaning |", metric_rows()),
        ("metrics.md", "| alarm | severity | expression | for | meaning |", alarm_rows()),
    ):
        page = REFERENCE / name
        page.write_text(with_table(page.read_text(encoding="utf-8"), header, rows), encoding="utf-8")


if __name__ == "__main__":
    main()
