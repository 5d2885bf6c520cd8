# SPDX-License-Identifier: Apache-2.0
"""A dead letter that `RedisDeadLetters` has read: its documents, and what replay.lua and discard.lua need of it."""

import datetime as dt
from dataclasses import dataclass
from typing import Any

import msgspec

from bridge.redis_store import keys
from bridge.redis_store.job_status import client_job_id
from bridge.redis_store.letter_index import time_prefix
from bridge.redis_store.records import (
    DeadLetter,
    ReplayRecord,
    pack_replay,
    unpack_entry,
    unpack_letter,
    unpack_note,
)
from bridge.upstream import Call
from bridge.upstream.mlflow_calls import single_call
from schemas.dead_letter import AttemptDocument, LetterDocument, LetterSummary, LetterTrail, WriteDocument
from schemas.job import Job
from schemas.lane import run_of


@dataclass(frozen=True, slots=True)
class StoredLetter:
    """A dead letter that was read from the store."""

    job: Job
    dead_lettered_at: dt.datetime
    letter: DeadLetter

    @classmethod
    def read(cls, stored: bytes, *, lane: str, position: int) -> "StoredLetter":
        """Return the letter that is stored under this lane and position."""
        dead_lettered_at, letter = unpack_letter(stored)
        return cls(unpack_entry(letter.entry, lane=lane, position=position), dead_lettered_at, letter)

    @property
    def partition(self) -> int:
        """The partition of its lane."""
        return keys.partition(self.job.lane)

    @property
    def field(self) -> str:
        """The field of the letter in its partition's hash."""
        return keys.dead_field(self.job.lane, self.job.position)

    @property
    def index_line(self) -> bytes:
        """The line of the letter in the index."""
        job = self.job
        line = keys.index_line(job.lane, job.position, self.letter.reason, job.client)
        return time_prefix(self.dead_lettered_at) + line.encode()

    @property
    def replay_record(self) -> ReplayRecord:
        """The record with which a replay accepts the write again."""
        return pack_replay(self.letter.entry, position=self.job.position)

    @property
    def letter_keys(self) -> list[str]:
        """The last keys of replay.lua and discard.lua: letters, index, this fate, that of the job which it replays."""
        lane, number = self.job.lane, self.partition
        fates = [keys.fate(lane, self.job.position), keys.fate(lane, self.replay_record.origin)]
        return [keys.dead(number), keys.letters(number), *fates]

    def summary(self, job_id_key: bytes) -> LetterSummary:
        """Return the letter as a list shows it."""
        return LetterSummary(**self._summary_fields(job_id_key))

    def document(self, job_id_key: bytes) -> LetterDocument:
        """Return the whole letter."""
        letter, answer, summary = self.letter, self.letter.answer, self._summary_fields(job_id_key)
        return LetterDocument(
            **summary,
            write=_write_document(single_call(self.job.write)),
            attempt_count=letter.attempts,
            attempts=[*map(_attempt_document, letter.notes), self._last_attempt()],
            upstream=answer,
            trail=LetterTrail(
                request_id=summary["request_id"],
                job_id=summary["job_id"],
                upstream_request_id=answer.request_id if answer else None,
            ),
        )

    def _summary_fields(self, job_id_key: bytes) -> dict[str, Any]:
        job, letter = self.job, self.letter
        return {
            "job_id": client_job_id(job, job_id_key),
            "letter_id": f"{job.lane}.{job.position}",
            "lane": job.lane,
            "run_id": run_of(job.lane),
            "op": job.write.op,
            "client": job.client,
            "request_id": job.trace_context.request_id,
            "reason": letter.reason,
            "message": letter.message,
            "status": letter.answer.status if letter.answer else None,
            "error_code": letter.answer.error_code if letter.answer else None,
            "accepted_at": job.accepted_at,
            "buried_at": self.dead_lettered_at,
        }

    def _last_attempt(self) -> AttemptDocument:
        letter, answer = self.letter, self.letter.answer
        return AttemptDocument(
            at=self.dead_lettered_at,
            writes=1,
            reason=letter.reason,
            message=letter.message,
            status=answer.status if answer else None,
            error_code=answer.error_code if answer else None,
        )


def _write_document(call: Call) -> WriteDocument:
    if call.headers:
        # Only a body that is not JSON has headers, such as its content type. It goes into the document as base64.
        return WriteDocument(
            path=call.path, body=msgspec.Raw(b"null"), workspace=call.workspace, base64=call.body, body_text=None
        )
    return WriteDocument(
        path=call.path,
        body=msgspec.Raw(call.body),
        workspace=call.workspace,
        base64=None,
        body_text=call.body.decode(),
    )


def _attempt_document(note: bytes) -> AttemptDocument:
    at, failed = unpack_note(note)
    return AttemptDocument(
        at=at,
        writes=failed.writes,
        reason=failed.reason,
        message=failed.message,
        status=failed.status,
        error_code=failed.error_code,
    )
