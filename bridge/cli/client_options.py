# SPDX-License-Identifier: Apache-2.0
"""Command-line options for the permissions and rate limits of a client, and their printed form."""

import re
from collections.abc import Callable
from typing import Any

import click
import msgspec

from bridge.config.parsers import size
from schemas.client import ACTIONS, OWN_ACTIONS, Action, Client, Quota, Scope
from schemas.mlflow_limits import EXPERIMENT_ID

_MIN_RATE, _MAX_RATE = 0.001, 1_000_000
_MAX_TOKENS = 10**15
_SCOPES_BY_FLAG = {
    "admin": (Scope.WRITE, Scope.READ, Scope.ADMIN),
    "read_only": (Scope.READ,),
    "write_only": (Scope.WRITE,),
    "read_write": (Scope.WRITE, Scope.READ),
}


def permission_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options for permissions and rate limits to a command."""
    # In reverse order: the help lists the option first that is added last.
    for option in (
        click.option(
            "--deny",
            multiple=True,
            callback=_parse_actions,
            help="Also deny this action, such as SetTag; may be repeated. Earlier ones stay.",
        ),
        click.option(
            "--allow",
            multiple=True,
            callback=_parse_actions,
            help="Also allow this action, such as DeleteRun; may be repeated. Earlier ones stay.",
        ),
        click.option(
            "--experiment",
            "experiments",
            metavar="ID",
            multiple=True,
            callback=_parse_experiments,
            help="Limit the client to this experiment; may be repeated. `any`: no limit.  [default: any]",
        ),
        click.option("--read-only", is_flag=True, help="Allow only reads. Earlier --allow and --deny end."),
        click.option("--write-only", is_flag=True, help="Allow only logging. Earlier --allow and --deny end."),
        click.option(
            "--read-write",
            is_flag=True,
            help="Allow logging and reads, as for a new client. Earlier --allow and --deny end.",
        ),
        click.option(
            "--admin",
            is_flag=True,
            help="Allow everything, including the actions of operators. Earlier --allow and --deny end.",
        ),
    ):
        command = option(command)
    return _quota_options(command)


def _quota_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options for rate limits to a command."""
    for option in (
        click.option(
            "--tokens-per-day",
            type=click.IntRange(0, _MAX_TOKENS),
            help="Tokens of MLflow's AI Gateway in a day (UTC); 0: no limit.  [default: no limit]",
        ),
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
        # The empty set ends the limit; None leaves it as it is.
        return frozenset()
    invalid = [experiment_id for experiment_id in ids if not re.fullmatch(EXPERIMENT_ID, experiment_id, re.ASCII)]
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
    allow: tuple[str, ...],
    deny: tuple[str, ...],
    experiments: frozenset[str] | None,
    **others: Any,  # noqa: ANN401 - click's options
) -> Client:
    """Return the client with the given options applied. Options not given keep their value.

    A scope replaces the scopes and empties both lists. ``allow`` and ``deny`` then add to their list, and remove the
    action from the other one.
    """
    flags = {name: bool(others.pop(name, False)) for name in _SCOPES_BY_FLAG}
    scopes = _read_scopes(**flags)
    allowed, denied = ((), ()) if scopes else (known.allow, known.deny)
    scopes = scopes or known.scopes
    limit = known.experiments if experiments is None else experiments or None
    if limit and Scope.ADMIN in scopes:
        raise click.UsageError("Operators are not limited to experiments: with --admin, use only --experiment any.")
    return Client(
        name=known.name,
        scopes=scopes,
        allow=_merge_actions(allowed, added=allow, removed=deny),
        deny=_merge_actions(denied, added=deny, removed=allow),
        quota=_read_quota(known.quota, **others),
        experiments=limit,
    )


def client_summary(client: Client) -> str:
    """Return a line with the client's name, permissions and limits."""
    parts = [client.name, "+".join(client.scopes) or "nothing"]
    parts += [f"allow {','.join(client.allow)}"] if client.allow else []
    parts += [f"deny {','.join(client.deny)}"] if client.deny else []
    parts += _quota_items(client.quota)
    parts += [f"experiment {','.join(sorted(client.experiments))}"] if client.experiments is not None else []
    return "  ".join(parts)


def _read_scopes(**flags: bool) -> tuple[Scope, ...] | None:
    """Return the scopes of the given flag. None: no flag is given."""
    given = [name for name, is_set in flags.items() if is_set]
    if len(given) > 1:
        raise click.UsageError("--admin, --read-only, --write-only and --read-write exclude each other.")
    return _SCOPES_BY_FLAG[given[0]] if given else None


def _merge_actions(
    known: tuple[Action, ...], *, added: tuple[Action, ...], removed: tuple[Action, ...]
) -> tuple[Action, ...]:
    """Return the known actions without the removed ones, and the added ones. Each appears once."""
    kept = [action for action in known if action not in removed]
    return tuple(dict.fromkeys((*kept, *added)))


def _read_quota(
    known: Quota,
    *,
    requests_per_second: float | None = None,
    writes_per_second: float | None = None,
    bytes_per_second: int | None = None,
    pending: int | None = None,
    tokens_per_day: int | None = None,
) -> Quota:
    """Return the quota with the given options applied."""
    given = {
        "requests": requests_per_second,
        "writes": writes_per_second,
        "bytes": bytes_per_second,
        "pending": pending,
        "tokens_per_day": tokens_per_day,
    }
    return msgspec.structs.replace(known, **{name: value for name, value in given.items() if value is not None})


def _quota_items(quota: Quota) -> list[str]:
    """Return the limits of a quota as text, one item each."""
    units = {
        "requests": "requests/s",
        "writes": "writes/s",
        "bytes": "bytes/s",
        "pending": "bytes pending",
        "tokens_per_day": "tokens/day",
    }
    limits = {unit: getattr(quota, name) for name, unit in units.items()}
    return [f"{'any' if limit == 0 else f'{limit:.16g}'} {unit}" for unit, limit in limits.items() if limit is not None]
