# SPDX-License-Identifier: Apache-2.0
"""``mlflow-bridge audit``: lists the changes that were made through the api, the sign-ins and the denials."""

from collections.abc import Iterator
from typing import Any

import click

from bridge.cli.http_client import BridgeClient, connection_options, printable, show_json

#: The most entries that the api returns at a time.
_MAX_PAGE_SIZE = 1000


@click.command()
@click.option("--client", help="Only of this client.")
@click.option("--action", help="Only of this action, such as ManageKeys or SignIn.")
@click.option(
    "--decision",
    type=click.Choice(["allowed", "denied", "unauthenticated", "rate_limited"]),
    help="Only with this decision.",
)
@click.option("--since", metavar="TIME", help="At or after this time, such as 2026-11-20T12:00:00Z.")
@click.option("--until", metavar="TIME", help="Before this time.")
@click.option("--request-id", help="Only of this request.")
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True, help="Print at most this many.")
@connection_options
def audit(url: str, limit: int, *, as_json: bool, **filters: str | None) -> None:
    """List what was changed through the api, who signed in, and what was denied, the newest first.

    The store keeps 10,000 entries of changes and sign-ins, and 10,000 of denials, for 90 days. The api's log is the
    full record. --json prints one document per line.
    """
    given = {name: value for name, value in filters.items() if value is not None}
    for entry in _entries(BridgeClient(url), given, limit):
        show_json(entry) if as_json else click.echo(_line(entry))


def _entries(bridge: BridgeClient, filters: dict[str, str], limit: int) -> Iterator[dict[str, Any]]:
    cursor: str | None = None
    while limit > 0:
        query = filters | {"limit": str(min(limit, _MAX_PAGE_SIZE))} | ({"cursor": cursor} if cursor else {})
        page = bridge.get("/v1/audit", params=query)
        yield from page["entries"]
        limit -= len(page["entries"])
        cursor = page["next"]
        if cursor is None:
            return


def _line(entry: dict[str, Any]) -> str:
    # An entry without a path stands for denials that were only counted.
    if entry["count"] > 1 or not entry["path"]:
        subject = f"{entry['count']} more requests"
    else:
        subject = f"{entry['method']} {entry['path']}"
    columns = (
        entry["at"][:19],
        f"{entry['client']:<16}",
        f"{entry['address']:<15}",
        f"{entry['decision']:<15}",
        f"{entry['status']}",
        f"{entry['action'] or '-':<16}",
        subject,
        entry["request_id"] or "-",
    )
    return "  ".join(printable(column) for column in columns)
