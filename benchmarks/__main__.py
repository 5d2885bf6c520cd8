# SPDX-License-Identifier: Apache-2.0
"""``python -m benchmarks``: runs the measures, prints the table and writes the results to a JSON file."""

import datetime as dt
import json
import os
import platform
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path

import click

from benchmarks import contenders
from benchmarks.access import guarded
from benchmarks.consoles import consoles
from benchmarks.costs import costs
from benchmarks.deliveries import delivered, drain, limited, slow, two_workers
from benchmarks.denials import denied
from benchmarks.fairness import fair
from benchmarks.intake import accepted, batches, bulk, floor, latency, two_apis
from benchmarks.letters import letters
from benchmarks.reads import pollers, proxy, ui
from benchmarks.simulation import simulation
from benchmarks.storage import growth, store
from benchmarks.streams import crowd, stream
from benchmarks.table import Row, Setting

Measure = Callable[[Setting], Iterator[Row]]
_ALL: tuple[Measure, ...] = (
    *(latency, accepted, guarded, fair, denied, batches, bulk, two_apis, floor, proxy, ui, pollers, stream, crowd),
    *(delivered, drain, limited, slow, two_workers, store, growth, letters, consoles, costs, simulation),
)
MEASURES: dict[str, Measure] = {measure.__name__: measure for measure in _ALL}
_RESULTS = Path(__file__).parent / "results"
_FULL, _QUICK, _SMOKE = (3, 1.0), (1, 0.1), (1, 0.002)


@click.command()
@click.option(
    "--quick", is_flag=True, help="One round with at least a tenth of the amounts: about a quarter of an hour."
)
@click.option(
    "--smoke", is_flag=True, help="Tiny amounts: only shows that each measure works; the ratios mean nothing."
)
@click.option("--rounds", type=click.IntRange(min=1), help="Rounds of each contender; 3 in a full run.")
@click.option("--only", multiple=True, metavar="MEASURE", help=f"Run only this measure: {', '.join(MEASURES)}.")
@click.option("--results", type=click.Path(path_type=Path), default=_RESULTS, help="Directory of the results.")
def main(*, quick: bool, smoke: bool, rounds: int | None, only: tuple[str, ...], results: Path) -> None:
    """Measure the bridge, MLflow itself and a naive proxy side by side on this machine."""
    usual_rounds, scale = _SMOKE if smoke else _QUICK if quick else _FULL
    began, stolen = time.monotonic(), _stolen()
    with ExitStack() as servers:
        setting = Setting(directory=Path(), rounds=rounds or usual_rounds, scale=scale, smoke=smoke)
        if smoke:
            setting = replace(setting, shared_mlflow=contenders.shared_mlflow(servers))
        rows, failed = run({name: MEASURES[name] for name in _chosen(only)}, setting)
    seconds, cores = time.monotonic() - began, os.cpu_count() or 1
    share = (_stolen() - stolen) / (seconds * cores)
    _write(results, rows, failed, share)
    place = f"{platform.machine()}, {cores} cores, of which other guests of the host took {share:.1%}"
    click.echo(f"\n{seconds:.0f} s on {place}\n")
    for row in (row for each in rows.values() for row in each):
        click.echo(_line(row))
    if failed:
        click.echo(f"\n{_sentence(failed)}", err=True)
        sys.exit(1)


def _chosen(only: tuple[str, ...]) -> tuple[str, ...]:
    unknown = [name for name in only if name not in MEASURES]
    if unknown:
        raise click.BadParameter(f"{', '.join(unknown)}: choose from {', '.join(MEASURES)}", param_hint="--only")
    return only or tuple(MEASURES)


def run(measures: Mapping[str, Measure], setting: Setting) -> tuple[dict[str, list[Row]], dict[str, str]]:
    """Return the rows of each measure, and the errors of those that failed."""
    rows: dict[str, list[Row]] = {name: [] for name in measures}
    failed: dict[str, str] = {}
    for number, (name, measure) in enumerate(measures.items(), 1):
        click.echo(f"[{number}/{len(measures)}] {name}: {(measure.__doc__ or '').splitlines()[0]}", err=True)
        # click would silently end the process for a broken pipe.
        try:
            _run_one(measure, setting, rows[name])
            assert rows[name], "the measure returned no row"
        except Exception as error:  # noqa: BLE001 - the other measures must run
            failed[name] = f"{type(error).__name__}: {error}"
            setting.show_progress("")
            click.echo(f"{traceback.format_exc()}measure {name} failed: {failed[name]}", err=True)
    return rows, failed


def _run_one(measure: Measure, setting: Setting, rows: list[Row]) -> None:
    """Collect the rows of a measure as they arrive, so that a failure keeps the earlier ones."""
    # Short, because the path of a Unix socket has a limit.
    with tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as directory:
        for found in measure(replace(setting, directory=Path(directory))):
            row = replace(found, needs_full_run=found.needs_full_run or setting.smoke)
            rows.append(row)
            setting.show_progress("")
            click.echo(_line(row), err=True)


def _sentence(failed: Mapping[str, str]) -> str:
    if len(failed) == 1:
        return f"The measure {next(iter(failed))} failed; all others completed."
    return f"The measures {', '.join(failed)} failed; all others completed."


def _line(row: Row) -> str:
    met = "needs the full run" if row.needs_full_run else {True: "met", False: "NOT MET", None: ""}[row.met]
    return f"{row.name:<68} {row.ratio:>8.2f}  {row.target:<8} {met:<8} {row.figures}"


def _stolen() -> float:
    """Return the steal time in seconds: CPU time that other guests of the host took (proc_stat(5))."""
    try:
        return int(Path("/proc/stat").read_text().split()[8]) / os.sysconf("SC_CLK_TCK")
    except (OSError, IndexError, ValueError):
        return 0.0


def _write(results: Path, rows: Mapping[str, list[Row]], failed: Mapping[str, str], stolen: float) -> None:
    now = dt.datetime.now(dt.UTC)
    document = {
        "at": now.isoformat(),
        "python": platform.python_version(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "stolen": round(stolen, 4),
        "mlflow": version("mlflow"),
        "failed": dict(failed),
        "rows": [{"measure": name, **asdict(row)} for name, each in rows.items() for row in each],
    }
    results.mkdir(parents=True, exist_ok=True)
    (results / f"{now:%Y%m%d-%H%M%S}.json").write_text(json.dumps(document, indent=1))


if __name__ == "__main__":
    main()
