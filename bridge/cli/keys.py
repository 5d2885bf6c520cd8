# SPDX-License-Identifier: Apache-2.0
"""``mlflow-bridge keys``: who may use the bridge. Works on the store itself, so it is run where that can be reached."""

import datetime as dt
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from bridge.auth.api_keys import (
    AccessKey,
    ApiKey,
    ApiKeyStore,
    SecretUnreadable,
    TooManyKeys,
    UnknownClient,
    is_access_key_id,
    new_access_key,
    new_key,
)
from bridge.cli.client_options import described, permission_options, read_client
from bridge.config.network import Network, network_in
from bridge.config.parsers import duration, encryption_keys, secret_arn
from bridge.errors import BridgeError
from schemas.client import ACTIONS, OWN_ACTIONS, Client, is_client_name

_BAD_NAME = (
    "a client's name has up to 128 letters, digits and any of _.@|:+- and no others,"
    " and is not `anonymous` or `unauthenticated`."
)
_HOST_ONLY = "BRIDGE_STORE_URL is not set, and no bridge that `mlflow-bridge up` has started keeps a store in {}."


@click.group()
def keys() -> None:
    """Make, list, replace and revoke the API keys of clients.

    A key is shown once, when it is made. Clients send it as `Authorization: Bearer KEY`, as `X-Api-Key: KEY`, or as the
    password of HTTP Basic; for MLflow's own client: MLFLOW_TRACKING_TOKEN=KEY. It counts if the api runs with
    BRIDGE_AUTH=keys.

    With --sigv4 it is a key to sign requests with, as AWS's SDKs and plugins do: AWS_ACCESS_KEY_ID and
    AWS_SECRET_ACCESS_KEY. It counts with BRIDGE_AUTH=sigv4.

    The commands work on the store at BRIDGE_STORE_URL.
    """


def _expiry(_context: click.Context, _option: click.Parameter, text: str | None) -> dt.timedelta | None:
    try:
        return duration(text) if text else None
    except ValueError as error:
        raise click.BadParameter(f"must be {error}") from None


_expires = click.option("--expires", callback=_expiry, help="How long the key lasts, such as 90d. [default: for ever]")


_sigv4 = click.option("--sigv4", is_flag=True, help="A key to sign requests with (AWS Signature Version 4).")


@keys.command()
@click.argument("client")
@permission_options
@_expires
@_sigv4
def create(client: str, *, expires: dt.timedelta | None, sigv4: bool, **permissions: Any) -> None:  # noqa: ANN401 - click's options
    """Make the first key of a client, who may log and read unless the options say otherwise.

    A client that is known gets a further key. What he may do is changed only by the options.
    """
    if not is_client_name(client):
        raise click.ClickException(_BAD_NAME)
    key = _new_key(sigv4=sigv4)
    with_store(lambda ring: _create(ring, client, permissions, key, expires), encrypts=sigv4)


@keys.command()
@click.argument("client")
@permission_options
def update(client: str, **permissions: Any) -> None:  # noqa: ANN401 - click's options
    """Say what a client may do from now on; what the options don't say stays as it is.

    A client who proves who he is by a token is called oidc:SUBJECT or alb:SUBJECT.
    """
    if not is_client_name(client):
        raise click.ClickException(_BAD_NAME)

    def change(ring: ApiKeyStore) -> None:
        known = ring.client(client)
        if known is None and ":" not in client:
            raise UnknownClient(client)
        asked = read_client(known or Client(name=client), **permissions)
        ring.put_client(asked)
        click.echo(described(asked))

    with_store(change)


@keys.command()
@click.argument("client")
@click.option("--overlap", default="24h", callback=_expiry, show_default=True, help="How long the old key still lasts.")
@_expires
@_sigv4
def rotate(client: str, *, overlap: dt.timedelta, expires: dt.timedelta | None, sigv4: bool) -> None:
    """Give a client a new key; the old one of its kind goes on to work for a while."""
    key = _new_key(sigv4=sigv4)

    def replace(ring: ApiKeyStore) -> None:
        _add(ring, client, key, expires)
        ring.expire_others(client, key.key_id, at=_now() + overlap)
        _show(key)

    with_store(replace, encrypts=sigv4)


@keys.command()
@click.argument("key_id", required=False)
@click.option("--client", help="All keys of this client, who is forgotten.")
def revoke(key_id: str | None, client: str | None) -> None:
    """End a key at once (within five seconds), or all of a client. Who has a token may do nothing from then on."""
    if (key_id is None) == (client is None):
        raise click.UsageError("Name a key's id, or a client with --client.")

    def forget(ring: ApiKeyStore) -> None:
        if client is not None and ":" not in client and ring.client(client) is None:
            raise UnknownClient(client)
        count = ring.revoke(key_id=_id_in(key_id) if key_id else None, client=client)
        if not count and client is None:
            raise click.ClickException("there is no such key; `mlflow-bridge keys list` shows their ids.")
        click.echo(f"revoked {count} key{'' if count == 1 else 's'}")

    with_store(forget)


def _id_in(text: str) -> str:
    """Return the id of a key that is named as `list` shows it, or whole."""
    found = re.match(r"mbk_([a-z0-9]{10})", text)
    return found[1] if found else text


