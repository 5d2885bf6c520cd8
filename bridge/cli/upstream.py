# SPDX-License-Identifier: Apache-2.0
"""``mlflow-bridge upstream``: shows the upstream and its failed calls, probes it, pauses and resumes deliveries."""

import datetime as dt
import sys
from typing import Any

import click

from bridge.cli.http_client import BridgeClient, connection_options, path_part, printable, show_json
from bridge.config.parsers import duration

_PATH = "/v1/upstreams"
_TIME = click.DateTime(["%Y-%m-%dT%H:%M:%S%z", "%Y-%m-%dT%H:%M%z", "%Y-%m-%d %H:%M%z"])


@click.group()
def upstream() -> None:
    """Show the upstream and its failed calls, probe it, pause and resume deliveries."""


@upstream.command()
@connection_options
def show(url: str, *, as_json: bool) -> None:
    """Show the upstream: circuit breaker, rate, pause, and its calls of the last hour."""
    _show(_upstream(BridgeClient(url)), as_json=as_json)


@upstream.command()
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True, help="Print at most this many.")
@connection_options
def failures(url: str, limit: int, *, as_json: bool) -> None:
    """List the latest failed calls, newest first. --json prints one document per line."""
    client = BridgeClient(url)
    path = f"{_PATH}/{path_part(_upstream(client)['id'])}/failures"
    for failure in client.get(path, params={"limit": limit})["failures"]:
        if as_json:
            show_json(failure)
            continue
        result = " ".join(str(failure[name]) for name in ("outcome", "status", "error_code") if failure[name])
        click.echo(
            f"{failure['at'][:19]}  {failure['duration']:>7.3f} s  {printable(failure['call'])}  {printable(result)}"
            f"  {printable(failure['request_id'] or '-')}  {printable(failure['message'])[:80]}"
        )


@upstream.command()
@connection_options
def probe(url: str, *, as_json: bool) -> None:
    """Check the way to upstream from the api's host, step by step, within 15 seconds.

    Sends one signed read, also while deliveries are paused. Exit status: 0 if upstream answers it, 1 if not.
    """
    client = BridgeClient(url)
    document = client.post(f"{_PATH}/{path_part(_upstream(client)['id'])}/probe")
    if as_json:
        show_json(document)
    else:
        for check in document["checks"]:
            click.echo(f"{check['verdict']:<8}{check['name']:<21}{printable(check['detail'])}")
            if check["advice"]:
                click.echo(f"{'':<8}fix: {printable(check['advice'])}")
        click.echo("upstream answers" if document["reachable"] else "upstream does not answer")
    sys.exit(0 if document["reachable"] else 1)


@upstream.command()
@click.option("--why", required=True, help="The reason, which every operator sees.")
@click.option("--until", type=_TIME, help="Ends by itself at this time, such as 2026-11-28T18:00Z.")
@click.option("--for", "span", metavar="SPAN", help="Ends by itself after this time, such as 30m or 2h.")
@connection_options
def pause(url: str, why: str, until: dt.datetime | None, span: str | None, *, as_json: bool) -> None:
    """Pause deliveries, for instance while MLflow is upgraded. Writes are accepted and wait; reads go on.

    It holds for all workers, survives restarts, and lasts until `resume` unless it ends by itself.
    """
    if until and span:
        raise click.UsageError("--until and --for exclude each other.")
    end = until or _end_of(span)
    _put_pause(url, {"paused": True, "why": why, "until": end.isoformat() if end else None}, as_json=as_json)


@upstream.command()
@connection_options
def resume(url: str, *, as_json: bool) -> None:
    """Resume deliveries. What waited is delivered within seconds, as fast as the rate limit permits."""
    _put_pause(url, {"paused": False}, as_json=as_json)


def _put_pause(url: str, order: dict[str, Any], *, as_json: bool) -> None:
    client = BridgeClient(url)
    path = f"{_PATH}/{path_part(_upstream(client)['id'])}/pause"
    _show(client.put(path, order), as_json=as_json)


def _end_of(span: str | None) -> dt.datetime | None:
    if span is None:
        return None
    try:
        return dt.datetime.now(dt.UTC) + duration(span)
    except ValueError as error:
        raise click.BadParameter(f"{error}", param_hint="--for") from error


def _upstream(client: BridgeClient) -> dict[str, Any]:
    """Return the document of the one upstream of a bridge."""
    upstreams: list[dict[str, Any]] = client.get(_PATH)["upstreams"]
    return upstreams[0]


def _show(document: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        show_json(document)
        return
    gate = document["gate"]
    for name, value in (
        ("upstream", f"{document['name']} ({document['kind']})"),
        ("deliveries", _pause_text(gate["paused"]) if gate["paused"] else "not paused"),
        ("breaker", _breaker_text(gate)),
        ("rate", f"{gate['rate']:g} calls/s, burst {gate['burst']}" if gate["rate"] else "not limited"),
        ("last delivery", gate["delivered_at"] or "-"),
        ("last hour", ", ".join(f"{count} {outcome}" for outcome, count in document["outcomes"].items()) or "no call"),
    ):
        click.echo(f"{name:<14} {printable(value)}")


def _pause_text(pause: dict[str, Any]) -> str:
    until = f"until {pause['until']}" if pause["until"] else "until they are resumed"
    return f"paused by {pause['by']} since {pause['since'][:19]}, {until}: {pause['why']}"


def _breaker_text(gate: dict[str, Any]) -> str:
    if gate["breaker"] == "closed":
        return "closed"
    return (
        f"{gate['breaker']} since {gate['since'] or '-'}: {gate['why']}; the next call goes at {gate['opens_again_at']}"
    )
