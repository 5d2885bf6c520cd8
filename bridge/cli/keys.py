# SPDX-License-Identifier: Apache-2.0
"""``mlflow-bridge keys``: manages clients and their API keys.

The commands connect to the store, not to the api, so they also work before the first operator has a key.
"""

import datetime as dt
import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from bridge.auth.administration import Administration, ChangedMeanwhile, LastAdministrator, UnknownKey
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
from bridge.cli.client_options import client_summary, permission_options, read_client
from bridge.config.environment import resolve_credentials
from bridge.config.network import Network, network_in
from bridge.config.parsers import duration, encryption_keys, secret_arn
from bridge.errors import EX_CONFIG, BridgeError, InvalidSettings, SecretNotStored
from bridge.process.clock import SystemClock
from schemas.client import ACTIONS, OWN_ACTIONS, Client, KeyDocument, is_client_name

_INVALID_NAME = (
    "invalid client name: a client's name has up to 128 letters, digits and any of _.@|:+-,"
    " and is not `anonymous` or `unauthenticated`."
)
_NO_STORE = (
    "no store is known: set BRIDGE_STORE_URL, or set BRIDGE_DATA_DIR to the directory of a running `mlflow-bridge up`"
    " (there is none in {})."
)


class _InvalidConfiguration(click.ClickException):
    """A setting that the command needs is missing or invalid."""

    exit_code = EX_CONFIG


@click.group()
def keys() -> None:
    """Create, list, update, rotate and revoke the API keys of clients.

    A key is shown once, when it is created. Clients send it as `Authorization: Bearer KEY`, as `X-Api-Key: KEY`, or as
    the password of HTTP Basic; MLflow's own client needs MLFLOW_TRACKING_TOKEN=KEY. The api accepts it if BRIDGE_AUTH
    includes `keys`.

    With --sigv4, the key signs requests, as AWS SDKs do: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY. The api accepts
    it if BRIDGE_AUTH includes `sigv4`.

    The commands use the store at BRIDGE_STORE_URL.
    """


def _parse_duration(_context: click.Context, _option: click.Parameter, text: str | None) -> dt.timedelta | None:
    try:
        return duration(text) if text else None
    except ValueError as error:
        raise click.BadParameter(f"must be {error}") from None


def _parse_secret_arn(_context: click.Context, _option: click.Parameter, text: str | None) -> str | None:
    try:
        return secret_arn(text) if text else None
    except ValueError as error:
        raise click.BadParameter(f"must be {error}") from None


_expires_option = click.option(
    "--expires", callback=_parse_duration, help="Lifetime of the key, such as 90d.  [default: no expiry]"
)
_force_option = click.option("--force", is_flag=True, help="Take away the last administrator, too.")
_sigv4_option = click.option("--sigv4", is_flag=True, help="Use a key that signs requests (AWS Signature Version 4).")


@keys.command()
@click.argument("client")
@permission_options
@_expires_option
@_sigv4_option
@click.option(
    "--to-secret",
    callback=_parse_secret_arn,
    metavar="ARN",
    help="Store the key in this secret of AWS Secrets Manager instead of printing it.",
)
def create(
    client: str,
    *,
    expires: dt.timedelta | None,
    sigv4: bool,
    to_secret: str | None,
    **permissions: Any,  # noqa: ANN401 - click's options
) -> None:
    """Create a key, and the client if it is new. A new client may log and read by default.

    An existing client gets an additional key and keeps its permissions unless options change them.

    With --to-secret, the secret's value is the key, or with --sigv4 a JSON object with AWS_ACCESS_KEY_ID and
    AWS_SECRET_ACCESS_KEY. The AWS credentials of the environment need `secretsmanager:PutSecretValue` on the secret.
    """
    if not is_client_name(client):
        raise click.ClickException(_INVALID_NAME)
    key = _new_key(sigv4=sigv4)

    def create_and_hand_over(store: ApiKeyStore) -> None:
        _create_key(store, client, permissions, key, expires)
        if to_secret:
            _store_key(store, key, to_secret)
        else:
            _print_key(key)

    with_store(create_and_hand_over, encrypts=sigv4)


@keys.command()
@click.argument("client")
@permission_options
@_force_option
def update(client: str, *, force: bool, **permissions: Any) -> None:  # noqa: ANN401 - click's options
    """Update a client's permissions and limits. Options not given keep their value.

    --allow and --deny add to what is allowed and denied; the latest option for an action applies. --admin, --read-only,
    --write-only and --read-write start again from that scope.

    A client that authenticates with a token has the name oidc:SUBJECT or alb:SUBJECT.
    """
    if not is_client_name(client):
        raise click.ClickException(_INVALID_NAME)

    def change(store: ApiKeyStore) -> None:
        known = store.stored_client(client)
        if known is None and ":" not in client:
            raise UnknownClient(client)
        updated = read_client(known.client if known else Client(name=client), **permissions)
        _administration(store).put(updated, was=known, force=force)
        click.echo(client_summary(updated))

    with_store(change)