@keys.command("list")
def list_keys() -> None:
    """Show the clients, what they may do, and their keys without the secrets."""

    def show(ring: ApiKeyStore) -> None:
        found = ring.keys()
        for client in ring.clients():
            click.echo(described(client))
            for key in (each for each in found if each.client == client.name):
                ends, used = _shown(key.expires_at, "never"), _shown(key.last_used_at, "never")
                click.echo(f"  {_shown_id(key.key_id)}  made {key.created_at:%Y-%m-%d}  ends {ends}  last used {used}")

    with_store(show)


@keys.command()
def actions() -> None:
    """List the actions that can be allowed and denied."""
    for action in sorted(ACTIONS | OWN_ACTIONS):
        click.echo(action)


@keys.command("re-encrypt")
def re_encrypt() -> None:
    """Encrypt all secrets to sign with by the first key of BRIDGE_ENCRYPTION_KEYS; then the others can go."""
    with_store(lambda ring: click.echo(f"re-encrypted {ring.re_encrypt()} secrets"), encrypts=True)


def with_store(work: Callable[[ApiKeyStore], None], *, encrypts: bool = False) -> None:
    """Do something with the keys, or end the command with a sentence."""
    # The store's library is loaded only by the commands that need it.
    from bridge.bootstrap.auth import api_key_store_at, cipher_for_keys  # noqa: PLC0415

    url = _store_url()
    try:
        work(api_key_store_at(url, cipher_for_keys(*_encryption_keys(), _network()) if encrypts else None))
    except (BridgeError, SecretUnreadable, TooManyKeys, UnknownClient) as error:
        raise click.ClickException(_WHY.get(type(error), "{}").format(error)) from error


_WHY = {
    TooManyKeys: "{} has two live keys already; revoke one first.",
    UnknownClient: "there is no client {}; `mlflow-bridge keys create` makes one.",
    SecretUnreadable: "no key of BRIDGE_ENCRYPTION_KEYS opens the secret of {}.",
}


def _encryption_keys() -> tuple[tuple[bytes, ...] | None, str | None]:
    keys, arn = os.environ.get("BRIDGE_ENCRYPTION_KEYS"), os.environ.get("BRIDGE_ENCRYPTION_KEYS_SECRET_ARN")
    try:
        return encryption_keys(keys) if keys else None, secret_arn(arn) if arn else None
    except ValueError as error:
        raise click.ClickException(
            f"BRIDGE_ENCRYPTION_KEYS or BRIDGE_ENCRYPTION_KEYS_SECRET_ARN must be {error}"
        ) from None


def _network() -> Network:
    try:
        return network_in(os.environ)
    except ValueError as error:
        raise click.ClickException(str(error)) from None


def _store_url() -> str:
    url = os.environ.get("BRIDGE_STORE_URL")
    if url:
        return url
    directory = Path(os.environ.get("BRIDGE_DATA_DIR") or ".data")
    socket = directory.resolve() / "store.sock"
    if not socket.exists():
        raise click.ClickException(_HOST_ONLY.format(directory))
    return f"unix://{socket}"


def _create(
    ring: ApiKeyStore,
    name: str,
    permissions: dict[str, Any],
    key: ApiKey | AccessKey,
    expires: dt.timedelta | None,
) -> None:
    known = ring.client(name)
    asked = read_client(known or Client(name=name), **permissions)
    if known is None:
        ring.put_client(asked)
    # The key first: where there can be none, nothing is changed.
    _add(ring, name, key, expires)
    if asked != known:
        ring.put_client(asked)
    click.echo(described(asked), err=True)
    _show(key)


def _new_key(*, sigv4: bool) -> ApiKey | AccessKey:
    return new_access_key() if sigv4 else new_key()


def _add(ring: ApiKeyStore, client: str, key: ApiKey | AccessKey, expires: dt.timedelta | None) -> None:
    now = _now()
    ring.add_key(client, key, now=now, expires_at=now + expires if expires else None)


def _show(key: ApiKey | AccessKey) -> None:
    match key:
        case ApiKey():
            click.echo("This is the only time that the key is shown:", err=True)
            click.echo(key.text)
            _tell_what_it_needs("keys")
        case AccessKey():
            click.echo("This is the only time that the secret is shown:", err=True)
            click.echo(f"AWS_ACCESS_KEY_ID={key.key_id}")
            click.echo(f"AWS_SECRET_ACCESS_KEY={key.secret}")
            _tell_what_it_needs("sigv4")


def _tell_what_it_needs(kind: str) -> None:
    auth = os.environ.get("BRIDGE_AUTH", "")
    if kind not in (each.strip() for each in auth.split(",")):
        here = f"BRIDGE_AUTH is {auth}" if auth else "BRIDGE_AUTH is not set"
        click.echo(f"It counts if `{kind}` is in the api's BRIDGE_AUTH. Here {here}.", err=True)


def _shown_id(key_id: str) -> str:
    return key_id if is_access_key_id(key_id) else f"mbk_{key_id}_..."


def _shown(moment: dt.datetime | None, otherwise: str) -> str:
    return f"{moment:%Y-%m-%d %H:%M}Z" if moment else otherwise


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)
