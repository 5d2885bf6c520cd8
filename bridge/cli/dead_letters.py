# SPDX-License-Identifier: Apache-2.0
"""``mlflow-bridge dead-letters``: list, show, replay, discard."""

import json
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import click

from bridge.cli.http_client import Remote, path_part, printable, show_json, with_remote

_PATH = "/v1/dead-letters"
_PAGE = 200
_LOOK_EVERY = 0.3
_RATE = click.FloatRange(min=0, min_open=True, max=1_000_000)


@click.group()
def dead_letters() -> None:
    """The writes that were given up on: refused by upstream, older than the delivery horizon, or poison."""


def with_filter(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that say which letters are meant."""
    for option in (
        click.option("--until", metavar="TIME", help="Buried before this time."),
        click.option("--since", metavar="TIME", help="Buried at this time or later: 2026-11-20T12:00:00Z."),
        click.option("--client", help="Of this client."),
        click.option("--run", "run_id", metavar="RUN_ID", help="Of this run."),
        click.option(
            "--reason", type=click.Choice(["refused", "expired", "poison", "denied"]), help="Buried for this reason."
        ),
    ):
        command = option(command)
    return command


@dead_letters.command("list")
@with_filter
@click.option("--limit", type=click.IntRange(1), help="At most so many. Default: all.")
@with_remote
def list_letters(url: str, limit: int | None, *, as_json: bool, **wanted: str | None) -> None:
    """List dead letters, the oldest first. With --json, one line each."""
    for number, letter in enumerate(_letters(Remote(url), _given(wanted)), 1):
        if as_json:
            show_json(letter)
        else:
            words = printable(letter["message"])[:60]
            columns = (letter["letter_id"], letter["buried_at"][:19], letter["reason"], letter["op"], words)
            click.echo("  ".join(columns))
        if number == limit:
            return


@dead_letters.command()
@click.argument("letter_id")
@with_remote
def show(letter_id: str, url: str, *, as_json: bool) -> None:
    """Show a letter: the write as it was sent, every attempt, upstream's answer."""
    letter = Remote(url).get(f"{_PATH}/{path_part(letter_id)}")
    if as_json:
        show_json(letter)
        return
    for name in ("letter_id", "run_id", "op", "client", "request_id", "accepted_at", "buried_at", "reason", "message"):
        click.echo(f"{name.replace('_', ' '):<12} {printable(letter[name])}")
    click.echo(f"\nPOST {letter['write']['path']}")
    click.echo(json.dumps(letter["write"]["body"], indent=2))
    click.echo(f"\n{letter['attempt_count']} attempts, the latest last:")
    for attempt in letter["attempts"]:
        answer = " ".join(str(attempt[name]) for name in ("status", "error_code") if attempt[name])
        words = f"{attempt['reason']} {answer}".strip()
        click.echo(
            f"  {attempt['at'][:19]}  {attempt['writes']:>4} writes  {words}: {printable(attempt['message'])[:200]}"
        )


@dead_letters.command()
@click.argument("letter_ids", nargs=-1)
@with_filter
@click.option("--all", "everything", is_flag=True, help="All of them.")
@click.option("--rate", type=_RATE, help="So many letters a second; default: as fast as the workers can.")
@click.option("--dry-run", is_flag=True, help="Only count.")
@with_remote
def replay(
    letter_ids: tuple[str, ...],
    url: str,
    rate: float | None,
    *,
    everything: bool,
    dry_run: bool,
    as_json: bool,
    **wanted: str | None,
) -> None:
    """Send letters again: back into their runs' lanes, in order, each as a new write.

    Name them, or say which by a filter, or --all.
    """
    remote = Remote(url)
    if letter_ids:
        _only_ids(wanted, everything, rate, dry_run)
        _each(letter_ids, lambda letter_id: _replay_one(remote, letter_id, as_json=as_json))
    else:
        body = {"filter": _which(wanted, everything=everything), "rate": rate, "dry_run": dry_run}
        _drained(remote, remote.post(f"{_PATH}/replay", body), as_json=as_json)


@dead_letters.command()
@click.argument("letter_ids", nargs=-1)
@with_filter
@click.option("--all", "everything", is_flag=True, help="All of them.")
@click.option("--count", type=int, help="Discard only if it is exactly so many; then nothing is asked.")
@click.option("--dry-run", is_flag=True, help="Only count.")
@with_remote
def discard(
    letter_ids: tuple[str, ...],
    url: str,
    count: int | None,
    *,
    everything: bool,
    dry_run: bool,
    as_json: bool,
    **wanted: str | None,
) -> None:
    """Remove letters for good. Their jobs say `discarded`.

    Name them, or say which by a filter, or --all. For many, their number has to be confirmed.
    """
    remote = Remote(url)
    if letter_ids:
        _only_ids(wanted, everything, count, dry_run)
        _each(letter_ids, lambda letter_id: _discard_one(remote, letter_id, as_json=as_json))
        return
    body = {"filter": _which(wanted, everything=everything), "dry_run": True}
    found = remote.post(f"{_PATH}/discard", body)
    if not dry_run and (found["count"] or count):
        if count is None:
            count = click.prompt(f"{found['count']} dead letters would be lost. Type their number to go on", type=int)
        found = remote.post(f"{_PATH}/discard", body | {"dry_run": False, "count": count})
    _drained(remote, found, as_json=as_json)


@dead_letters.command()
@click.argument("drain_id")
@click.option("--cancel", is_flag=True, help="Stop it; what it has drained stays drained.")
@with_remote
def drain(drain_id: str, url: str, *, cancel: bool, as_json: bool) -> None:
    """Follow a replay or discard of many letters, or stop it."""
    remote = Remote(url)
    path = f"{_PATH}/drains/{path_part(drain_id)}"
    if cancel:
        remote.delete(path)
    _drained(remote, remote.get(path), as_json=as_json)


def _letters(remote: Remote, wanted: dict[str, str]) -> Iterator[dict[str, Any]]:
    cursor: str | None = None
    while True:
        page = remote.get(_PATH, params=wanted | {"limit": str(_PAGE)} | ({"cursor": cursor} if cursor else {}))
        yield from page["letters"]
        cursor = page["next"]
        if cursor is None:
            return


def _given(wanted: dict[str, str | None]) -> dict[str, str]:
    return {name: value for name, value in wanted.items() if value is not None}


def _which(wanted: dict[str, str | None], *, everything: bool) -> dict[str, str]:
    given = _given(wanted)
    if not given and not everything:
        raise click.UsageError("Name letters, or say which by --reason, --run, --client, --since or --until, or --all.")
    return given


def _only_ids(wanted: dict[str, str | None], *others: object) -> None:
    if _given(wanted) or any(others):
        raise click.UsageError("Name letters, or say which by options, not both: with ids, each is drained at once.")


def _each(letter_ids: tuple[str, ...], act: Callable[[str], None]) -> None:
    """Act on each letter; one that is missing does not keep the others from it."""
    failed = False
    for letter_id in letter_ids:
        try:
            act(letter_id)
        except click.ClickException as error:
            failed = True
            click.echo(f"{letter_id}: {error.message}", err=True)
    if failed:
        sys.exit(1)


def _replay_one(remote: Remote, letter_id: str, *, as_json: bool) -> None:
    replayed = remote.post(f"{_PATH}/{path_part(letter_id)}/replay")
    show_json(replayed) if as_json else click.echo(f"{letter_id} is pending again: job {replayed['job_id']}")


def _discard_one(remote: Remote, letter_id: str, *, as_json: bool) -> None:
    remote.delete(f"{_PATH}/{path_part(letter_id)}")
    show_json({"letter_id": letter_id}) if as_json else click.echo(f"{letter_id} is discarded")


def _drained(remote: Remote, answer: dict[str, Any], *, as_json: bool) -> None:
    """Show a count, or follow a drain to its end. Ctrl-C leaves it to the workers."""
    if "drain_id" not in answer:
        show_json(answer) if as_json else click.echo(f"{answer['count']} dead letters")
        return
    path = f"{_PATH}/drains/{answer['drain_id']}"
    click.echo(f"The workers do it: drain {answer['drain_id']}", err=True)
    try:
        with click.progressbar(length=answer["total"], label=answer["action"], hidden=as_json, show_pos=True) as bar:
            while answer["state"] == "running":
                time.sleep(_LOOK_EVERY)
                answer = remote.get(path)
                bar.update(answer["done"] - bar.pos)
    except (KeyboardInterrupt, click.Abort):
        click.echo(f"\nThey go on. Follow it: mlflow-bridge dead-letters drain {answer['drain_id']}", err=True)
        raise
    if as_json:
        show_json(answer)
    else:
        click.echo(f"{answer['done']} of {answer['total']} dead letters: {answer['action']} {answer['state']}")
