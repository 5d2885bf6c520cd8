# SPDX-License-Identifier: Apache-2.0
"""``mlflow-bridge backlog``: shows the pending writes."""

from typing import Any

import click

from bridge.cli.http_client import BridgeClient, connection_options, path_part, printable, show_json


@click.command()
@click.argument("run_id", required=False)
@connection_options
def backlog(run_id: str | None, url: str, *, as_json: bool) -> None:
    """Show the backlog of pending writes: of the whole bridge, or of one run."""
    path = f"/v1/runs/{path_part(run_id)}/backlog" if run_id else "/v1/backlog"
    document = BridgeClient(url).get(path)
    if as_json:
        show_json(document)
        return
    for name, value in document.items():
        text = _one_line(value) if isinstance(value, dict) else value
        click.echo(f"{name.replace('_', ' '):<20} {'-' if text is None else text}")


def _one_line(value: dict[str, Any]) -> str:
    """Return an error or a pause in one line."""
    if "why" in value:
        return printable(f"by {value['by']}, until {value['until'] or 'resumed'}: {value['why']}")
    return printable(f"{value['reason']}: {value['message']}")
