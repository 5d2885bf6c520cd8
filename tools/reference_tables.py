# SPDX-License-Identifier: Apache-2.0
"""Rewrites the tables of the settings, metrics and scale pages from the code and the table of alarms.

Usage: python -m tools.reference_tables
"""

import dataclasses
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

from bridge.cli.capacity.costs import MEASURED, Costs
from bridge.cli.capacity.plan import plan
from bridge.cli.capacity.sizes import SIZES
from bridge.cli.plan import rows
from bridge.config.settings import Settings, variable
from bridge.telemetry.metric_catalogue import CATALOGUE

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
ALARMS = ROOT / "deploy" / "monitoring" / "alarms.toml"
SCALE_HEADER = f"| writes a day | {' | '.join(SIZES)} |"


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


def cost_rows() -> Iterator[str]:
    """Yield the rows of the measured costs of docs/explanation/scale.md."""
    for field in dataclasses.fields(Costs):
        value = getattr(MEASURED, field.name)
        shown = f"{value * 1e6:,.0f} us" if field.name.endswith("_s") else f"{value:,} bytes"
        yield f"| {field.metadata['about']} | {shown} |\n"


def scale_rows() -> Iterator[str]:
    """Yield the rows of the worked sizes of docs/explanation/scale.md."""
    plans = [dict(rows(plan(load, MEASURED))) for load in SIZES.values()]
    yield f"| runs at the same time | {' | '.join(f'{load.runs:,}' for load in SIZES.values())} |\n"
    yield f"| TPS of one upstream | {' | '.join(f'{load.calls:,.0f}' for load in SIZES.values())} |\n"
    for name in plans[0]:
        yield f"| {name.strip()} | {' | '.join(each[name] for each in plans)} |\n"


def limit_rows() -> Iterator[str]:
    """Yield the limits that each worked size exceeds, in their order, for docs/explanation/scale.md."""
    for size, load in SIZES.items():
        found = plan(load, MEASURED)
        for limit in found.limits:
            if limit.writes < found.peak_writes:
                yield f"| {size} | {limit.name} | {limit.writes:,.0f} | {limit.remedy} |\n"


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


TABLES = (
    ("reference/settings.md", "| variable | default | meaning |", settings_rows),
    ("reference/metrics.md", "| metric | kind | labels | meaning |", metric_rows),
    ("reference/metrics.md", "| alarm | severity | expression | for | meaning |", alarm_rows),
    ("explanation/scale.md", "| step | cost |", cost_rows),
    ("explanation/scale.md", SCALE_HEADER, scale_rows),
    ("explanation/scale.md", "| size | limit | writes a second | what to change |", limit_rows),
)


def main() -> None:
    """Rewrite all tables."""
    for name, header, rows_of_table in TABLES:
        page = DOCS / name
        page.write_text(with_table(page.read_text(encoding="utf-8"), header, rows_of_table()), encoding="utf-8")


if __name__ == "__main__":
    main()
