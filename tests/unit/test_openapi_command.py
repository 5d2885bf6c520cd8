# SPDX-License-Identifier: Apache-2.0
"""``mlflow-bridge openapi`` prints and compares documents, and costs the other commands nothing."""

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner

from api.cli import main
from api.cli.openapi import current_document, formatted
from api.openapi.document import openapi_document
from api.routes.table import ROUTES
from bridge.cli.doctor import doctor
from tests.servers import clean_environ

ROOT = Path(__file__).parents[2]
_NOT_LOADED = ("flask", "boto3", "botocore", "redis", "api.composition", "api.routes")


def test_the_document_of_the_routes_is_printed_the_same_each_time() -> None:
    outputs = {CliRunner().invoke(main, ["openapi"]).output for _ in range(2)}

    assert outputs == {formatted(openapi_document(ROUTES))}


def test_a_document_equals_itself(tmp_path: Path) -> None:
    snapshot = tmp_path / "v1.json"
    snapshot.write_text(formatted(current_document()), encoding="utf-8")

    result = CliRunner().invoke(main, ["openapi", "diff", str(snapshot), str(snapshot)])

    assert (result.exit_code, result.output) == (0, "no breaking changes\n")


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_a_breaking_change_is_printed_and_is_the_exit_status(tmp_path: Path, options: tuple[str, ...]) -> None:
    document, snapshot = current_document(), tmp_path / "v0.json"
    document["paths"]["/v0"] = {"get": {"responses": {"200": {"description": "Done"}}}}
    snapshot.write_text(json.dumps(document), encoding="utf-8")

    result = CliRunner().invoke(main, ["openapi", "diff", str(snapshot), *options])

    change = "GET /v0: the operation is removed"
    assert result.exit_code == 1
    assert json.loads(result.output) == {"breaking": [change]} if options else result.output == f"{change}\n"


@pytest.mark.parametrize("text", ["{", "[]", "{}"])
def test_a_file_that_is_no_document_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.json").write_text(text, encoding="utf-8")

    result = CliRunner().invoke(main, ["openapi", "diff", str(tmp_path / "x.json")])

    assert result.exit_code == 2
    assert "x.json is not" in result.output


def test_the_installed_program_has_all_commands() -> None:
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["scripts"]

    assert scripts["mlflow-bridge"] == "api.cli:main"
    assert main.commands["doctor"] is doctor
    assert "openapi" in main.commands


def test_the_command_line_loads_neither_the_api_nor_clients_of_services() -> None:
    code = f"import sys, api.cli; print([name for name in {_NOT_LOADED} if name in sys.modules])"

    environ = clean_environ() | {"PYTHONPATH": str(ROOT)}
    loaded = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=True)

    assert loaded.stdout == "[]\n"
