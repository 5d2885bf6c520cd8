# SPDX-License-Identifier: Apache-2.0
"""Documentation is published to a stage of API Gateway through boto3, against a strict fake."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from click.testing import CliRunner, Result

from api.api_gateway.document import Integration, import_document
from api.cli import main
from api.cli.openapi import current_document
from tests.fake_api_gateway import DOCUMENTATION, FakeApiGateway, served

API = "a1b2c3"
INTEGRATION = Integration("vpclink1", "https://bridge.internal")
Run = Callable[..., Result]


@pytest.fixture
def gateway() -> FakeApiGateway:
    return FakeApiGateway(API, "prod", "test")


@pytest.fixture
def environ(gateway: FakeApiGateway, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An environment in which boto3 calls the fake."""
    with served(gateway) as address:
        monkeypatch.setenv("AWS_ENDPOINT_URL_API_GATEWAY", address)
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.setenv(name, "test")
        monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
        monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
        yield


@pytest.fixture
def publish(environ: None) -> Run:  # noqa: ARG001 - a fixture
    options = ("openapi", "publish", "--api-id", API, "--stage", "prod", "--version", "v1")
    return lambda *more: CliRunner().invoke(main, [*options, *more])


def _document() -> dict[str, Any]:
    document: dict[str, Any] = json.loads(json.dumps(import_document(current_document(), INTEGRATION, "v1")))
    return document


def _parts() -> list[dict[str, Any]]:
    parts: list[dict[str, Any]] = _document()[DOCUMENTATION]["documentationParts"]
    return parts


def test_the_stage_exports_the_parts_that_were_published(gateway: FakeApiGateway, publish: Run, tmp_path: Path) -> None:
    result = publish("--output", str(tmp_path / "export.json"))

    assert (result.exit_code, result.output.splitlines()[-1]) == (
        0,
        "stage 'prod' publishes documentation version 'v1'",
    )
    exported = json.loads((tmp_path / "export.json").read_bytes())[DOCUMENTATION]
    assert (exported["version"], exported["documentationParts"]) == ("v1", _parts())
    assert gateway.stages["prod"]["documentationVersion"] == "v1"
    assert "documentationVersion" not in gateway.stages["test"]


def test_a_second_publication_changes_nothing(gateway: FakeApiGateway, publish: Run) -> None:
    publish()
    gateway.calls.clear()

    assert publish().exit_code == 0
    assert gateway.calls == ["GetStage", "GetDocumentationVersion", "GetExport"]


def test_an_interrupted_publication_is_completed(gateway: FakeApiGateway, publish: Run) -> None:
    publish()
    del gateway.stages["prod"]["documentationVersion"]
    gateway.calls.clear()

    assert publish().exit_code == 0
    assert gateway.calls == ["GetStage", "GetDocumentationVersion", "UpdateStage", "GetExport"]


def test_a_dry_run_lists_the_calls_and_makes_none(gateway: FakeApiGateway, publish: Run) -> None:
    result = publish("--dry-run")

    assert result.output.splitlines() == [
        f"would import {len(_parts())} documentation parts into API {API}, replacing all parts",
        "would create documentation version 'v1'",
        "would associate stage 'prod' with documentation version 'v1'",
    ]
    assert (gateway.calls, gateway.parts, gateway.versions) == (["GetStage", "GetDocumentationVersion"], [], {})


def test_a_version_with_other_parts_is_refused(gateway: FakeApiGateway, publish: Run) -> None:
    publish()
    gateway.versions["v1"][0]["description"] = "Written by hand"
    gateway.parts = []

    result = publish()

    assert (result.exit_code, gateway.parts) == (1, [])
    assert "'v1' exists with other parts. A version can't be changed: choose another --version." in result.output


def test_an_export_with_other_documentation_is_a_failure(gateway: FakeApiGateway, publish: Run) -> None:
    publish()
    gateway.versions["v1"][1].pop()

    result = publish()

    assert result.exit_code == 1
    assert "1 different parts" in result.output


def test_a_stage_that_does_not_exist_is_named(publish: Run) -> None:
    result = publish("--stage", "none")

    assert result.exit_code == 1
    assert "Stage 'none' can't be read" in result.output
    assert "Traceback" not in result.output


def test_a_missing_region_is_named(publish: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")

    result = publish()

    assert result.exit_code == 1
    assert "You must specify a region. Set AWS_DEFAULT_REGION" in result.output


def test_the_import_document_is_exported_as_it_was_imported(publish: Run) -> None:
    document, client = _document(), boto3.client("apigateway")

    client.put_rest_api(restApiId=API, mode="overwrite", failOnWarnings=True, body=json.dumps(document).encode())
    assert publish().exit_code == 0

    answer = client.get_export(restApiId=API, stageName="prod", exportType="oas30", accepts="application/json")
    exported = json.loads(answer["body"].read())
    assert exported[DOCUMENTATION].pop("createdDate")
    assert exported == document


@pytest.mark.usefixtures("environ")
def test_the_document_that_is_served_would_not_be_imported(gateway: FakeApiGateway) -> None:
    client = boto3.client("apigateway")

    with pytest.raises(client.exceptions.BadRequestException, match=r"3\.1\.0"):
        client.put_rest_api(restApiId=API, body=json.dumps(current_document()).encode())
    assert gateway.document["paths"] == {}
