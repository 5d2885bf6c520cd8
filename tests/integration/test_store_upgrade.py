# SPDX-License-Identifier: Apache-2.0
"""The store that `make run` had before opens with the one that it has now."""

import datetime as dt
import shutil
from pathlib import Path

from bridge.redis_store.dead_letters import RedisDeadLetters
from bridge.redis_store.flow_control import RedisFlowControl
from bridge.redis_store.outbox import RedisOutbox, connect
from bridge.redis_store.snapshot import RedisSnapshots
from schemas.dead_letter import LetterFilter
from schemas.job import JobStatus
from tests.servers import redis_at, running

#: Written by Redis 6.2.14 with an earlier version of the bridge: half of it by a rewrite of the file, half after that.
WRITTEN = Path(__file__).parents[1] / "data" / "redis-6.2.aof"
DELIVERED = "AQcAAaImGtOZBmFk2MqQ2qqqqqqqqqqqqqqqqqqqqqrr-83wiAMDv2oH"
DEAD = "AQQBAaImGtOhBmFk2Mqwnru7u7u7u7u7u7u7u7u7u7v4YepyFpmLSHTN"
PENDING = [
    "AQUAAaImGtt6BmFk2OlVMMzMzMzMzMzMzMzMzMzMzMwzz0DNIzMm7Diz",
    "AQUAAaImGtt7BmFk2OlVMczMzMzMzMzMzMzMzMzMzMzM2yN_nAFmTUK-",
    "AQUAAaImGtt9BmFk2OlVMszMzMzMzMzMzMzMzMzMzMxpZ4MTZr9M2UBb",
]
LATE = "AQcAAaImGtt-BmFk2MqQ26qqqqqqqqqqqqqqqqqqqqqgorBtoTTVlawc"
YEAR = dt.timedelta(days=365)
A, C = "a" * 32, "c" * 32


def test_what_redis_6_has_written_is_read_and_delivered(short_dir: Path) -> None:
    directory = short_dir / "upgraded"
    directory.mkdir()
    shutil.copy(WRITTEN, directory / "appendonly.aof")
    server, url = redis_at(directory)
    with running(server):
        client = connect(url, timeout=dt.timedelta(seconds=5), connections=2)
        outbox = RedisOutbox(client, retention=YEAR, idempotency_ttl=YEAR)

        def status(job_id: str) -> JobStatus | None:
            document = outbox.job(job_id, client="a")
            return document.status if document else None

        assert status(DELIVERED) is JobStatus.DELIVERED
        assert status(DEAD) is JobStatus.DEAD
        assert [status(job_id) for job_id in (*PENDING, LATE)] == [JobStatus.PENDING] * 4
        letters = RedisDeadLetters(client, fate_ttl=YEAR).find(LetterFilter(), after=None, limit=10).letter_ids
        assert [letter.partition(".")[0] for letter in letters] == ["b" * 32]
        flow_control = RedisFlowControl(client, "upstream", rate=None, burst=1, probe=YEAR)
        snapshot = RedisSnapshots(client, flow_control).read()
        assert (snapshot.lanes, snapshot.writes, snapshot.dead_letters) == (2, None, 1)
        assert snapshot.pending_bytes > 0
        assert snapshot.dead_bytes > 0
        claims = [outbox.claim(lane, lease=YEAR) for lane in (A, C)]
        assert [len(claim.jobs) if claim else 0 for claim in claims] == [1, 3]
        client.close()
