# SPDX-License-Identifier: Apache-2.0
"""``mlflow-bridge openapi``: prints and compares the descriptions of the api."""

import json
import os
import sys
from pathlib import Path
from typing import Any

import click

from api.api_gateway.document import Integration, import_document
from api.openapi.comparison import breaking_changes
from bridge.errors import BridgeError


@click.group(invoke_without_command=True)
@click.option("--for", "target", type=click.Choice(["api-gateway"]), help="Print what Amazon API Gateway imports.")
@click.option("--vpc-link-id", metavar="ID", help="For api-gateway: the VPC link to the load balancer.")
@click.option("--nlb-uri", metavar="URI", help="For api-gateway: the load balancer, such as https://bridge.internal.")
@click.option("--target-arn", metavar="ARN", help="For a VPC link V2: the load balancer's ARN.")
@click.option("--version", default="v1", show_default=True, help="For api-gateway: the version of the documentation.")
@click.pass_context
def openapi(
    context: click.Context,
    target: str | None,
    vpc_link_id: str | None,
    nlb_uri: str | None,
    target_arn: str | None,
    version: str,
) -> None:
    """Print the OpenAPI 3.1 document that GET /openapi.json serves.

    The output is the same on each machine: keys are sorted. No bridge has to run.

    \b
    mlflow-bridge openapi > docs/api/v1.json          # take a snapshot
    mlflow-bridge openapi diff docs/api/v1.json       # what has broken since
    mlflow-bridge openapi --for api-gateway --vpc-link-id abc123 --nlb-uri https://bridge.internal
    """  # noqa: D301 - `\b` keeps click from rewrapping the lines
    if context.invoked_subcommand:
        return
    document = current_document()
    if target:
        if not vpc_link_id or not nlb_uri:
            raise click.UsageError("--for api-gateway needs --vpc-link-id and --nlb-uri.")
        document = import_document(document, Integration(vpc_link_id, nlb_uri, target_arn), version)
    click.echo(formatted(document), nl=False)


@openapi.command()
@click.argument("before", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("after", type=click.Path(exists=True, dir_okay=False, path_type=Path), required=False)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def diff(before: Path, after: Path | None, *, as_json: bool) -> None:
    """List the breaking changes from one document to another; by default to the current one.

    A change is breaking if a request that was valid is refused after it, or if a field of a response is gone.

    Exit status: 0 without a breaking change, 1 with one, 2 for an invalid command.
    """
    newer = _read(after) if after else current_document()
    changes = breaking_changes(_read(before), newer)
    if as_json:
        click.echo(json.dumps({"breaking": changes}, indent=2))
    else:
        click.echo("\n".join(changes) or "no breaking changes")
    sys.exit(1 if changes else 0)


@openapi.command()
@click.option("--api-id", metavar="ID", required=True, help="The REST API.")
@click.option("--stage", metavar="NAME", required=True, help="The stage to document; it must have a deployment.")
@click.option("--version", metavar="NAME", required=True, help="The new version of the documentation, such as v1.")
@click.option("--dry-run", is_flag=True, help="List the calls that would be made, and change nothing.")
@click.option(
    "--output", type=click.Path(dir_okay=False, path_type=Path), help="Write the stage's export to this file."
)
def publish(api_id: str, stage: str, version: str, output: Path | None, *, dry_run: bool) -> None:
    """Publish the documentation of this version to a stage of API Gateway.

    Replaces all documentation parts of the API, creates the documentation version, associates the stage with it,
    exports the stage, and compares the export. Makes only the calls that are still needed, so it may be repeated.
    Uses the AWS credentials and the region of the environment.

    Exit status: 0 if the documentation is published, 1 if not, 2 for an invalid command.
    """
    # Only this command calls AWS.
    from api.api_gateway.publication import Publication, Target, connect  # noqa: PLC0415

    document = import_document(current_document(), None, version)
    try:
        publication = Publication(connect(os.environ), Target(api_id, stage, version), document)
        for step in publication.steps():
            click.echo(f"would {step.text}" if dry_run else step.text)
            if not dry_run:
                step.run()
        if not dry_run:
            exported = publication.export()
            click.echo(f"stage '{stage}' publishes documentation version '{version}'")
            if output:
                output.write_text(formatted(exported), encoding="utf-8")
    except BridgeError as error:
        click.echo(f"mlflow-bridge: {error}", err=True)
        sys.exit(1)


def current_document() -> dict[str, Any]:
    """Return the OpenAPI document of this version's routes."""
    # Only printing needs the routes, and with them the whole api.
    from api.openapi.document import openapi_document  # noqa: PLC0415
    from api.routes.table import ROUTES  # noqa: PLC0415

    document: dict[str, Any] = json.loads(json.dumps(openapi_document(ROUTES)))
    return document


def formatted(document: dict[str, Any]) -> str:
    """Return a document as JSON that is the same for equal documents."""
    return json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def _read(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_bytes())
    except ValueError as error:
        raise click.BadParameter(f"{path} is not JSON: {error}. Give the file of an OpenAPI document.") from None
    if not isinstance(document, dict) or "openapi" not in document:
        raise click.BadParameter(f"{path} is not an OpenAPI document. `mlflow-bridge openapi` prints one.")
    return document
