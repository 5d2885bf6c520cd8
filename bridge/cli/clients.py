# SPDX-License-Identifier: Apache-2.0
"""``mlflow-bridge clients``: shows clients with their permissions, limits and activity."""

from collections.abc import Iterator
from typing import Any

import click

from bridge.cli.http_client import BridgeClient, connection_options, path_part, printable, show_json

_PATH = "/v1/clients"
_PAGE_SIZE = 200


@click.group()
def clients() -> None:
    """Show clients, what they may do and their use.

    `mlflow-bridge keys` changes clients and their keys, at the store.
    """


@clients.command("list")
@connection_options
def list_clients(url: str, *, as_json: bool) -> None:
    """List clients by name. --json prints one document per line."""
    for client in _clients(BridgeClient(url)):
        if as_json:
            show_json(client)
            continue
        seen = (client["last_seen_at"] or "never")[:19]
        scopes = "+".join(client["scopes"]) or "nothing"
        columns = (f"{client['name']:<24}", f"{client['kind']:<5}", f"{scopes:<16}", f"seen {seen:<19}")
        click.echo("  ".join((*columns, f"{client['pending_bytes']} B pending", f"{client['dead_letters']} dead")))


@clients.command()
@click.argument("name")
@connection_options
def show(name: str, url: str, *, as_json: bool) -> None:
    """Show a client: what it may do, its limits, its use and its keys."""
    bridge = BridgeClient(url)
    client = bridge.get(f"{_PATH}/{path_part(name)}")
    if as_json:
        show_json(client)
        return
    for field, value in client.items():
        click.echo(f"{field.replace('_', ' '):<14} {_one_line(value)}")
    for key in bridge.get("/v1/keys", params={"client": name})["keys"]:
        expires, used = ((key[field] or "never")[:19] for field in ("expires_at", "last_used_at"))
        click.echo(f"  {key['key_id']}  {key['kind']}  expires {expires}  last used {used}")


@clients.command()
@click.argument("name")
@click.argument("action")
@click.option("--experiment", "experiment_id", metavar="ID", help="In this experiment.")
@connection_options
def permission(name: str, action: str, experiment_id: str | None, url: str, *, as_json: bool) -> None:
    """Show whether a client may do an action, such as LogMetric, and why."""
    query = {"action": action} | ({"experiment_id": experiment_id} if experiment_id else {})
    permitted = BridgeClient(url).get(f"{_PATH}/{path_part(name)}/permission", params=query)
    if as_json:
        show_json(permitted)
    else:
        click.echo(f"{'yes' if permitted['allowed'] else 'no'}: {printable(permitted['because'])}")


def _clients(bridge: BridgeClient) -> Iterator[dict[str, Any]]:
    cursor: str | None = None
    while True:
        page = bridge.get(_PATH, params={"limit": str(_PAGE_SIZE)} | ({"cursor": cursor} if cursor else {}))
        yield from page["clients"]
        cursor = page["next"]
        if cursor is None:
            return


def _one_line(value: object) -> str:
    match value:
        case None | [] | {}:
            return "-"
        case list():
            return ",".join(map(str, value))
        case dict():
            return "  ".join(f"{name} {item}" for name, item in value.items() if item is not None) or "-"
    return str(value)
