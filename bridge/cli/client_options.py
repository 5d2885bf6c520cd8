# SPDX-License-Identifier: Apache-2.0
"""The options that say what a client may do."""

import re
from collections.abc import Callable
from typing import Any

import click
import msgspec

from bridge.config.parsers import size
from schemas.client import ACTIONS, OWN_ACTIONS, Client, Quota, Scope
from schemas.mlflow_limits import EXPERIMENT_ID


def _actions(_context: click.Context, _option: click.Parameter, actions: tuple[str, ...]) -> tuple[str, ...]:
    unknown = sorted(set(actions) - ACTIONS - OWN_ACTIONS)
    if unknown:
        raise click.BadParameter(f"there is no action {', '.join(unknown)}; `mlflow-bridge keys actions` lists them")
    return actions


def _experiments(_context: click.Context, _option: click.Parameter, ids: tuple[str, ...]) -> frozenset[str] | None:
    if ids == ("any",):
        return frozenset()
    bad = [each for each in ids if not re.fullmatch(EXPERIMENT_ID, each, re.ASCII)]
    if bad:
        raise click.BadParameter(f"{', '.join(bad)} is not the id of an experiment, such as 7; `any` lifts the limit")
    return frozenset(ids) or None


def permission_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options that say what a client may do, and how much, to a command."""
    for option in (
        click.option("--deny", multiple=True, callback=_actions, help="An action that it may not do, such as SetTag."),
        click.option("--allow", multiple=True, callback=_actions, help="An action besides, such as DeleteRun."),
        click.option(
            "--experiment",
            "experiments",
            metavar="ID",
            multiple=True,
            callback=_experiments,
            help="Only in this experiment; may be given several times, or `any`.  [default: any]",
        ),
        click.option("--read-only", is_flag=True, help="Only read."),
        click.option("--write-only", is_flag=True, help="Only log."),
        click.option("--admin", is_flag=True, help="Everything, and what operators do."),
    ):
        command = option(command)
    return quota_options(command)


def read_client(
    known: Client,
    *,
    admin: bool,
    read_only: bool,
    write_only: bool,
    allow: tuple[str, ...],
    deny: tuple[str, ...],
    experiments: frozenset[str] | None,
    **limits: Any,  # noqa: ANN401 - click's options
) -> Client:
    """Return the client as the options have him. What they don't say stays as it is known.

    Scopes and lists are one thing to say: whoever names one of them, names all. So are experiments.
    """
    if admin + read_only + write_only > 1:
        raise click.UsageError("--admin, --read-only and --write-only exclude each other.")
    scopes, within = known.scopes, known.experiments
    if admin or read_only or write_only or allow or deny:
        scopes = (Scope.READ,) if read_only else (Scope.WRITE,) if write_only else (Scope.WRITE, Scope.READ)
        scopes = (*scopes, Scope.ADMIN) if admin else scopes
    else:
        allow, deny = known.allow, known.deny
    if experiments is not None:
        within = experiments or None
    if within and Scope.ADMIN in scopes:
        raise click.UsageError("Operators are not limited: --admin goes with --experiment any only.")
    quota = read_quota(known.quota, **limits)
    return Client(name=known.name, scopes=scopes, allow=allow, deny=deny, quota=quota, experiments=within)


def described(client: Client) -> str:
    """Return a line that says what a client may do."""
    parts = [client.name, "+".join(client.scopes) or "nothing"]
    parts += [f"allow {','.join(client.allow)}"] if client.allow else []
    parts += [f"deny {','.join(client.deny)}"] if client.deny else []
    parts += described_quota(client.quota)
    parts += [f"experiment {','.join(sorted(client.experiments))}"] if client.experiments is not None else []
    return "  ".join(parts)


_SLOWEST, _FASTEST = 0.001, 1_000_000


def quota_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options to a command."""
    for option in (
        click.option("--pending", callback=_size, help="Bytes of its writes that may wait, such as 100MiB; 0: any."),
        click.option("--bytes-per-second", callback=_size, help="Bytes of bodies a second, such as 1MiB; 0: any."),
        click.option("--writes-per-second", type=float, callback=_rate, help="Accepted writes a second; 0: any."),
        click.option(
            "--requests-per-second",
            type=float,
            callback=_rate,
            help="Requests a second; 0: any. [default: the settings']",
        ),
    ):
        command = option(command)
    return command


def read_quota(
    known: Quota,
    *,
    requests_per_second: float | None = None,
    writes_per_second: float | None = None,
    bytes_per_second: int | None = None,
    pending: int | None = None,
) -> Quota:
    """Return what the options say; of what they don't say, what is known."""
    said = {"requests": requests_per_second, "writes": writes_per_second, "bytes": bytes_per_second, "pending": pending}
    return msgspec.structs.replace(known, **{name: value for name, value in said.items() if value is not None})


def described_quota(quota: Quota) -> list[str]:
    """Return what a quota says, part by part."""
    units = {"requests": "requests/s", "writes": "writes/s", "bytes": "bytes/s", "pending": "bytes pending"}
    found = {unit: getattr(quota, name) for name, unit in units.items()}
    return [f"{'any' if each == 0 else f'{each:.16g}'} {unit}" for unit, each in found.items() if each is not None]


def _rate(_context: click.Context, _option: click.Parameter, rate: float | None) -> float | None:
    if rate and not _SLOWEST <= rate <= _FASTEST:
        raise click.BadParameter(f"must be 0, or from {_SLOWEST} to {_FASTEST:,}")
    return rate


def _size(_context: click.Context, _option: click.Parameter, text: str | None) -> int | None:
    try:
        return 0 if text == "0" else size(text) if text else None
    except ValueError as error:
        raise click.BadParameter(f"must be {error}") from None
