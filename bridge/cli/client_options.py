# SPDX-License-Identifier: Apache-2.0
"""Command-line options for the permissions and rate limits of a client, and their printed form."""

import re
from collections.abc import Callable
from typing import Any

import click
import msgspec

from bridge.config.parsers import size
from schemas.client import ACTIONS, OWN_ACTIONS, Client, Quota, Scope
from schemas.mlflow_limits import EXPERIMENT_ID

_MIN_RATE, _MAX_RATE = 0.001, 1_000_000


def permission_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options for permissions and rate limits to a command."""
    for option in (
        click.option("--deny", multiple=True, callback=_parse_actions, help="Deny this action, such as SetTag."),
        click.option(
            "--allow", multiple=True, callback=_parse_actions, help="Also allow this action, such as DeleteRun."
        ),
        click.option(
            "--experiment",
            "experiments",
            metavar="ID",
            multiple=True,
            callback=_parse_experiments,
            help="Limit the client to this experiment; may be repeated. `any`: no limit.  [default: any]",
        ),
        click.option("--read-only", is_flag=True, help="Allow only reads."),
        click.option("--write-only", is_flag=True, help="Allow only logging."),
        click.option("--admin", is_flag=True, help="Allow everything, including the actions of operators."),
    ):
        command = option(command)
    return _quota_options(command)


def _quota_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options for rate limits to a command."""
    for option in (
        click.option(
            "--pending", callback=_parse_size, help="Largest backlog of its writes, such as 100MiB; 0: no limit."
        ),
        click.option(
            "--bytes-per-second", callback=_parse_size, help="Bytes of bodies per second, such as 1MiB; 0: no limit."
        ),
        click.option(
            "--writes-per-second", type=float, callback=_parse_rate, help="Accepted writes per second; 0: no limit."
        ),
        click.option(
            "--requests-per-second",
            type=float,
            callback=_parse_rate,
            help="Requests per second; 0: no limit.  [default: the bridge's settings]",
        ),
    ):
        command = option(command)
    return command


def _parse_actions(_context: click.Context, _option: click.Parameter, actions: tuple[str, ...]) -> tuple[str, ...]:
    unknown = sorted(set(actions) - ACTIONS - OWN_ACTIONS)
    if unknown:
        raise click.BadParameter(f"there is no action {', '.join(unknown)}; `mlflow-bridge keys actions` lists all")
    return actions


def _parse_experiments(
    _context: click.Context, _option: click.Parameter, ids: tuple[str, ...]
) -> frozenset[str] | None:
    if ids == ("any",):
        return frozenset()
    invalid = [each for each in ids if not re.fullmatch(EXPERIMENT_ID, each, re.ASCII)]
    if invalid:
        raise click.BadParameter(
            f"{', '.join(invalid)} is not the id of an experiment, such as 7; `any` removes the limit"
        )
    return frozenset(ids) or None


def _parse_rate(_context: click.Context, _option: click.Parameter, rate: float | None) -> float | None:
    if rate and not _MIN_RATE <= rate <= _MAX_RATE:
        raise click.BadParameter(f"must be 0, or from {_MIN_RATE} to {_MAX_RATE:,}")
    return rate


def _parse_size(_context: click.Context, _option: click.Parameter, text: str | None) -> int | None:
    try:
        return 0 if text == "0" else size(text) if text else None
    except ValueError as error:
        raise click.BadParameter(f"must be {error}") from None


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
    """Return the client with the given options applied. Options not given keep their value.

    Scopes, ``allow`` and ``deny`` are one value: an option for one of them replaces all three. Experiments are another.
    """
    if admin + read_only + write_only > 1:
        raise click.UsageError("--admin, --read-only and --write-only exclude each other.")
    scopes, limit = known.scopes, known.experiments
    if admin or read_only or write_only or allow or deny:
        scopes = (Scope.READ,) if read_only else (Scope.WRITE,) if write_only else (Scope.WRITE, Scope.READ)
        scopes = (*scopes, Scope.ADMIN) if admin else scopes
    else:
        allow, deny = known.allow, known.deny
    if experiments is not None:
        limit = experiments or None
    if limit and Scope.ADMIN in scopes:
        raise click.UsageError("Operators are not limited to experiments: with --admin, use only --experiment any.")
    quota = _read_quota(known.quota, **limits)
    return Client(name=known.name, scopes=scopes, allow=allow, deny=deny, quota=quota, experiments=limit)


def client_summary(client: Client) -> str:
    """Return a line with the client's name, permissions and limits."""
    parts = [client.name, "+".join(client.scopes) or "nothing"]
    parts += [f"allow {','.join(client.allow)}"] if client.allow else []
    parts += [f"deny {','.join(client.deny)}"] if client.deny else []
    parts += _quota_items(client.quota)
    parts += [f"experiment {','.join(sorted(client.experiments))}"] if client.experiments is not None else []
    return "  ".join(parts)


def _read_quota(
    known: Quota,
    *,
    requests_per_second: float | None = None,
    writes_per_second: float | None = None,
    bytes_per_second: int | None = None,
    pending: int | None = None,
) -> Quota:
    """Return the quota with the given options applied."""
    given = {
        "requests": requests_per_second,
        "writes": writes_per_second,
        "bytes": bytes_per_second,
        "pending": pending,
    }
    return msgspec.structs.replace(known, **{name: value for name, value in given.items() if value is not None})


def _quota_items(quota: Quota) -> list[str]:
    """Return the limits of a quota as text, one item each."""
    units = {"requests": "requests/s", "writes": "writes/s", "bytes": "bytes/s", "pending": "bytes pending"}
    limits = {unit: getattr(quota, name) for name, unit in units.items()}
    return [f"{'any' if limit == 0 else f'{limit:.16g}'} {unit}" for unit, limit in limits.items() if limit is not None]
