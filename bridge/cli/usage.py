# SPDX-License-Identifier: Apache-2.0
"""``mlflow-bridge usage``: shows the requests, writes, bytes and tokens of clients."""

from typing import Any

import click

from bridge.cli.http_client import BridgeClient, connection_options, printable, show_json

_COLUMNS = ("requests", "writes", "bytes", "denied", "limited", "refused", "prompt_tokens", "completion_tokens")
_PAGE_SIZE = 1000


@click.command()
@click.argument("client", required=False)
@click.option("--hours", type=click.IntRange(1, 192), help="The last hours, up to 192.  [default: 24]")
@click.option("--days", type=click.IntRange(1, 396), help="The last days (UTC), up to 396.")
@click.option("--mine", is_flag=True, help="Only the usage of the client that asks. It needs no permission.")
@click.option("--by-step", is_flag=True, help="A line for each hour or day.")
@connection_options
def usage(
    client: str | None,
    *,
    hours: int | None,
    days: int | None,
    mine: bool,
    by_step: bool,
    url: str,
    as_json: bool,
) -> None:
    """Show the requests, writes, bytes and tokens of all clients, or of one.

    `denied`, `limited` and `refused` are requests without the permission, over a quota, and with writes that were not
    accepted for another reason. Tokens are those of MLflow's AI Gateway; a line below the client has each endpoint.
    """
    if hours and days:
        raise click.UsageError("Use --hours or --days, not both.")
    if mine and client:
        raise click.UsageError("Name a client or use --mine, not both.")
    span = {"days": days} if days else {"hours": hours} if hours else {}
    bridge = BridgeClient(url)
    document = bridge.get("/v1/usage/mine", params=span) if mine else _all_pages(bridge, client, span)
    if as_json:
        show_json(document)
    else:
        _show(document["clients"], by_step=by_step)


def _all_pages(bridge: BridgeClient, client: str | None, span: dict[str, int]) -> dict[str, Any]:
    """Return the first page, with the clients of all pages."""
    query: dict[str, Any] = {**span, "limit": _PAGE_SIZE, **({"client": client} if client else {})}
    document: dict[str, Any] = bridge.get("/v1/usage", params=query)
    while document["next"]:
        page = bridge.get("/v1/usage", params={**query, "cursor": document["next"]})
        document |= {"clients": [*document["clients"], *page["clients"]], "next": page["next"]}
    return document


def _show(clients: list[dict[str, Any]], *, by_step: bool) -> None:
    click.echo("  ".join([f"{'client':<24}", *(f"{name.replace('_', ' '):>17}" for name in _COLUMNS)]))
    for client in clients:
        name = printable(client["client"])
        _show_line(name, client["total"])
        for step in client["hours"] if by_step else ():
            _show_line(f"  {step['at'][:16]}Z", step)
        for endpoint, counts in sorted(client["total"]["models"].items()):
            _show_line(f"  {printable(endpoint)}", counts)


def _show_line(name: str, counts: dict[str, Any]) -> None:
    # A name that is longer than its column keeps its whole text.
    click.echo("  ".join([f"{name:<24}", *(f"{counts.get(column, '-'):>17}" for column in _COLUMNS)]))
