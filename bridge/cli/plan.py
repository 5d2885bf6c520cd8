# SPDX-License-Identifier: Apache-2.0
"""``mlflow-bridge plan``: prints what a load needs."""

import dataclasses
import math
from collections.abc import Callable, Iterator
from typing import Any

import click

from bridge.cli.capacity.costs import MEASURED
from bridge.cli.capacity.plan import Plan
from bridge.cli.capacity.plan import plan as planned
from bridge.cli.capacity.workload import Workload
from bridge.cli.http_client import show_json

_MAX = 1e12


class _Number(click.FloatRange):
    """A number in a range. FloatRange itself accepts NaN, which is not below any bound."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:  # noqa: ANN401
        number = float(super().convert(value, param, ctx))
        if math.isnan(number):
            self.fail(f"{value!r} is not a number.", param, ctx)
        return number


_WRITES_PER_DAY = _Number(1, _MAX)
_RUNS = click.IntRange(1, 100_000_000)
_POSITIVE = _Number(0, _MAX, min_open=True)
_COUNT = click.IntRange(1)
_DEFAULTS = {field.name: field.default for field in dataclasses.fields(Workload)}


def _option(name: str, field: str, kind: Any, about: str) -> Callable[[Any], Any]:  # noqa: ANN401
    return click.option(name, field, type=kind, default=_DEFAULTS[field], show_default=True, help=about)


@click.command()
@click.option("--writes-per-day", type=_WRITES_PER_DAY, required=True, help="Accepted writes, e.g. 1e8.")
@click.option("--runs", type=_RUNS, required=True, help="Runs that are written at the same time.")
@click.option("--tps", "calls", type=_POSITIVE, required=True, help="Calls a second that one upstream accepts.")
@_option("--writes-per-call", "writes_per_call", _COUNT, "The most writes that one call carries; 1: no merging.")
@_option("--upstream-writes", "upstream_writes", _POSITIVE, "Writes a second that one upstream stores.")
@_option("--peak", "peak_factor", _Number(1, _MAX), "The peak rate / the average rate.")
@_option("--write-bytes", "write_bytes", _COUNT, "Size of a write's body.")
@_option("--outage-seconds", "outage_s", _Number(0, _MAX), "The outage that the store's memory must hold.")
@_option("--store-trip-seconds", "store_trip_s", _POSITIVE, "A round trip to the store, with its sync.")
@_option("--call-seconds", "call_s", _POSITIVE, "A call to upstream.")
@_option("--store", "store", click.Choice(["cluster", "server"]), "Whether the store is in cluster mode, as on AWS.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def plan(*, as_json: bool, **load: Any) -> None:  # noqa: ANN401 - click has checked the types
    """Print the processes, shards and bytes that a load needs, and the limit that it reaches first.

    The figures follow from measured costs: docs/explanation/scale.md. They are estimates to begin with: measure the
    upstream and the store that you use, and pass what you find.
    """
    found = planned(Workload(**load), MEASURED)
    if as_json:
        first = found.first_limit
        show_json(dataclasses.asdict(found) | {"first_limit": first.name if first else None})
        return
    for name, value in rows(found):
        click.echo(f"{name:<34} {value}")
    click.echo("\nlimits of one api task, one shard and one upstream, in writes a second:")
    for limit in found.limits:
        sign = "<" if limit.writes < found.peak_writes else " "
        click.echo(f"{sign} {limit.writes:>12,.0f}  {limit.name}")
    if found.first_limit:
        click.echo("\nThe peak exceeds the limits with '<'. What to change:")
    for limit in found.limits:
        if limit.writes < found.peak_writes:
            click.echo(f"  {limit.name}: {limit.remedy}")


def rows(found: Plan) -> Iterator[tuple[str, str]]:
    """Yield the names and values of a plan, as the command and docs/explanation/scale.md show them."""
    yield "writes a second, average and peak", f"{found.average_writes:,.0f} and {found.peak_writes:,.0f}"
    yield "upstreams, each with a bridge", f"{found.bridges}"
    yield "for each bridge:", ""
    yield "  calls to upstream a second", f"{found.upstream_calls:,.0f}"
    yield "  writes in a call", f"{found.writes_per_call:,.1f}"
    yield "  wait for delivery at the peak", f"{found.delivery_wait_s:,.1f} s"
    yield "  api tasks of 1 vCPU", f"{found.api_tasks}"
    yield "  worker tasks of 0.5 vCPU", f"{found.worker_tasks}"
    yield "  store shards", _shards(found)
    yield "  store memory", f"{found.store_memory / 2**30:,.2f} GiB"
    yield "  store log a day", f"{found.store_log_per_day / 2**30:,.1f} GiB"


def _shards(found: Plan) -> str:
    if found.store_shards is None:
        return "more than the partitions permit: split the runs over several bridges"
    return f"{found.store_shards}{', slots assigned by hand' if found.places_slots else ''}"
