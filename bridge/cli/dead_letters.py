# SPDX-License-Identifier: Apache-2.0
"""``mlflow-bridge dead-letters``: lists, counts, shows, replays and discards dead letters."""

import json
import sys
from collections.abc import Callable, Iterator
from typing import Any

import click

from bridge.cli.drains import RATE, follow_drain
from bridge.cli.http_client import BridgeClient, connection_options, path_part, printable, show_json

_PATH = "/v1/dead-letters"
_PAGE_SIZE = 200


@click.group()
def dead_letters() -> None:
    """List, count, show, replay and discard dead letters.

    A dead letter is a write that the bridge no longer tries to deliver: upstream refused or denied it, it is older than
    BRIDGE_MAX_WRITE_AGE, or it repeatedly crashed a worker (poison).
    """


def with_filter(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that select dead letters to a command."""
    for option in (
        click.option("--error-code", metavar="CODE", help="With this MLflow code in upstream's last response."),
        click.option("--op", metavar="OPERATION", help="Of this operation, such as log-metric."),
        click.option("--until", metavar="TIME", help="Dead-lettered before this time."),
        click.option(
            "--since", metavar="TIME", help="Dead-lettered at or after this time, such as 2026-11-20T12:00:00Z."
        ),
        click.option("--client", help="Writes of this client."),
        click.option("--run", "run_id", metavar="RUN_ID", help="Writes to this run."),
        click.option(
            "--reason",
            type=click.Choice(["refused", "expired", "poison", "denied"]),
            help="Dead-lettered for this reason.",
        ),
    ):
        command = option(command)
    return command


@dead_letters.command("list")
@with_filter
@click.option("--limit", type=click.IntRange(1), help="Print at most this many.  [default: all]")
@click.option("--newest", is_flag=True, help="The newest first.")
@connection_options
def list_letters(url: str, limit: int | None, *, newest: bool, as_json: bool, **filters: str | None) -> None:
    """List dead letters, oldest first. --json prints one document per line."""
    query = _without_none(filters) | ({"order": "newest"} if newest else {})
    for number, letter in enumerate(_letters(BridgeClient(url), query), 1):
        if as_json:
            show_json(letter)
        else:
            message = printable(letter["message"])[:60]
            columns = (letter["letter_id"], letter["buried_at"][:19], letter["reason"], letter["op"], message)
            click.echo("  ".join(columns))
        if number == limit:
            return


@dead_letters.command()
@with_filter
@connection_options
def summary(url: str, *, as_json: bool, **filters: str | None) -> None:
    """Count dead letters, by reason, client and cause."""
    totals = BridgeClient(url).get(f"{_PATH}/summary", params=_without_none(filters))
    if as_json:
        show_json(totals)
        return
    click.echo(f"{totals['count']} dead letters")
    for name in ("by_reason", "by_client"):
        counts = ", ".join(f"{printable(key)} {count}" for key, count in totals[name].items())
        click.echo(f"{name.replace('_', ' '):<12} {counts or '-'}")
    if totals["groups"]:
        newest = " among the newest" if totals["sampled"] else ""
        click.echo(f"\nCauses{newest}, with the id of a letter of each:")
    for group in totals["groups"]:
        cause = (group["reason"], group["op"], group["error_code"] or "-", printable(group["message"])[:100])
        click.echo(f"{group['count']:>8}  {'  '.join(cause)}  ({group['sample']})")


@dead_letters.command()
@click.argument("letter_id")
@connection_options
def conflicts(letter_id: str, url: str, *, as_json: bool) -> None:
    """Show what a replay of a dead letter would overwrite."""
    conflict = BridgeClient(url).get(f"{_PATH}/{path_part(letter_id)}/conflicts")
    if as_json:
        show_json(conflict)
        return
    click.echo(f"{conflict['later_writes']} later writes in its lane")
    for overwrite in conflict["overwrites"]:
        stored, replayed = (_value_text(overwrite[name]) for name in ("stored", "letter"))
        click.echo(f"{overwrite['kind']} {printable(overwrite['key'])}: {stored} -> {replayed}")
    if not conflict["checked"]:
        click.echo(f"Not compared with MLflow: {printable(conflict['why'])}")


@dead_letters.command()
@click.argument("letter_id")
@connection_options
def show(letter_id: str, url: str, *, as_json: bool) -> None:
    """Show a dead letter: the call as it was sent, its delivery attempts, and upstream's answer."""
    letter = BridgeClient(url).get(f"{_PATH}/{path_part(letter_id)}")
    if as_json:
        show_json(letter)
        return
    for name in ("letter_id", "run_id", "op", "client", "request_id", "accepted_at", "buried_at", "reason", "message"):
        click.echo(f"{name.replace('_', ' '):<12} {printable(letter[name])}")
    click.echo(f"\nPOST {letter['write']['path']}")
    click.echo(json.dumps(letter["write"]["body"], indent=2))
    click.echo(f"\n{letter['attempt_count']} attempts, latest last:")
    for attempt in letter["attempts"]:
        answer = " ".join(str(attempt[name]) for name in ("status", "error_code") if attempt[name])
        result = f"{attempt['reason']} {answer}".strip()
        click.echo(
            f"  {attempt['at'][:19]}  {attempt['writes']:>4} writes  {result}: {printable(attempt['message'])[:200]}"
        )


@dead_letters.command()
@click.argument("letter_ids", nargs=-1)
@with_filter
@click.option("--all", "everything", is_flag=True, help="All of them.")
@click.option("--rate", type=RATE, help="Letters per second.  [default: as fast as the workers can]")
@click.option("--count", type=int, help="Replay only if exactly this many are selected.")
@click.option("--dry-run", is_flag=True, help="Only count.")
@connection_options
def replay(
    letter_ids: tuple[str, ...],
    url: str,
    rate: float | None,
    count: int | None,
    *,
    everything: bool,
    dry_run: bool,
    as_json: bool,
    **filters: str | None,
) -> None:
    """Queue dead letters again: each becomes a new job in its lane, in the original order.

    Select them by id, by filter options, or with --all.
    """
    client = BridgeClient(url)
    if letter_ids:
        _reject_options(filters, everything, rate, count is not None, dry_run)
        _for_each(letter_ids, lambda letter_id: _replay_one(client, letter_id, as_json=as_json))
    else:
        body = {
            "filter": _required_filter(filters, everything=everything),
            "rate": rate,
            "count": count,
            "dry_run": dry_run,
        }
        follow_drain(client, client.post(f"{_PATH}/replay", body), as_json=as_json)


@dead_letters.command()
@click.argument("letter_ids", nargs=-1)
@with_filter
@click.option("--all", "everything", is_flag=True, help="All of them.")
@click.option("--count", type=int, help="Discard only if exactly this many are selected; skips the prompt.")
@click.option("--dry-run", is_flag=True, help="Only count.")
@connection_options
def discard(
    letter_ids: tuple[str, ...],
    url: str,
    count: int | None,
    *,
    everything: bool,
    dry_run: bool,
    as_json: bool,
    **filters: str | None,
) -> None:
    """Delete dead letters permanently. Their jobs become `discarded`.

    Select them by id, by filter options, or with --all. Except by id, their number must be confirmed.
    """
    client = BridgeClient(url)
    if letter_ids:
        _reject_options(filters, everything, count, dry_run)
        _for_each(letter_ids, lambda letter_id: _discard_one(client, letter_id, as_json=as_json))
        return
    body = {"filter": _required_filter(filters, everything=everything), "dry_run": True}
    selected = client.post(f"{_PATH}/discard", body)
    if not dry_run and (selected["count"] or count):
        if count is None:
            count = click.prompt(
                f"This deletes {selected['count']} dead letters. Type their number to confirm", type=int
            )
        selected = client.post(f"{_PATH}/discard", body | {"dry_run": False, "count": count})
    follow_drain(client, selected, as_json=as_json)


@dead_letters.command()
@click.argument("drain_id")
@click.option("--cancel", is_flag=True, help="Stop it. Letters already done stay done.")
@connection_options
def drain(drain_id: str, url: str, *, cancel: bool, as_json: bool) -> None:
    """Follow a bulk replay or discard, or cancel it."""
    client = BridgeClient(url)
    path = f"{_PATH}/drains/{path_part(drain_id)}"
    if cancel:
        client.delete(path)
    follow_drain(client, client.get(path), as_json=as_json)


def _value_text(value: str | None) -> str:
    return "(none)" if value is None else printable(value)[:80]


def _letters(client: BridgeClient, filters: dict[str, str]) -> Iterator[dict[str, Any]]:
    cursor: str | None = None
    while True:
        page = client.get(_PATH, params=filters | {"limit": str(_PAGE_SIZE)} | ({"cursor": cursor} if cursor else {}))
        yield from page["letters"]
        cursor = page["next"]
        if cursor is None:
            return


def _without_none(filters: dict[str, str | None]) -> dict[str, str]:
    return {name: value for name, value in filters.items() if value is not None}


def _required_filter(filters: dict[str, str | None], *, everything: bool) -> dict[str, str]:
    """Return the given filters, or raise ``UsageError`` if there are none and ``--all`` is not given."""
    given = _without_none(filters)
    if not given and not everything:
        raise click.UsageError("Select letters by id, by a filter option such as --reason or --run, or with --all.")
    return given


def _reject_options(filters: dict[str, str | None], *others: object) -> None:
    """Raise ``UsageError`` if an option for many letters is given together with the ids of letters."""
    if _without_none(filters) or any(others):
        raise click.UsageError("Select letters by id or by options, not both. Letters given by id are handled at once.")


def _for_each(letter_ids: tuple[str, ...], act: Callable[[str], None]) -> None:
    """Act on each letter. A missing letter does not stop the others."""
    failed = False
    for letter_id in letter_ids:
        try:
            act(letter_id)
        except click.ClickException as error:
            failed = True
            click.echo(f"{letter_id}: {error.message}", err=True)
    if failed:
        sys.exit(1)


def _replay_one(client: BridgeClient, letter_id: str, *, as_json: bool) -> None:
    replayed = client.post(f"{_PATH}/{path_part(letter_id)}/replay")
    show_json(replayed) if as_json else click.echo(f"{letter_id} is pending again: job {replayed['job_id']}")


def _discard_one(client: BridgeClient, letter_id: str, *, as_json: bool) -> None:
    client.delete(f"{_PATH}/{path_part(letter_id)}")
    show_json({"letter_id": letter_id}) if as_json else click.echo(f"{letter_id} is discarded")
