# SPDX-License-Identifier: Apache-2.0
"""``mlflow-bridge keys``: who may use the bridge. Works on the store itself, so it is run where that can be reached."""

import datetime as dt
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from bridge.errors import BridgeError
from bridge.keyring import ApiKey, Keyring, TooManyKeys, UnknownClient, new_key
from bridge.setting_kinds import duration
from schemas.client import ACTIONS, Client, Scope, is_client_name
from schemas.limits import EXPERIMENT_ID

_BAD_NAME = "a client's name has up to 128 letters, digits and any of _.@|:+- and no others."
_HOST_ONLY = "BRIDGE_STORE_URL is not set, and no bridge that `mlflow-bridge up` has started keeps a store in {}."


@click.group()
def keys() -> None:
    """Make, list, replace and revoke the API keys of clients.

    A key is shown once, when it is made. Clients send it as `Authorization: Bearer KEY`, as `X-Api-Key: KEY`, or as the
    password of HTTP Basic; for MLflow's own client: MLFLOW_TRACKING_TOKEN=KEY. It counts if the api runs with
    BRIDGE_AUTH=keys.

    The commands work on the store at BRIDGE_STORE_URL.
    """


def _expiry(_context: click.Context, _option: click.Parameter, text: str | None) -> dt.timedelta | None:
    try:
        return duration(text) if text else None
    except ValueError as error:
        raise click.BadParameter(f"must be {error}") from None


def _actions(_context: click.Context, _option: click.Parameter, actions: tuple[str, ...]) -> tuple[str, ...]:
    unknown = sorted(set(actions) - ACTIONS - _OWN_ACTIONS)
    if unknown:
        raise click.BadParameter(f"there is no action {', '.join(unknown)}; `mlflow-bridge keys actions` lists them")
    return actions


_OWN_ACTIONS = {"GetJob", "GetBacklog", "GetDeadLetter", "ReplayDeadLetter", "DiscardDeadLetter", "DrainDeadLetters"}


def _experiments(_context: click.Context, _option: click.Parameter, ids: tuple[str, ...]) -> frozenset[str] | None:
    bad = [each for each in ids if not re.fullmatch(EXPERIMENT_ID, each, re.ASCII)]
    if bad:
        raise click.BadParameter(f"{', '.join(bad)} is not the id of an experiment, such as 7")
    return frozenset(ids) or None


def _permissions(command: Callable[..., None]) -> Callable[..., None]:
    for option in (
        click.option("--deny", multiple=True, callback=_actions, help="An action that it may not do, such as SetTag."),
        click.option("--allow", multiple=True, callback=_actions, help="An action besides, such as DeleteRun."),
        click.option(
            "--experiment",
            "experiments",
            metavar="ID",
            multiple=True,
            callback=_experiments,
            help="Only in this experiment; may be given several times.  [default: all]",
        ),
        click.option("--read-only", is_flag=True, help="Only read."),
        click.option("--write-only", is_flag=True, help="Only log."),
        click.option("--admin", is_flag=True, help="Everything, and what operators do."),
    ):
        command = option(command)
    return command


_expires = click.option("--expires", callback=_expiry, help="How long the key lasts, such as 90d. [default: for ever]")


@keys.command()
@click.argument("client")
@_permissions
@_expires
def create(client: str, *, expires: dt.timedelta | None, **permissions: Any) -> None:  # noqa: ANN401 - click's options
    """Make the first key of a client, who may log and read unless the options say otherwise.

    A client that is known gets a further key. What he may do is changed only by the options.
    """
    if not is_client_name(client):
        raise click.ClickException(_BAD_NAME)
    asked = _client(client, **permissions)
    with_store(lambda ring: _create(ring, asked, expires, changes=any(permissions.values())))


@keys.command()
@click.argument("client")
@_permissions
def permit(client: str, **permissions: Any) -> None:  # noqa: ANN401 - click's options
    """Say what a client may do who proves who he is by a token: oidc:SUBJECT or alb:SUBJECT."""
    if not is_client_name(client):
        raise click.ClickException(_BAD_NAME)
    described = _client(client, **permissions)
    with_store(lambda ring: ring.put_client(described))
    click.echo(_described(described))


@keys.command()
@click.argument("client")
@click.option("--overlap", default="24h", callback=_expiry, show_default=True, help="How long the old key still lasts.")
@_expires
def rotate(client: str, *, overlap: dt.timedelta, expires: dt.timedelta | None) -> None:
    """Give a client a new key; the old one goes on to work for a while."""

    def replace(ring: Keyring) -> None:
        key = _add(ring, client, expires)
        ring.expire_others(client, key.key_id, at=_now() + overlap)
        _show(key)

    with_store(replace)