@keys.command()
@click.argument("client")
@click.option("--overlap", default="24h", callback=_parse_duration, show_default=True, help="Lifetime of the old key.")
@_expires_option
@_sigv4_option
def rotate(client: str, *, overlap: dt.timedelta, expires: dt.timedelta | None, sigv4: bool) -> None:
    """Create a new key for a client. The old key of the same kind works until --overlap has passed."""
    key = _new_key(sigv4=sigv4)

    def replace(store: ApiKeyStore) -> None:
        _add_key(store, client, key, expires)
        store.expire_others(client, key.key_id, at=_now() + overlap)
        _print_key(key)

    with_store(replace, encrypts=sigv4)


@keys.command()
@click.argument("key_id", required=False)
@click.option("--client", help="Revoke all keys of this client, and delete it.")
@_force_option
def revoke(key_id: str | None, client: str | None, *, force: bool) -> None:
    """Revoke a key, or all keys of a client, within five seconds.

    A client that authenticates with a token loses all its permissions.
    """
    if (key_id is None) == (client is None):
        raise click.UsageError("Name a key's id, or a client with --client.")

    def delete(store: ApiKeyStore) -> None:
        count = _delete_client(store, client, force=force) if client is not None else 1
        if key_id is not None:
            _administration(store).revoke(_read_key_id(key_id), force=force)
        click.echo(f"revoked {count} key{'' if count == 1 else 's'}")

    with_store(delete)


def _delete_client(store: ApiKeyStore, name: str, *, force: bool) -> int:
    """Delete a client and return the number of its keys."""
    was, count = store.stored_client(name), len(store.keys_of(name))
    if was is None and ":" not in name:
        raise UnknownClient(name)
    if was is None:
        # A client of tokens: without an entry it would have the permissions of its token.
        _administration(store).put(Client(name=name, scopes=()), was=None)
    else:
        _administration(store).delete(was, force=force)
    return count


def _read_key_id(text: str) -> str:
    """Return the key id of an id, of a whole key, or of the masked key that `list` prints."""
    match = re.match(r"mbk_([a-z0-9]{10})", text)
    return match[1] if match else text


@keys.command("list")
def list_keys() -> None:
    """List the clients with their permissions and their keys, without secrets."""

    def show(store: ApiKeyStore) -> None:
        all_keys = store.keys()
        for client in store.clients():
            click.echo(client_summary(client))
            for key in all_keys:
                if key.client == client.name:
                    click.echo(f"  {_key_line(key)}")

    with_store(show)


@keys.command()
def actions() -> None:
    """List the actions for --allow and --deny."""
    for action in sorted(ACTIONS | OWN_ACTIONS):
        click.echo(action)


@keys.command("re-encrypt")
def re_encrypt() -> None:
    """Re-encrypt the secrets of all --sigv4 keys with the first key of BRIDGE_ENCRYPTION_KEYS.

    The other encryption keys can be removed afterwards.
    """
    with_store(lambda store: click.echo(f"re-encrypted {store.re_encrypt()} secrets"), encrypts=True)


def with_store(work: Callable[[ApiKeyStore], None], *, encrypts: bool = False) -> None:
    """Call ``work`` with the key store. Turns its errors into ``ClickException``."""
    # Only the commands that need the store load its client library.
    from bridge.bootstrap.auth import api_key_store_at, cipher_for_keys  # noqa: PLC0415

    url = _store_url()
    try:
        work(api_key_store_at(url, cipher_for_keys(*_encryption_keys(), _network()) if encrypts else None))
    except (BridgeError, *_ERROR_MESSAGES) as error:
        is_permanent = isinstance(error, BridgeError) and error.exit_status == EX_CONFIG
        failure = _InvalidConfiguration if is_permanent else click.ClickException
        raise failure(_ERROR_MESSAGES.get(type(error), "{}").format(error)) from error


_ERROR_MESSAGES = {
    TooManyKeys: "{} has two live keys already; revoke one first.",
    UnknownClient: "there is no client {}; create it with `mlflow-bridge keys create`.",
    UnknownKey: "there is no such key; `mlflow-bridge keys list` shows the ids.",
    LastAdministrator: "this would take away the last administrator: create another one first, or add --force.",
    ChangedMeanwhile: "{} has changed in the meantime; run the command again.",
    SecretUnreadable: "no key in BRIDGE_ENCRYPTION_KEYS decrypts the secret of {}; add the key that encrypted it.",
}


