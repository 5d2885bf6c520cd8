# SPDX-License-Identifier: Apache-2.0
"""``mlflow-bridge doctor``: checks an installation and prints a fix for each problem."""

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
@click.option("--api", "api_is_here", is_flag=True, help="Fail if no api runs on this machine.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def doctor(*, api_is_here: bool, as_json: bool) -> None:
    """Check an installation and print a fix for each problem.

    Run it where the api or a worker runs, as the same user and with the same environment. It reads the settings, checks
    store, broker and AWS credentials, assumes the role, connects to upstream step by step, and sends one signed read.
    It changes nothing and prints no secret.

    Each line is `ok`, `warn` (works, but needs attention), `fail`, or `skipped` (a check that it depends on has failed:
    fix that first). Independent checks run in parallel; each takes 8 seconds at most.

    Exit status: 0 without a failure, 1 with a failure, 2 for an invalid command.

    \b
    mlflow-bridge doctor                    # on the host, or in the container
    mlflow-bridge doctor --api              # the api must run here
    mlflow-bridge doctor --json | jq '.checks[] | select(.verdict == "fail")'
    """  # noqa: D301 - `\b` keeps click from rewrapping the lines
    # Only the commands that need the whole bridge load it.
    from bridge.doctor import examine  # noqa: PLC0415

    # A finding describes a failure in one line; the logs of libraries would add tracebacks.
    logging.disable()
    began_at, findings = time.monotonic(), []
    for finding in examine(os.environ, SystemClock(), api_is_here=api_is_here):
        findings.append(finding)
        if not as_json:
            _print_finding(finding)
    _print_summary(findings, time.monotonic() - began_at, as_json=as_json)
    sys.exit(1 if any(finding.verdict == "fail" for finding in findings) else 0)


def _print_finding(finding: "Finding") -> None:
    verdict = click.style(f"{finding.verdict:<8}", fg=_COLOURS[finding.verdict])
    click.echo(f"{verdict}{finding.name:<21}{printable(finding.found)}")
    for text in finding.fix:
        click.echo(f"{'':<8}{click.style('fix:', bold=True)} {printable(text)}")


def _print_summary(findings: "list[Finding]", seconds: float, *, as_json: bool) -> None:
    counts = {verdict: sum(finding.verdict == verdict for finding in findings) for verdict in _COLOURS}
    if as_json:
        checks = [dataclasses.asdict(finding) for finding in findings]
        failed = bool(counts["fail"])
        show_json({"failed": failed, "seconds": round(seconds, 3), "counts": counts, "checks": checks})
    else:
        summary = ", ".join(f"{count} {verdict}" for verdict, count in counts.items() if count)
        click.echo(f"\n{len(findings)} checks in {seconds:.1f} s: {summary}")
