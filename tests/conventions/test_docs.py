# SPDX-License-Identifier: Apache-2.0
"""What the documents list is what there is: every setting, every route, every word of ours, and none besides."""

import dataclasses
import re
from pathlib import Path

import pytest

from api.routes.table import ROUTES
from bridge.config.settings import Settings, variable
from bridge.telemetry.metric_catalogue import CATALOGUE, Metric

API_PREFIXES = ("/api/2.0/mlflow", "/ajax-api/2.0/mlflow")
DOCS = Path(__file__).parents[2] / "docs"

#: The words of the design, each of which means one thing everywhere.
WORDS = [
    *("write", "job", "lane", "outbox", "dispatch", "lease", "attempt", "outcome", "settle", "defer", "bury", "replay"),
    *("discard", "sweep", "upstream", "intake", "proxy", "backlog", "lag", "dead letter"),
]
OUTCOMES = ["Delivered", "Refused", "Unavailable", "Unknown"]


def _read(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def _rows(name: str) -> dict[str, list[str]]:
    """The rows of a document's tables by what stands in their first cell, without its markup."""
    rows = [line.strip("| ").split(" | ") for line in _read(name).splitlines() if line.startswith("|")]
    return {re.sub("[`*]", "", row[0]).strip(): [cell.strip() for cell in row[1:]] for row in rows}


def _routes() -> set[tuple[str, str]]:
    """Method and path of each route of the bridge's own."""
    return {(route.method, route.path) for route in ROUTES}


@pytest.mark.parametrize("field", dataclasses.fields(Settings), ids=variable)
def test_each_setting_is_described_with_its_default(field: "dataclasses.Field[object]") -> None:
    row = _rows("settings.md").get(variable(field))

    assert row, f"docs/settings.md has no row for {variable(field)}"
    default = {None: "required", "": ""}.get(field.metadata["default"], f"`{field.metadata['default']}`")
    assert row == [default, field.metadata["about"]]


def test_no_setting_is_described_that_does_not_exist() -> None:
    described = {name for name in _rows("settings.md") if name.startswith("BRIDGE_")}

    assert described - {variable(field) for field in dataclasses.fields(Settings)} == set()


def test_no_document_names_a_setting_that_does_not_exist() -> None:
    known = {variable(field) for field in dataclasses.fields(Settings)}

    named = {
        (path.name, name) for path in DOCS.rglob("*.md") for name in re.findall(r"`(BRIDGE_[A-Z_]+)", path.read_text())
    }
    assert {(document, name) for document, name in named if name not in known and name != "BRIDGE_"} == set()


@pytest.mark.parametrize("metric", CATALOGUE, ids=lambda metric: metric.name)
def test_each_metric_is_described(metric: Metric) -> None:
    labels = ", ".join(f"`{label}`" for label in metric.labels) or "-"

    assert _rows("metrics.md").get(metric.name) == [str(metric.kind), labels, metric.about]


def test_no_document_names_a_metric_that_does_not_exist() -> None:
    known = {metric.name for metric in CATALOGUE}
    named = {name for path in DOCS.rglob("*.md") for name in re.findall(r"mlflow_bridge_\w+", path.read_text())}

    assert {re.sub("_(bucket|sum|count)$", "", name) for name in named} - known == set()


def test_each_route_is_listed() -> None:
    text = _read("endpoints.md")
    listed = set(re.findall(r"`(?:[A-Z]+ )?(/[^`\s]*)`", text))

    served = {path for _, path in _routes()}
    assert set(API_PREFIXES) <= listed
    prefix = re.compile("|".join(f"^{re.escape(prefix)}(?=/)" for prefix in API_PREFIXES))
    assert {prefix.sub("", path) for path in served} - listed == set()


def test_each_route_of_our_own_is_listed_with_its_method() -> None:
    proxied = {path for method, path in _routes() if method == "PATCH"}
    ours = {(method, path) for method, path in _routes() if path not in proxied and not path.startswith(API_PREFIXES)}

    listed = re.findall(r"`([A-Z]+) (/[^`\s]*)`", _read("endpoints.md"))

    assert ours
    assert ours - set(listed) == set()


def test_no_route_is_listed_that_does_not_exist() -> None:
    listed = re.findall(r"^\| `([A-Z]+) (/[^`\s]*)`", _read("endpoints.md"), flags=re.MULTILINE)

    assert set(listed) - _routes() == set()


@pytest.mark.parametrize("word", WORDS)
def test_each_word_of_ours_is_explained(word: str) -> None:
    explained = {part.strip() for name in _rows("glossary.md") for part in name.split(",")}

    assert word in explained


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_each_outcome_is_explained(outcome: str) -> None:
    assert f"`{outcome}`" in " ".join(_rows("glossary.md")["outcome"])