def _encryption_keys() -> tuple[tuple[bytes, ...] | None, str | None]:
    environ = _environ()
    keys, arn = environ.get("BRIDGE_ENCRYPTION_KEYS"), environ.get("BRIDGE_ENCRYPTION_KEYS_SECRET_ARN")
    try:
        return encryption_keys(keys) if keys else None, secret_arn(arn) if arn else None
    except ValueError as error:
        raise _InvalidConfiguration(
            f"BRIDGE_ENCRYPTION_KEYS or BRIDGE_ENCRYPTION_KEYS_SECRET_ARN must be {error}"
        ) from None


def _network() -> Network:
    try:
        return network_in(_environ())
    except ValueError as error:
        raise _InvalidConfiguration(str(error)) from None


def _environ() -> dict[str, str]:
    """Return the environment with the credentials that are files."""
    try:
        return resolve_credentials(os.environ)
    except InvalidSettings as error:
        raise _InvalidConfiguration(str(error)) from None


def _store_url() -> str:
    url = _environ().get("BRIDGE_STORE_URL")
    if url:
        return url
    directory = Path(os.environ.get("BRIDGE_DATA_DIR") or ".data")
    socket = directory.resolve() / "store.sock"
    if not socket.exists():
        raise _InvalidConfiguration(_NO_STORE.format(directory))
    return f"unix://{socket}"


def _create_key(
    store: ApiKeyStore,
    name: str,
    permissions: dict[str, Any],
    key: ApiKey | AccessKey,
    expires: dt.timedelta | None,
) -> None:
    known = store.stored_client(name)
    client = read_client(known.client if known else Client(name=name), **permissions)
    administration = _administration(store)
    if known is None:
        known = administration.put(client, was=None)
    # The key first: if it fails (two live keys), an existing client stays unchanged.
    _add_key(store, name, key, expires)
    if client != known.client:
        try:
            administration.put(client, was=known)
        except (ChangedMeanwhile, LastAdministrator):
            store.delete_key(key.key_id)
            raise
    click.echo(client_summary(client), err=True)


def _administration(store: ApiKeyStore) -> Administration:
    return Administration(store, SystemClock())


def _new_key(*, sigv4: bool) -> ApiKey | AccessKey:
    return new_access_key() if sigv4 else new_key()


def _add_key(store: ApiKeyStore, client: str, key: ApiKey | AccessKey, expires: dt.timedelta | None) -> None:
    now = _now()
    store.add_key(client, key, now=now, expires_at=now + expires if expires else None)


def _store_key(store: ApiKeyStore, key: ApiKey | AccessKey, arn: str) -> None:
    """Store a new key in a secret. Without success the key is revoked, because no client can ever use it."""
    from bridge.auth.encryption import store_secret  # noqa: PLC0415 - as `with_store`

    try:
        store_secret(arn, _secret_text(key), _network())
    except SecretNotStored:
        store.revoke(key_id=key.key_id)
        raise
    click.echo(f"stored the key {_masked(key.key_id)} in {arn}", err=True)
    _warn_unless_accepted("sigv4" if isinstance(key, AccessKey) else "keys")


def _secret_text(key: ApiKey | AccessKey) -> str:
    match key:
        case ApiKey():
            return key.text
        case AccessKey():
            return json.dumps({"AWS_ACCESS_KEY_ID": key.key_id, "AWS_SECRET_ACCESS_KEY": key.secret})


def _print_key(key: ApiKey | AccessKey) -> None:
    match key:
        case ApiKey():
            click.echo("Copy the key now; it is not shown again:", err=True)
            click.echo(key.text)
            _warn_unless_accepted("keys")
        case AccessKey():
            click.echo("Copy the secret now; it is not shown again:", err=True)
            click.echo(f"AWS_ACCESS_KEY_ID={key.key_id}")
            click.echo(f"AWS_SECRET_ACCESS_KEY={key.secret}")
            _warn_unless_accepted("sigv4")


def _warn_unless_accepted(kind: str) -> None:
    auth = os.environ.get("BRIDGE_AUTH", "")
    if kind not in (accepted.strip() for accepted in auth.split(",")):
        here = f"BRIDGE_AUTH is {auth}" if auth else "BRIDGE_AUTH is not set"
        click.echo(f"The api accepts it only if its BRIDGE_AUTH includes `{kind}`. Here {here}.", err=True)


def _masked(key_id: str) -> str:
    return key_id if is_access_key_id(key_id) else f"mbk_{key_id}_..."


def _key_line(key: KeyDocument) -> str:
    expires, used = _format_time(key.expires_at), _format_time(key.last_used_at)
    return f"{_masked(key.key_id)}  created {key.created_at:%Y-%m-%d}  expires {expires}  last used {used}"


def _format_time(moment: dt.datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M}Z" if moment else "never"


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)