@keys.command()
@click.argument("key_id", required=False)
@click.option("--client", help="All keys of this client, who is forgotten.")
def revoke(key_id: str | None, client: str | None) -> None:
    """End a key at once (within five seconds), or all of a client. Who has a token may do nothing from then on."""
    if (key_id is None) == (client is None):
        raise click.UsageError("Name a key's id, or a client with --client.")

    def forget(ring: Keyring) -> None:
        count = ring.revoke(key_id=key_id, client=client)
        if not count and client is None:
            raise click.ClickException(f"there is no key {key_id}; `mlflow-bridge keys list` shows their ids.")
        click.echo(f"revoked {count} key{'' if count == 1 else 's'}")

    with_store(forget)


@keys.command("list")
def list_keys() -> None:
    """Show the clients, what they may do, and their keys without the secrets."""

    def show(ring: Keyring) -> None:
        found = ring.keys()
        for client in ring.clients():
            click.echo(_described(client))
            for key in (each for each in found if each.client == client.name):
                ends, used = _shown(key.expires_at, "never"), _shown(key.last_used_at, "never")
                click.echo(f"  mbk_{key.key_id}_...  made {key.created_at:%Y-%m-%d}  ends {ends}  last used {used}")

    with_store(show)


@keys.command()
def actions() -> None:
    """List the actions that can be allowed and denied."""
    for action in sorted(ACTIONS | _OWN_ACTIONS):
        click.echo(action)


def with_store(work: Callable[[Keyring], None]) -> None:
    """Do something with the keys, or end the command with a sentence."""
    # The store's library is loaded only by the commands that need it.
    from bridge.bootstrap import keyring_at  # noqa: PLC0415

    try:
        work(keyring_at(_store_url()))
    except (BridgeError, TooManyKeys, UnknownClient) as error:
        raise click.ClickException(_WHY.get(type(error), "{}").format(error)) from error


_WHY = {
    TooManyKeys: "{} has two live keys already; revoke one first.",
    UnknownClient: "there is no client {}; `mlflow-bridge keys create` makes one.",
}


def _store_url() -> str:
    url = os.environ.get("BRIDGE_STORE_URL")
    if url:
        return url
    directory = Path(os.environ.get("BRIDGE_DATA_DIR") or ".data")
    socket = directory.resolve() / "store.sock"
    if not socket.exists():
        raise click.ClickException(_HOST_ONLY.format(directory))
    return f"unix://{socket}"


def _client(
    name: str,
    *,
    admin: bool,
    read_only: bool,
    write_only: bool,
    allow: tuple[str, ...],
    deny: tuple[str, ...],
    experiments: frozenset[str] | None,
) -> Client:
    if admin and experiments:
        raise click.UsageError("--admin and --experiment exclude each other: operators are not limited.")
    if admin + read_only + write_only > 1:
        raise click.UsageError("--admin, --read-only and --write-only exclude each other.")
    scopes: tuple[Scope, ...] = (Scope.WRITE, Scope.READ)
    if admin:
        scopes = (*scopes, Scope.ADMIN)
    elif read_only or write_only:
        scopes = (Scope.READ,) if read_only else (Scope.WRITE,)
    return Client(name=name, scopes=scopes, allow=allow, deny=deny, experiments=experiments)


def _create(ring: Keyring, client: Client, expires: dt.timedelta | None, *, changes: bool) -> None:
    known = ring.client(client.name)
    if known is None:
        ring.put_client(client)
    # The key first: where there can be none, nothing is changed.
    key = _add(ring, client.name, expires)
    if known and changes:
        ring.put_client(client)
    client = known if known and not changes else client
    click.echo(_described(client), err=True)
    _show(key)


def _add(ring: Keyring, client: str, expires: dt.timedelta | None) -> ApiKey:
    key, now = new_key(), _now()
    ring.add_key(client, key, now=now, expires_at=now + expires if expires else None)
    return key


def _show(key: ApiKey) -> None:
    click.echo("This is the only time that the key is shown:", err=True)
    click.echo(key.text)


def _described(client: Client) -> str:
    parts = [client.name, "+".join(client.scopes) or "nothing"]
    parts += [f"allow {','.join(client.allow)}"] if client.allow else []
    parts += [f"deny {','.join(client.deny)}"] if client.deny else []
    parts += [f"experiment {','.join(sorted(client.experiments))}"] if client.experiments is not None else []
    return "  ".join(parts)


def _shown(moment: dt.datetime | None, otherwise: str) -> str:
    return f"{moment:%Y-%m-%d %H:%M}Z" if moment else otherwise


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)
