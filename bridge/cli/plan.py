# SPDX-License-Identifier: Apache-2.0
"""``mlflow-bridge plan``: prints what a load needs."""

import dataclasses
import math
from collections.abc import Callable, Iterator
from typing import Any

import click

from bridge.cli.capacity.costs import MEASURED
from bridge.cli.capacity.plan import Plan
from bridge.cli.capacity.plan import plan as compute_plan
from bridge.cli.capacity.workload import Workload
from bridge.cli.http_client import show_json

_MAX_NUMBER = 1e12


class _Number(click.FloatRange):
    """A number in a range. Rejects NaN, which FloatRange accepts because NaN is not below any bound."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:  # noqa: ANN401
        number = float(super().convert(value, param, ctx))
        if math.isnan(number):
            self.fail(f"{value!r} is not a number.", param, ctx)
        return number


_WRITES_PER_DAY = _Number(1, _MAX_NUMBER)
_RUNS = click.IntRange(1, 100_000_000)
_POSITIVE = _Number(0, _MAX_NUMBER, min_open=True)
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
@_option("--peak", "peak_factor", _Number(1, _MAX_NUMBER), "The peak rate / the average rate.")
@_option("--write-bytes", "write_bytes", _COUNT, "Size of a write's body.")
@_option("--outage-seconds", "outage_s", _Number(0, _MAX_NUMBER), "The outage that the store's memory must hold.")
@_option("--store-trip-seconds", "store_trip_s", _POSITIVE, "A round trip to the store, with its sync.")
@_option("--call-seconds", "call_s", _POSITIVE, "A call to upstream.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def plan(*, as_json: bool, **load: Any) -> None:  # noqa: ANN401 - click has checked the types
    """Print the processes, shards and bytes that a load needs, and the limit that it reaches first.

    The figures follow from measured costs: docs/explanation/scale.md. They are estimates to begin with: measure the
    upstream and the store that you use, and pass what you find.
    """
    result = compute_plan(Workload(**load), MEASURED)
    if as_json:
        first = result.first_limit
        show_json(dataclasses.asdict(result) | {"first_limit": first.name if first else None})
        return
    for name, value in rows(result):
        click.echo(f"{name:<34} {value}")
    click.echo("\nlimits of one api task, one shard and one upstream, in writes a second:")
    for limit in result.limits:
        sign = "<" if limit.writes < result.peak_writes else " "
        click.echo(f"{sign} {limit.writes:>12,.0f}  {limit.name}")
    if result.first_limit:
        click.echo("\nThe peak exceeds the limits with '<'. What to change:")
    for limit in result.limits:
        if limit.writes < result.peak_writes:
            click.echo(f"  {limit.name}: {limit.remedy}")


def rows(result: Plan) -> Iterator[tuple[str, str]]:
    """Yield the names and values of a plan. The command prints them, and docs/explanation/scale.md quotes them."""
    yield "writes a second, average and peak", f"{result.average_writes:,.0f} and {result.peak_writes:,.0f}"
    yield "upstreams, each with a bridge", f"{result.bridges}"
    yield "for each bridge:", ""
    yield "  calls to upstream a second", f"{result.upstream_calls:,.0f}"
    yield "  writes in a call", f"{result.writes_per_call:,.1f}"
    yield "  wait for delivery at the peak", f"{result.delivery_wait_s:,.1f} s"
    yield "  api tasks of 1 vCPU", f"{result.api_tasks}"
    yield "  worker tasks of 0.5 vCPU", f"{result.worker_tasks}"
    yield "  store shards", _shards(result)
    yield "  store memory", f"{result.store_memory / 2**30:,.2f} GiB"
    yield "  store log a day", f"{result.store_log_per_day / 2**30:,.1f} GiB"


def _shards(result: Plan) -> str:
    if result.store_shards is None:
        return "more than the partitions permit: split the runs over several bridges"
    return f"{result.store_shards}{', slots assigned by hand' if result.places_slots else ''}"
