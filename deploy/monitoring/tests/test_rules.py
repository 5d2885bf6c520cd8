# SPDX-License-Identifier: Apache-2.0
"""The rules of Prometheus: rendered from the table, loaded and tried by promtool, each with its runbook section."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from rules import HERE, RULES, RUNBOOK, render, table

ROOT = Path(__file__).parents[3]
UNIT_TESTS = HERE / "rules_test.yml"
PROMTOOL = shutil.which("promtool")
ROWS = table()

needs_promtool = pytest.mark.skipif(PROMTOOL is None, reason="promtool is missing: Debian has it in `prometheus`")


def _anchors() -> set[str]:
    """Return the anchors that the documentation site and GitHub give to the runbook's sections."""
    titles = re.findall(r"^## (.+)$", (ROOT / RUNBOOK).read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^a-z0-9 -]", "", title.lower()).replace(" ", "-") for title in titles}


def _promtool(*arguments: str) -> subprocess.CompletedProcess[str]:
    assert PROMTOOL
    return subprocess.run([PROMTOOL, *arguments], cwd=HERE, capture_output=True, text=True, check=False, timeout=60)


def _expected(group: dict[str, Any]) -> list[set[str]]:
    """Return the alarms that a unit test expects to fire, for each time that it looks at."""
    return [
        {re.findall(r'alertname="(\w+)"', sample["labels"])[0] for sample in check["exp_samples"]}
        for check in group["promql_expr_test"]
    ]


def test_the_committed_rules_are_those_of_the_table() -> None:
    assert RULES.read_text(encoding="utf-8") == render()


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["name"])
def test_an_alarm_leads_to_a_section_of_the_runbook(row: dict[str, Any]) -> None:
    assert row["runbook"] in _anchors()


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["name"])
def test_an_alarm_is_seen_silent_and_then_firing(row: dict[str, Any]) -> None:
    groups = [_expected(group) for group in yaml.safe_load(UNIT_TESTS.read_text(encoding="utf-8"))["tests"]]

    assert any(row["name"] not in before and row["name"] in after for before, *rest in groups for after in rest)


def test_the_loss_of_all_metrics_is_an_alarm() -> None:
    assert {row["name"] for row in ROWS if "absent(" in row["promql"]} == {"NoWorkers", "StoreDown"}


@needs_promtool
def test_prometheus_accepts_the_rules() -> None:
    completed = _promtool("check", "rules", "--lint=all", "--lint-fatal", RULES.name)

    assert (completed.returncode, completed.stderr) == (0, "")
    assert f"{len(ROWS)} rules found" in completed.stdout


@needs_promtool
def test_the_unit_tests_of_the_rules_pass() -> None:
    completed = _promtool("test", "rules", UNIT_TESTS.name)

    assert completed.returncode == 0, completed.stdout[-2000:] + completed.stderr[-2000:]
