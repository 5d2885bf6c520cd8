# SPDX-License-Identifier: Apache-2.0
"""Each measure of the bench runs to its end, and one that fails is named while the others still run."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from benchmarks import __main__ as bench
from benchmarks.table import Row, Setting

ROOT = Path(__file__).parents[2]
ROW = Row(name="one thing / another", ratio=2.0, target=">= 1", figures="2/s, 1/s")


def sound(setting: Setting) -> Iterator[Row]:  # noqa: ARG001 - as each measure
    """Yields what it has found."""
    yield ROW


def broken(setting: Setting) -> Iterator[Row]:  # noqa: ARG001 - as each measure
    """Finds one thing, then its server closes the connection."""
    yield ROW
    raise BrokenPipeError(32, "Broken pipe")


def barren(setting: Setting) -> Iterator[Row]:  # noqa: ARG001 - as each measure
    """Finds nothing."""
    return iter(())


def results_in(directory: Path) -> dict[str, Any]:
    [path] = directory.glob("*.json")
    document: dict[str, Any] = json.loads(path.read_text())
    return document


# Five minutes: each of the measures starts real servers of its own, one or more for each contender. Nothing less
# shows that a measure still understands the api, as one did not since the api checks the names of hosts.
@pytest.mark.full
@pytest.mark.timeout(1000)
def test_each_measure_runs_to_its_end_and_yields_its_rows(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks", "--smoke", "--results", str(tmp_path)]
    ended = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True, timeout=990)

    assert ended.returncode == 0, ended.stderr
    document = results_in(tmp_path)
    assert document["failed"] == {}
    assert {row["measure"] for row in document["rows"]} == set(bench.MEASURES)
    assert all(row["name"] in ended.stdout for row in document["rows"])


def test_a_broken_measure_is_named_and_the_others_still_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "MEASURES", {"broken": broken, "sound": sound})

    ended = CliRunner().invoke(bench.main, ["--quick", "--results", str(tmp_path)])

    assert ended.exit_code == 1
    assert "measure broken failed: BrokenPipeError: [Errno 32] Broken pipe" in ended.stderr
    assert "Traceback" in ended.stderr
    assert ended.stderr.splitlines()[-1] == "The measure broken failed; all others completed."
    assert ended.stdout.count(ROW.name) == 2
    document = results_in(tmp_path)
    assert document["failed"] == {"broken": "BrokenPipeError: [Errno 32] Broken pipe"}
    assert [row["measure"] for row in document["rows"]] == ["broken", "sound"]


def test_all_failed_measures_are_named_in_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "MEASURES", {"broken": broken, "sound": sound, "barren": barren})

    ended = CliRunner().invoke(bench.main, ["--results", str(tmp_path)])

    assert ended.exit_code == 1
    assert "measure barren failed: AssertionError: the measure returned no row" in ended.stderr
    assert ended.stderr.splitlines()[-1] == "The measures broken, barren failed; all others completed."


def test_a_measure_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    ended = CliRunner().invoke(bench.main, ["--only", "speed", "--results", str(tmp_path)])

    assert ended.exit_code == 2
    assert "speed: choose from latency, accepted" in ended.stderr
