# SPDX-License-Identifier: Apache-2.0
"""The api keeps what its newest snapshot in docs/api has published. Breaking changes are declared by name."""

import json
from pathlib import Path
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from api.cli.openapi import current_document, formatted
from api.openapi.comparison import breaking_changes

SNAPSHOTS = sorted((Path(__file__).parents[2] / "docs/api").glob("v*.json"), key=lambda path: int(path.stem[1:]))
DECLARED = Path(__file__).parents[2] / "docs/api/breaking-changes.txt"


def _declared() -> list[str]:
    lines = DECLARED.read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def _unexplained(document: dict[str, Any], declared: list[str]) -> list[str]:
    """Breaking changes that are not declared, and declarations of changes that are not made."""
    newest = json.loads(SNAPSHOTS[-1].read_bytes())
    return sorted({*breaking_changes(newest, document)} ^ {*declared})


def test_each_breaking_change_since_the_newest_snapshot_is_declared() -> None:
    assert _unexplained(current_document(), _declared()) == [], f"declare them in {DECLARED}, or keep the api as it was"


def test_an_undeclared_breaking_change_is_named() -> None:
    document = current_document()
    del document["paths"]["/v1/writes"]["post"]
    document["components"]["schemas"]["LogMetric"]["required"].append("step")

    found = _unexplained(document, _declared())

    assert "POST /v1/writes: the operation is removed" in found
    assert "POST /api/2.0/mlflow/runs/log-metric: request: 'step' is required now" in found


def test_a_declared_change_that_is_not_made_is_named() -> None:
    assert _unexplained(current_document(), ["GET /v0: the operation is removed", *_declared()]) == [
        "GET /v0: the operation is removed"
    ]


@pytest.mark.parametrize("snapshot", SNAPSHOTS, ids=lambda path: path.name)
def test_a_snapshot_is_a_valid_document_as_the_command_prints_it(snapshot: Path) -> None:
    document = json.loads(snapshot.read_bytes())

    assert [error.message for error in OpenAPIV31SpecValidator(document).iter_errors()] == []
    assert snapshot.read_text(encoding="utf-8") == formatted(document)


def test_versions_have_no_gap() -> None:
    assert [path.stem for path in SNAPSHOTS] == [f"v{number}" for number in range(1, len(SNAPSHOTS) + 1)]
