# SPDX-License-Identifier: Apache-2.0
"""``mlflow-bridge drains``: lists and shows bulk replays and discards, changes their rate, cancels them."""

import time
from typing import Any

import click

from bridge.cli.http_client import BridgeClient, connection_options, path_part, printable, show_json

_PATH = "/v1/dead-letters/drains"
_POLL_INTERVAL_S = 0.3
RATE = click.FloatRange(min=0, min_open=True, max=1_000_000)


@click.group()
def drains() -> None:
    """List and show bulk replays and discards of dead letters, change their rate, cancel them.

    `mlflow-bridge dead-letters replay` and `discard` begin them. The workers carry them out.
    """


@drains.command("list")
@click.option("--state", type=click.Choice(["running", "finished", "cancelled"]), help="Only those in this state.")
@click.option("--limit", type=click.IntRange(1, 1000), default=100, show_default=True, help="List at most this many.")
@connection_options
def list_drains(state: str | None, limit: int, url: str, *, as_json: bool) -> None:
    """List drains, the newest first. --json prints one document per line."""
    params = {"limit": str(limit)} | ({"state": state} if state else {})
    for drain in BridgeClient(url).get(_PATH, params=params)["drains"]:
        if as_json:
            show_json(drain)
        else:
            progress = f"{drain['done']} of {drain['total']}"
            ordered_by = printable(drain["ordered_by"] or "-")
            columns = (drain["drain_id"], drain["began_at"][:19], drain["action"], drain["state"], progress, ordered_by)
            click.echo("  ".join(columns))


@drains.command()
@click.argument("drain_id")
@connection_options
def show(drain_id: str, url: str, *, as_json: bool) -> None:
    """Show the progress of a drain."""
    _show(BridgeClient(url).get(f"{_PATH}/{path_part(drain_id)}"), as_json=as_json)


@drains.command()
@click.argument("drain_id")
@click.argument("letters_per_second", type=RATE, required=False)
@click.option("--unlimited", is_flag=True, help="As fast as the workers can.")
@connection_options
def rate(drain_id: str, letters_per_second: float | None, url: str, *, unlimited: bool, as_json: bool) -> None:
    """Change the rate of a running drain."""
    if unlimited == (letters_per_second is not None):
        raise click.UsageError("Give the letters per second, or --unlimited.")
    client = BridgeClient(url)
    _show(client.patch(f"{_PATH}/{path_part(drain_id)}", {"rate": letters_per_second}), as_json=as_json)


@drains.command()
@click.argument("drain_id")
@connection_options
def cancel(drain_id: str, url: str, *, as_json: bool) -> None:
    """Cancel a drain. Letters already done stay done."""
    client, path = BridgeClient(url), f"{_PATH}/{path_part(drain_id)}"
    client.delete(path)
    _show(client.get(path), as_json=as_json)


def follow_drain(client: BridgeClient, answer: dict[str, Any], *, as_json: bool) -> None:
    """Follow a drain to its end. The workers run the drain; Ctrl-C does not stop it.

    ``answer`` is the response to the order: a drain, or after a dry run only a count, which is printed.
    """
    if "drain_id" not in answer:
        show_json(answer) if as_json else click.echo(f"{answer['count']} dead letters")
        return
    path = f"{_PATH}/{answer['drain_id']}"
    click.echo(f"The workers run drain {answer['drain_id']}.", err=True)
    try:
        with click.progressbar(length=answer["total"], label=answer["action"], hidden=as_json, show_pos=True) as bar:
            while answer["state"] == "running":
                time.sleep(_POLL_INTERVAL_S)
                answer = client.get(path)
                bar.update(answer["done"] - bar.pos)
    except (KeyboardInterrupt, click.Abort):
        click.echo(
            f"\nThe drain continues. Follow it with: mlflow-bridge dead-letters drain {answer['drain_id']}", err=True
        )
        raise
    if as_json:
        show_json(answer)
    else:
        click.echo(f"{answer['done']} of {answer['total']} dead letters: {answer['action']} {answer['state']}")


def _show(drain: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        show_json(drain)
        return
    names = ("drain_id", "action", "state", "done", "total", "skipped", "rate", "ordered_by", "began_at", "finished_at")
    for name in names:
        value = "-" if drain[name] is None else printable(str(drain[name]))
        click.echo(f"{name.replace('_', ' '):<12} {value}")
    click.echo(f"{'filter':<12} {', '.join(f'{name}={value}' for name, value in drain['filter'].items()) or 'all'}")
