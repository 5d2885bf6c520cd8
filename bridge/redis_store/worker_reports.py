# SPDX-License-Identifier: Apache-2.0
"""The worker processes in Redis: when each last reported, and what."""

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import redis

from bridge.operations.workers import WorkerReport
from bridge.redis_store import keys
from bridge.redis_store.client import store_errors
from schemas.operations import WorkerDocument

_decode = msgspec.json.Decoder(WorkerReport).decode


class RedisWorkerReports:
    """See `bridge.operations.workers.WorkerReports` for the promise."""

    def __init__(self, client: redis.Redis) -> None:
        self._client: Any = client

    def report(self, name: str, report: WorkerReport) -> None:
        """Store the report, and remove those of processes that are gone."""
        pipeline = self._client.pipeline(transaction=False)
        pipeline.hset(keys.WORKER_REPORTS, name, msgspec.json.encode(report))
        pipeline.hkeys(keys.WORKER_REPORTS)
        pipeline.zrange(keys.WORKERS, 0, -1)
        with store_errors():
            _, reported, known = pipeline.execute()
            if obsolete := set(reported) - set(known) - {name.encode()}:
                self._client.hdel(keys.WORKER_REPORTS, *obsolete)


def queue_workers(pipeline: Any) -> None:  # noqa: ANN401 - see RedisOutbox
    """Add the commands that read the workers to this pipeline: their two answers are for ``read_workers``."""
    pipeline.zrange(keys.WORKERS, 0, -1, withscores=True)
    pipeline.hgetall(keys.WORKER_REPORTS)


def read_workers(reported: Sequence[tuple[bytes, float]], reports: Mapping[bytes, bytes]) -> tuple[WorkerDocument, ...]:
    """Return the workers in order of their names. A process of an older release reports its name alone."""
    return tuple(_worker(name, at, reports.get(name)) for name, at in sorted(reported))


def _worker(name: bytes, at: float, stored: bytes | None) -> WorkerDocument:
    host, _, pid = name.decode().rpartition(":")
    report = _decode(stored) if stored else None
    return WorkerDocument(
        name=name.decode(),
        host=host,
        pid=int(pid) if pid.isdecimal() else None,
        version=report.version if report else None,
        started_at=report.started_at if report else None,
        reported_at=dt.datetime.fromtimestamp(at, dt.UTC),
        concurrency=report.concurrency if report else None,
        delivering=report.delivering if report else None,
        last_error=report.last_error if report else None,
    )
