# SPDX-License-Identifier: Apache-2.0
"""``mlflow-bridge doctor``: what is wrong with an installation, and how to mend it."""

import dataclasses
import logging
import os
import sys
import time
from typing import TYPE_CHECKING

import click

from bridge.cli.http_client import printable, show_json
from bridge.process.clock import SystemClock

if TYPE_CHECKING:
    from bridge.doctor import Finding

_COLOURS = {"ok": "green", "warn": "yellow", "fail": "red", "skipped": "bright_black"}


@click.command()
@click.option("--api", "api_is_here", is_flag=True, help="The api must run on this machine; else that is only told.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document for scripts.")
def doctor(*, api_is_here: bool, as_json: bool) -> None:
    """Check the installation that the environment describes, and say what to mend.

    Run it where the api or a worker runs, as the same user and with the same environment: it reads the same settings,
    asks the store and the broker, looks for AWS credentials, assumes the role, goes the way to upstream step by step
    and makes one signed call that only reads. It changes nothing, and shows no secret.

    Each line is `ok`, `warn` (the bridge works, but look at it), `fail`, or `skipped` (because what it needs has
    failed: mend that first). Checks go on side by side and take 8 seconds each at most.

    Exit status: 0 without a failure, 1 with one, 2 for a command that was not understood.

    \b
    mlflow-bridge doctor                    # on the host, or in the container
    mlflow-bridge doctor --api              # the api must answer here, too
    mlflow-bridge doctor --json | jq '.checks[] | select(.verdict == "fail")'
    """  # noqa: D301 - click wants this character, which keeps it from filling the lines
    # The whole bridge is loaded only by the commands that need it.
    from bridge.doctor import examine  # noqa: PLC0415

    # What libraries would say of a failure, with its traceback, the findings say in a line.
    logging.disable()
    began, found = time.monotonic(), []
    for finding in examine(os.environ, SystemClock(), api_is_here=api_is_here):
        found.append(finding)
        if not as_json:
            _show(finding)
    _sum_up(found, time.monotonic() - began, as_json=as_json)
    sys.exit(1 if any(finding.verdict == "fail" for finding in found) else 0)


def _show(finding: "Finding") -> None:
    verdict = click.style(f"{finding.verdict:<8}", fg=_COLOURS[finding.verdict])
    click.echo(f"{verdict}{finding.name:<21}{printable(finding.found)}")
    for text in finding.fix:
        click.echo(f"{'':<8}{click.style('fix:', bold=True)} {printable(text)}")


def _sum_up(found: "list[Finding]", seconds: float, *, as_json: bool) -> None:
    counts = {verdict: sum(finding.verdict == verdict for finding in found) for verdict in _COLOURS}
    if as_json:
        checks = [dataclasses.asdict(finding) for finding in found]
        failed = bool(counts["fail"])
        show_json({"failed": failed, "seconds": round(seconds, 3), "counts": counts, "checks": checks})
    else:
        said = ", ".join(f"{count} {verdict}" for verdict, count in counts.items() if count)
        click.echo(f"\n{len(found)} checks in {seconds:.1f} s: {said}")
