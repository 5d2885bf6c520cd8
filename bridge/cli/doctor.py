# SPDX-License-Identifier: Apache-2.0
"""``mlflow-bridge doctor``: what is wrong with an installation, and how to mend it."""

import os
import sys
import time
from collections.abc import Iterable

import click

from bridge.cli.remote import printable, show_json
from bridge.clock import SystemClock

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
    from bridge.doctor import Finding, Verdict, examine  # noqa: PLC0415

    def shown(findings: Iterable[Finding]) -> list[Finding]:
        seen = []
        for finding in findings:
            seen.append(finding)
            if not as_json:
                _show(finding.verdict, finding.name, finding.found, finding.fix)
        return seen

    began = time.monotonic()
    found = shown(examine(os.environ, SystemClock(), api_is_here=api_is_here))
    took = time.monotonic() - began
    counts = {verdict.value: sum(finding.verdict is verdict for finding in found) for verdict in Verdict}
    if as_json:
        checks = [{"name": f.name, "verdict": f.verdict, "found": f.found, "fix": f.fix} for f in found]
        show_json({"failed": bool(counts["fail"]), "seconds": round(took, 3), "counts": counts, "checks": checks})
    else:
        said = ", ".join(f"{count} {verdict}" for verdict, count in counts.items() if count)
        click.echo(f"\n{len(found)} checks in {took:.1f} s: {said}")
    sys.exit(1 if counts["fail"] else 0)


def _show(verdict: str, name: str, found: str, fix: Iterable[str]) -> None:
    click.echo(f"{click.style(f'{verdict:<8}', fg=_COLOURS[verdict])}{name:<21}{printable(found)}")
    for text in fix:
        click.echo(f"{'':<8}{click.style('fix:', bold=True)} {printable(text)}")
