# SPDX-License-Identifier: Apache-2.0
"""``mlflow-bridge openapi``: prints and compares the descriptions of the api."""

import json
import sys
from pathlib import Path
from typing import Any

import click

from api.openapi.comparison import breaking_changes


@click.group(invoke_without_command=True)
@click.pass_context
def openapi(context: click.Context) -> None:
    """Print the OpenAPI 3.1 document that GET /openapi.json serves.

    The output is the same on each machine: keys are sorted. No bridge has to run.

    \b
    mlflow-bridge openapi > docs/api/v1.json          # take a snapshot
    mlflow-bridge openapi diff docs/api/v1.json       # what has broken since
    """  # noqa: D301 - `\b` keeps click from rewrapping the lines
    if context.invoked_subcommand is None:
        click.echo(formatted(current_document()), nl=False)


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
