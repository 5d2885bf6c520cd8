# SPDX-License-Identifier: Apache-2.0
"""``mlflow-bridge jobs``: shows a job, or waits until it is settled."""

import sys
import time
from typing import Any

import click

from bridge.cli.http_client import BridgeClient, connection_options, path_part, show_json

#: Exit statuses of ``wait``.
_EXIT_DEAD, _EXIT_PENDING = 1, 3
_MAX_POLL_S = 60.0
_RETRY_PAUSE_S = 0.5


@click.group()
def jobs() -> None:
    """Show the status of a write. The response to the write has the job id in its Job-Id header."""


@jobs.command()
@click.argument("job_id")
@connection_options
def show(job_id: str, url: str, *, as_json: bool) -> None:
    """Show the current status of a job."""
    _print(BridgeClient(url).get(f"/v1/jobs/{path_part(job_id)}"), as_json=as_json)


@jobs.command()
@click.option("--request-id", help="The X-Request-Id of the request that brought the write.")
@click.option("--idempotency-key", metavar="KEY", help="The Idempotency-Key of the request.")
@click.option("--client", help="The client that the key belongs to, for operators.")
@connection_options
def find(request_id: str | None, idempotency_key: str | None, client: str | None, url: str, *, as_json: bool) -> None:
    """Find pending and dead jobs by their request. Delivered jobs are known by their ids only."""
    if (request_id is None) == (idempotency_key is None):
        raise click.UsageError("Give --request-id or --idempotency-key.")
    given = {"request_id": request_id, "idempotency_key": idempotency_key, "client": client}
    params = {name: value for name, value in given.items() if value is not None}
    for document in BridgeClient(url).get("/v1/jobs", params=params)["jobs"]:
        if as_json:
            show_json(document)
        else:
            columns = (document["job_id"], document["accepted_at"][:19], document["status"], document["op"])
            click.echo("  ".join((*columns, document["lane"])))


@jobs.command()
@click.argument("job_id")
@click.option("--timeout", default=60.0, show_default=True, help="The longest wait, in seconds.")
@connection_options
def wait(job_id: str, timeout: float, url: str, *, as_json: bool) -> None:
    """Wait until a job is settled. Exit status: 0 delivered, 1 dead or discarded, 3 still pending."""
    end = time.monotonic() + timeout
    client = BridgeClient(url)
    while True:
        remaining_s = max(0.0, min(_MAX_POLL_S, end - time.monotonic()))
        document = client.get(f"/v1/jobs/{path_part(job_id)}", headers={"Prefer": f"wait={remaining_s:.0f}"})
        if document["status"] != "pending" or time.monotonic() >= end:
            break
        # A bridge that shuts down, or has too many waiting clients, responds early.
        time.sleep(min(_RETRY_PAUSE_S, max(0.0, end - time.monotonic())))
    _print(document, as_json=as_json)
    sys.exit({"delivered": 0, "pending": _EXIT_PENDING}.get(document["status"], _EXIT_DEAD))


def _print(document: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        show_json(document)
        return
    for name in ("status", "run_id", "op", "accepted_at", "settled_at", "attempts", "next_attempt_at"):
        if document.get(name) is not None:
            click.echo(f"{name.replace('_', ' '):<16} {document[name]}")
    if error := document.get("error"):
        click.echo(f"{'error':<16} {error['reason']}: {error['message']}")
