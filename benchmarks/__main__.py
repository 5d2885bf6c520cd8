# SPDX-License-Identifier: Apache-2.0
"""``python -m benchmarks``: runs the measures, prints the table and writes the figures to a file."""

import datetime as dt
import json
import os
import platform
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

import click

from benchmarks.access import guarded
from benchmarks.deliveries import delivered, drain, limited, slow, two_workers
from benchmarks.fairness import fair
from benchmarks.intake import accepted, batches, floor, latency, proxy
from benchmarks.storage import growth, store
from benchmarks.streams import crowd, stream
from benchmarks.table import Row, Setting

_ALL: tuple[Callable[[Setting], Iterator[Row]], ...] = (
    *(latency, accepted, guarded, fair, batches, floor, proxy, stream, crowd),
    *(delivered, drain, limited, slow, two_workers, store, growth),
)
MEASURES = {measure.__name__: measure for measure in _ALL}
_RESULTS = Path(__file__).parent / "results"


@click.command()
@click.option("--quick", is_flag=True, help="One round and a tenth of the amounts: about three minutes.")
@click.option("--only", multiple=True, type=click.Choice(list(MEASURES)), help="Only these measures.")
def main(*, quick: bool, only: tuple[str, ...]) -> None:
    """Measure the bridge beside MLflow itself and a naive proxy, in one run on this machine."""
    rows: list[Row] = []
    began, stolen = time.monotonic(), _stolen()
    chosen = only or tuple(MEASURES)
    for number, name in enumerate(chosen, 1):
        click.echo(f"[{number}/{len(chosen)}] {name}: {(MEASURES[name].__doc__ or '').splitlines()[0]}", err=True)
        # Short, for the path of a socket may not be long.
        with tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as directory:
            setting = Setting(directory=Path(directory), rounds=1 if quick else 3, scale=0.1 if quick else 1.0)
            for row in MEASURES[name](setting):
                rows.append(row)
                setting.tell("")
                click.echo(_line(row), err=True)
    seconds, cores = time.monotonic() - began, os.cpu_count() or 1
    share = (_stolen() - stolen) / (seconds * cores)
    _write(rows, share)
    place = f"{platform.machine()}, {cores} cores, of which the host gave {share:.1%} to others"
    click.echo(f"\n{seconds:.0f} s on {place}\n")
    for row in rows:
        click.echo(_line(row))


def _line(row: Row) -> str:
    met = {True: "met", False: "NOT MET", None: ""}[row.met]
    return f"{row.name:<68} {row.ratio:>8.2f}  {row.target:<8} {met:<8} {row.figures}"


def _stolen() -> float:
    """Return for how many seconds this machine's cores had to wait for others on the same host (proc_stat(5))."""
    try:
        return int(Path("/proc/stat").read_text().split()[8]) / os.sysconf("SC_CLK_TCK")
    except (OSError, IndexError, ValueError):
        return 0.0


def _write(rows: list[Row], stolen: float) -> None:
    now = dt.datetime.now(dt.UTC)
    document = {
        "at": now.isoformat(),
        "python": platform.python_version(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "stolen": round(stolen, 4),
        "mlflow": version("mlflow"),
        "rows": [asdict(row) for row in rows],
    }
    _RESULTS.mkdir(exist_ok=True)
    (_RESULTS / f"{now:%Y%m%d-%H%M%S}.json").write_text(json.dumps(document, indent=1))


main()
