# SPDX-License-Identifier: Apache-2.0
"""Finds pending and dead jobs by their request or idempotency key. The contract is `bridge.outbox.job_search`."""

from collections.abc import Iterator
from itertools import islice
from typing import Any

import redis

from bridge.redis_store import keys
from bridge.redis_store.client import store_errors
from bridge.redis_store.instance_key import JobIdKey
from bridge.redis_store.job_status import client_job_id, lanes_of, pending_jobs
from bridge.redis_store.letter_index import IndexLine, LetterIndex, line_matcher
from bridge.redis_store.letter_reading import LetterReader
from bridge.redis_store.records import unpack_entry, unpack_letter
from schemas.dead_letter import LetterFilter, LetterOrder
from schemas.job import Job
from schemas.trace_context import trace_context_of

#: What one search reads: the newest dead letters, the lanes that wait longest, writes of each lane, writes in all.
_MAX_LETTERS, _MAX_LANES, _MAX_LANE_WRITES, _MAX_WRITES = 5_000, 200, 1_000, 5_000
_MAX_LANE_BYTES = 4 << 20
#: Where the parts of an idempotency record, and of an entry, begin and end.
_RECORD_ACCEPT_ID, _RECORD_POSITION, _ENTRY_ACCEPT_ID = slice(16, 24), slice(37, None), slice(13, 21)


class RedisJobSearch:
    """See `bridge.outbox.job_search.JobSearch` for every promise."""

    def __init__(self, client: redis.Redis) -> None:
        self._client: Any = client
        self._index = LetterIndex(client)
        self._reader = LetterReader(client)
        self._job_id_key = JobIdKey(client)

    def by_request(self, request_id: str, *, client: str | None) -> list[str]:
        """Return the ids of the jobs of a request."""
        wanted = trace_context_of(request_id, None).request
        with store_errors():
            jobs = [*self._pending_of_request(wanted, client), *self._dead_of_request(wanted, client)]
            return self._job_ids(job for job in jobs if job.trace_context.request_id == request_id)

    def by_idempotency_key(self, key: str, *, client: str) -> list[str]:
        """Return the ids of the jobs that were accepted under this key."""
        pipeline = self._client.pipeline(transaction=False)
        for number in range(keys.PARTITIONS):
            pipeline.get(keys.idempotency(number, client, key))
        with store_errors():
            records = [(number, record) for number, record in enumerate(pipeline.execute()) if record]
            return self._job_ids(
                job for number, record in records for job in self._jobs_of_record(number, record, client)
            )

    def _job_ids(self, jobs: Iterator[Job]) -> list[str]:
        """Return the ids of these jobs, each once, as their clients have them."""
        job_id_key = self._job_id_key.key()
        return list(dict.fromkeys(client_job_id(job, job_id_key) for job in jobs))

    def _pending_of_request(self, request: bytes, client: str | None) -> Iterator[Job]:
        writes_left = _MAX_WRITES
        for lane in self._pending_lanes(client):
            limit = min(writes_left, _MAX_LANE_WRITES)
            jobs, _ = pending_jobs(
                self._client, lane, client_name=client, after=0, limit=limit, max_bytes=_MAX_LANE_BYTES
            )
            yield from (job for job in jobs if job.trace_context.request == request)
            writes_left -= len(jobs)
            if writes_left <= 0:
                return

    def _pending_lanes(self, client: str | None) -> list[str]:
        """Return lanes with pending writes: of the client, or those that have waited for longest."""
        if client is not None:
            return lanes_of(self._client, client, limit=_MAX_LANES)
        pipeline = self._client.pipeline(transaction=False)
        for number in range(keys.PARTITIONS):
            pipeline.zrange(keys.oldest(number), 0, _MAX_LANES - 1, withscores=True)
        waiting = sorted((since_ms, lane.decode()) for lanes in pipeline.execute() for lane, since_ms in lanes)
        return [lane for _, lane in waiting[:_MAX_LANES]]

    def _dead_of_request(self, request: bytes, client: str | None) -> Iterator[Job]:
        wanted = LetterFilter(client=client)
        matches, lines = line_matcher(wanted), self._index.lines(wanted, after=None, order=LetterOrder.NEWEST)
        newest = (line for line in islice(lines, _MAX_LETTERS) if matches(line.text))
        for line, stored in self._reader.read(newest):
            # The id is in the bytes as it is: most letters need not be decoded.
            if stored is not None and request in stored:
                yield _dead_job(line, stored)

    def _jobs_of_record(self, number: int, record: bytes, client: str) -> Iterator[Job]:
        """Yield the pending or dead job of an idempotency record in the partition of this number.

        The record names the position and the accept, but not the lane, so each lane of the client is looked up.
        """
        position, accept_id = int(record[_RECORD_POSITION]), record[_RECORD_ACCEPT_ID]
        lanes = [lane for lane in lanes_of(self._client, client, limit=_MAX_LANES) if keys.partition(lane) == number]
        pipeline = self._client.pipeline(transaction=False)
        for lane in lanes:
            pipeline.hget(keys.lane_state(lane), "settled")
        # The first write of a lane has the position after the last settled one.
        indices = [position - 1 - int(settled or 0) for settled in pipeline.execute()] if lanes else []
        for lane, index in zip(lanes, indices, strict=True):
            entry = self._client.lindex(keys.writes(lane), index) if index >= 0 else None
            if entry and entry[_ENTRY_ACCEPT_ID] == accept_id:
                yield unpack_entry(entry, lane=lane, position=position)
        yield from self._dead_of_accept(number, position, accept_id, client)

    def _dead_of_accept(self, number: int, position: int, accept_id: bytes, client: str) -> Iterator[Job]:
        matches, position_part = line_matcher(LetterFilter(client=client)), b"/%d/" % position
        lines = (IndexLine(text) for text in self._lines_of(number) if position_part in text and matches(text))
        for line, stored in self._reader.read(lines):
            if stored is not None and unpack_letter(stored)[1].entry[_ENTRY_ACCEPT_ID] == accept_id:
                yield _dead_job(line, stored)

    def _lines_of(self, number: int) -> Iterator[bytes]:
        """Return all lines of the index of one partition."""
        return (text for lines in self._index.walk_partition(number, LetterFilter()) for text in lines)


def _dead_job(line: IndexLine, stored: bytes) -> Job:
    _, letter = unpack_letter(stored)
    return unpack_entry(letter.entry, lane=line.lane, position=line.position)
