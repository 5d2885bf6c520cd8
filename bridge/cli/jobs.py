# SPDX-License-Identifier: Apache-2.0
"""``mlflow-bridge jobs``: what became of a write."""

import sys
import time
from typing import Any

import click

from bridge.cli.http_client import Remote, path_part, show_json, with_remote

#: Exit statuses of ``wait``.
_DEAD, _PENDING = 1, 3
_LONGEST_POLL = 60.0


@click.group()
def jobs() -> None:
    """What became of a write, by the id in its answer's Job-Id header."""


@jobs.command()
@click.argument("job_id")
@with_remote
def show(job_id: str, url: str, *, as_json: bool) -> None:
    """Show a job as it is now."""
    _print(Remote(url).get(f"/v1/jobs/{path_part(job_id)}"), as_json=as_json)


@jobs.command()
@click.argument("job_id")
@click.option("--timeout", default=60.0, show_default=True, help="How many seconds to wait at most.")
@with_remote
def wait(job_id: str, timeout: float, url: str, *, as_json: bool) -> None:
    """Wait until a job is settled. Exit status: 0 delivered, 1 dead or discarded, 3 still pending."""
    end = time.monotonic() + timeout
    remote = Remote(url)
    while True:
        left = max(0.0, min(_LONGEST_POLL, end - time.monotonic()))
        document = remote.get(f"/v1/jobs/{path_part(job_id)}", headers={"Prefer": f"wait={left:.0f}"})
        if document["status"] != "pending" or time.monotonic() >= end:
            break
        # An answer may come early: from a bridge that stops, or that has too many waiting already.
        time.sleep(min(0.5, max(0.0, end - time.monotonic())))
    _print(document, as_json=as_json)
    sys.exit({"delivered": 0, "pending": _PENDING}.get(document["status"], _DEAD))


def _print(document: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        show_json(document)
        return
    for name in ("status", "run_id", "op", "accepted_at", "settled_at", "attempts", "next_attempt_at"):
        if document.get(name) is not None:
            click.echo(f"{name.replace('_', ' '):<16} {document[name]}")
    if error := document.get("error"):
        click.echo(f"{'error':<16} {error['reason']}: {error['message']}")
