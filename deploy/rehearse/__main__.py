# SPDX-License-Identifier: Apache-2.0
"""Rehearses a rollout and its rollback: version N-1 under load, then N, then N-1, over one store, with kill -9 between.

Usage: python -m deploy.rehearse [--from COMMIT]. Prints what clients noticed, and ends with 1 if a write was lost,
doubled or reordered, or if one version can't read what the other has stored.
"""

import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

import click

from deploy.rehearse.rollout import Report, Scale, rehearse
from deploy.rehearse.version import ROOT, RehearsalError, previous


@click.command()
@click.option("--from", "commit", help="The version N-1: a tag or commit.  [default: the newest tag before HEAD]")
@click.option("--smoke", is_flag=True, help="Fewer clients and writes: only shows that the rehearsal works.")
def main(commit: str | None, *, smoke: bool) -> None:
    """Deploy this checkout over an older version under load, and roll it back."""
    older = commit or previous()
    click.echo(f"{older} -> {ROOT.name} -> {older}")
    try:
        with ExitStack() as stack:
            # Short, because the path of a Unix socket has a limit.
            directory = stack.enter_context(tempfile.TemporaryDirectory(prefix="roll-", ignore_cleanup_errors=True))
            report = rehearse(older, Path(directory), Scale.smoke() if smoke else Scale.full(), click.echo)
    except RehearsalError as error:
        click.echo(f"rehearsal: {error}", err=True)
        sys.exit(2)
    _show(report)
    sys.exit(0 if report.passed else 1)


def _show(report: Report) -> None:
    verdict = report.verdict
    for name, value in (
        ("accepted", verdict.accepted),
        ("lost", verdict.lost),
        ("doubled", verdict.duplicates),
        ("reordered", verdict.inversions),
        ("falsely accepted", verdict.false_2xx),
        ("dead letters, expected", f"{verdict.dead}, {verdict.bad}"),
        ("refused or cut off, then repeated", verdict.not_2xx),
        ("longest gap between two acceptances", f"{report.longest_gap_s:.2f} s"),
        ("calls repeated after a kill", verdict.redeliveries),
        ("seconds", f"{report.seconds:.0f}"),
    ):
        click.echo(f"{name:<36} {value}")
    if report.differences:
        click.echo("not readable by both:")
    else:
        click.echo("readable by both: job ids, idempotency records, dead letters, drains, keys")
    for line in report.differences:
        click.echo(f"  {line}")


if __name__ == "__main__":
    main()
