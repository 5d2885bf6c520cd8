# SPDX-License-Identifier: Apache-2.0
"""``mlflow-bridge lanes`` and ``workers``: the lanes with pending writes, and the worker processes."""

import datetime as dt
from typing import Any

import click

from bridge.cli.formatting import age, number, size, time_of_day
from bridge.cli.http_client import BridgeClient, connection_options, path_part, printable, show_json

#: The most lanes that the api returns at a time.
_MAX_PAGE_SIZE = 1000


@click.group()
def lanes() -> None:
    """Lanes with pending writes: list them, or attempt one now. The lane of a run is its id."""


@lanes.command("list")
@click.option("--state", type=click.Choice(["waiting", "delivering", "failing", "denied"]), help="Only in this state.")
@click.option("--client", help="Only lanes with writes of this client.")
@click.option("--newest", is_flag=True, help="Begin with the lane that has waited for the shortest time.")
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True, help="Show at most this many.")
@connection_options
def list_lanes(url: str, *, as_json: bool, limit: int, newest: bool, **filters: str | None) -> None:
    """List lanes, the one that has waited for the longest time first."""
    query: dict[str, Any] = {name: value for name, value in filters.items() if value}
    query |= {"order": "newest"} if newest else {}
    printed, cursor, bridge = 0, None, BridgeClient(url)
    while printed < limit:
        position = {"limit": min(limit - printed, _MAX_PAGE_SIZE)} | ({"cursor": cursor} if cursor else {})
        page = bridge.get("/v1/lanes", params=query | position)
        for lane in page["lanes"]:
            show_json(lane) if as_json else click.echo(lane_line(lane, dt.datetime.now(dt.UTC)))
        printed, cursor = printed + len(page["lanes"]), page["next"]
        if cursor is None:
            return
    click.echo("There are more: raise --limit.", err=True)


@lanes.command()
@click.argument("lane")
@connection_options
def attempt(lane: str, url: str, *, as_json: bool) -> None:
    """Attempt a lane now, whatever its backoff. Flow control still holds: an open breaker lets nothing through."""
    document = BridgeClient(url).post(f"/v1/lanes/{path_part(lane)}/attempt")
    show_json(document) if as_json else click.echo(lane_line(document, dt.datetime.now(dt.UTC)))


@click.command()
@connection_options
def workers(url: str, *, as_json: bool) -> None:
    """List the worker processes that have reported within the last hour."""
    found, now = BridgeClient(url).get("/v1/workers")["workers"], dt.datetime.now(dt.UTC)
    for worker in found:
        show_json(worker) if as_json else click.echo(_worker_line(worker, now))
    versions = {worker["version"] for worker in found if worker["version"]}
    if len(versions) > 1:
        click.echo(f"The versions differ: {', '.join(sorted(versions))}.", err=True)
    if not found:
        click.echo("No worker has reported within the last hour.", err=True)


def lane_line(lane: dict[str, Any], now: dt.datetime) -> str:
    """Return a lane as a line: name, client, pending writes and their age, state, and the last error."""
    name = lane["run_name"] or lane["lane"]
    parts = [f"{printable(name):<32}", f"{lane['client'] or '-':<12}", f"{number(lane['pending']):>7} writes"]
    parts += [f"{size(lane['bytes']):>8}", f"{age(lane['oldest_accepted_at'], now):>7}", f"{lane['state']:<10}"]
    if lane["attempts"]:
        parts.append(f"{lane['attempts']} attempts")
    if lane["next_attempt_at"]:
        parts.append(f"next {time_of_day(lane['next_attempt_at'])}")
    if error := lane["error"]:
        parts.append(f"{error['reason']}: {printable(error['message'])}")
    return "  ".join(parts).rstrip()


def _worker_line(worker: dict[str, Any], now: dt.datetime) -> str:
    busy = "?" if worker["delivering"] is None else f"{worker['delivering']}/{worker['concurrency']}"
    parts = [
        f"{printable(worker['name']):<32}",
        f"{worker['version'] or '?':<10}",
        f"up {age(worker['started_at'], now):<8}",
    ]
    parts += [f"reported {age(worker['reported_at'], now)} ago", f"delivering {busy}"]
    if error := worker["last_error"]:
        parts.append(f"{age(error['at'], now)} ago: {printable(error['text'])}")
    return "  ".join(parts)
