# SPDX-License-Identifier: Apache-2.0
"""The reference pages list exactly the settings, metrics, routes and words that exist."""

import dataclasses
import re
from pathlib import Path

import pytest

from api.routes.table import ROUTES
from bridge.config.settings import CREDENTIALS, Settings, variable
from bridge.telemetry.metric_catalogue import CATALOGUE
from tools.reference_tables import TABLES, alarm_rows, metric_rows, settings_rows, with_table

API_PREFIXES = ("/api/2.0/mlflow", "/ajax-api/2.0/mlflow")
DOCS = Path(__file__).parents[2] / "docs"

#: The words of the design, each of which means one thing everywhere.
WORDS = [
    *("write", "job", "lane", "outbox", "dispatch", "lease", "attempt", "outcome", "settle", "defer", "replay"),
    *("discard", "sweep", "upstream", "intake", "proxy", "backlog", "lag", "dead letter"),
]
REWRITE = "python -m tools.reference_tables rewrites the tables"
OUTCOMES = ["Delivered", "Refused", "Denied", "Unavailable", "Unknown"]


def _read(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def _rows(name: str) -> dict[str, list[str]]:
    """The rows of a document's tables by what stands in their first cell, without its markup."""
    rows = [line.strip("| ").split(" | ") for line in _read(name).splitlines() if line.startswith("|")]
    return {re.sub("[`*]", "", row[0]).strip(): [cell.strip() for cell in row[1:]] for row in rows}


def _table(name: str, first_column: str) -> str:
    """The rows of the table that has this first column."""
    [rows] = re.findall(rf"^\| {first_column} \|.*\n\|[-|]+\|\n((?:\|.*\n)+)", _read(name), re.MULTILINE)
    return str(rows)


def _routes() -> set[tuple[str, str]]:
    """Method and path of each route of the bridge's own."""
    return {(route.method, route.path) for route in ROUTES}


def test_the_page_of_settings_has_the_rows_of_the_code() -> None:
    assert _table("reference/settings.md", "variable") == "".join(settings_rows()), REWRITE


def test_the_page_of_metrics_has_the_alarms_of_their_table() -> None:
    assert _table("reference/metrics.md", "alarm") == "".join(alarm_rows()), REWRITE


def test_no_setting_is_described_that_does_not_exist() -> None:
    described = {name for name in _rows("reference/settings.md") if name.startswith("BRIDGE_")}

    assert described - {variable(field) for field in dataclasses.fields(Settings)} == set()


def test_no_document_names_a_setting_that_does_not_exist() -> None:
    known = {variable(field) for field in dataclasses.fields(Settings)}
    known |= {f"BRIDGE_{name.upper()}_FILE" for name in CREDENTIALS}

    named = {
        (path.name, name) for path in DOCS.rglob("*.md") for name in re.findall(r"`(BRIDGE_[A-Z_]+)", path.read_text())
    }
    assert {(document, name) for document, name in named if name not in known and name != "BRIDGE_"} == set()


def test_the_page_of_metrics_has_the_rows_of_the_code() -> None:
    assert _table("reference/metrics.md", "metric") == "".join(metric_rows()), REWRITE


def test_no_document_names_a_metric_that_does_not_exist() -> None:
    known = {metric.name for metric in CATALOGUE}
    named = {name for path in DOCS.rglob("*.md") for name in re.findall(r"mlflow_bridge_\w+", path.read_text())}

    assert {re.sub("_(bucket|sum|count)$", "", name) for name in named} - known == set()


def test_each_route_is_listed() -> None:
    text = _read("reference/endpoints.md")
    listed = set(re.findall(r"`(?:[A-Z]+ )?(/[^`\s]*)`", text))

    served = {path for _, path in _routes()}
    assert set(API_PREFIXES) <= listed
    prefix = re.compile("|".join(f"^{re.escape(prefix)}(?=/)" for prefix in API_PREFIXES))
    assert {prefix.sub("", path) for path in served} - listed == set()


def test_each_route_of_our_own_is_listed_with_its_method() -> None:
    proxied = {path for method, path in _routes() if method == "PATCH"}
    ours = {(method, path) for method, path in _routes() if path not in proxied and not path.startswith(API_PREFIXES)}

    listed = re.findall(r"`([A-Z]+) (/[^`\s]*)`", _read("reference/endpoints.md"))

    assert ours
    assert ours - set(listed) == set()


def test_no_route_is_listed_that_does_not_exist() -> None:
    listed = re.findall(r"^\| `([A-Z]+) (/[^`\s]*)`", _read("reference/endpoints.md"), flags=re.MULTILINE)

    assert set(listed) - _routes() == set()


@pytest.mark.parametrize("word", WORDS)
def test_each_word_of_ours_is_explained(word: str) -> None:
    explained = {part.strip() for name in _rows("reference/glossary.md") for part in name.split(",")}

    assert word in explained


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_each_outcome_is_explained(outcome: str) -> None:
    assert f"`{outcome}`" in " ".join(_rows("reference/glossary.md")["outcome"])


@pytest.mark.parametrize("header", [header for page, header, _ in TABLES if page.endswith("/scale.md")])
def test_the_scale_page_shows_what_the_formulas_compute(header: str) -> None:
    [rows] = [rows for _, each, rows in TABLES if each == header]
    page = _read("explanation/scale.md")

    assert page.count(f"\n{header}\n") == 1
    assert page == with_table(page, header, rows()), REWRITE
