# SPDX-License-Identifier: Apache-2.0
"""``mlflow-bridge backlog``: how much waits."""

import click

from bridge.cli.http_client import Remote, path_part, show_json, with_remote


@click.command()
@click.argument("run_id", required=False)
@with_remote
def backlog(run_id: str | None, url: str, *, as_json: bool) -> None:
    """Show how much waits to be delivered, in all or of one run."""
    path = f"/v1/runs/{path_part(run_id)}/backlog" if run_id else "/v1/backlog"
    document = Remote(url).get(path)
    if as_json:
        show_json(document)
        return
    for name, value in document.items():
        shown = f"{value['reason']}: {value['message']}" if isinstance(value, dict) else value
        click.echo(f"{name.replace('_', ' '):<20} {'-' if shown is None else shown}")
