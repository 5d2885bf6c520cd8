# SPDX-License-Identifier: Apache-2.0
"""The options that say how much a client may use."""

from collections.abc import Callable

import click
import msgspec

from bridge.setting_kinds import size
from schemas.client import Quota

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
