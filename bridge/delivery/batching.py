# SPDX-License-Identifier: Apache-2.0
"""Merges the writes at the head of a lane into one upstream call.

Merging keeps what the writes mean in their order: MLflow stores the params, metrics and tags of a ``log-batch`` in the
order in which they stand there, and the last tag of a name wins, as it would in single calls. Only a param can't be
written twice in one call, so a second value for it begins the next call.

The same jobs always make the same call, byte for byte.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import takewhile

import msgspec

from bridge.delivery.fault_isolation import limit_after_disconnects
from bridge.outbox import Claim
from bridge.upstream import Call, CallContext
from bridge.upstream.mlflow_calls import joined, log_batch_call, single_call
from schemas.bodies.batchable import Param
from schemas.job import Job
from schemas.mlflow_limits import MAX_BATCH_BYTES, MAX_ENTITIES, MAX_METRICS, MAX_PARAMS, MAX_TAGS
from schemas.write import Fragment, Write

#: Distinct metric keys in a call that repeats another.
_REPEATED_KEYS = 100
#: What the names of the three lists and the brackets add to a body, at most.
_FRAME_BYTES = 100


def count_same_client(jobs: Sequence[Job]) -> int:
    """Return how many of the first jobs are the same client's."""
    return sum(1 for _ in takewhile(lambda job: job.client == jobs[0].client, jobs))


def context_of_first(claim: Claim, count: int) -> CallContext:
    """Return the first jobs of a claim as what a call carries."""
    return CallContext(jobs=claim.jobs[:count], attempt=claim.attempts + 1, denied=claim.denied_since is not None)


def calls_for(claim: Claim, limit: int, run_id: str | None = None) -> tuple[list[Call], int]:
    """Return the calls that deliver the first jobs of a claim, and how many those are. Usually it is one call."""
    call, count = next_call(claim.jobs, at_most=limit, run_id=run_id)
    if not claim.resumed:
        return [call], count
    return repeated_calls(
        claim.jobs[:count], most=limit_after_disconnects(claim.broke, MAX_METRICS), run_id=run_id
    ), count


def next_call(jobs: Sequence[Job], *, at_most: int | None = None, run_id: str | None = None) -> tuple[Call, int]:
    """Return the call that delivers as many of the first jobs as one call may, and how many those are.

    ``at_most`` bounds their number. There must be at least one job; the first fits always. ``run_id`` is that of the
    run, where the lane does not tell it.
    """
    batch = _Batch(run_id)
    for job in jobs[:at_most]:
        if not batch.take(job.write):
            break
    count = len(batch.writes)
    first = batch.writes[0]
    return (batch.call() if count > 1 else single_call(first, run_id)), count


def repeated_calls(jobs: Sequence[Job], *, most: int = MAX_METRICS, run_id: str | None = None) -> list[Call]:
    """Return the calls that deliver jobs which one call may have delivered already; together they say the same.

    None carries more than ``most`` metrics.

    MLflow servers before 3.12 fail on a batch that repeats metrics of more than 100 keys, or NaN values
    (mlflow#20807, mlflow#24612), so those go in calls of their own.
    """
    batch = _Batch(run_id)
    for job in jobs:
        batch.take(job.write)
    first = batch.writes[0]
    pieces = list(_metric_pieces(joined([write.metrics for write in batch.writes]), most))
    if len(pieces) < 2:
        return [batch.call() if len(jobs) > 1 else single_call(first, run_id)]
    beginning = batch.call(metrics=[pieces[0]])
    return [beginning, *(log_batch_call(first, run_id, [piece], [], []) for piece in pieces[1:])]


@dataclass(slots=True)
class _Batch:
    """A ``log-batch`` call that grows while there is room for one more write."""

    run_id: str | None
    writes: list[Write] = field(default_factory=list)
    _params: dict[str, str] = field(default_factory=dict)
    _new_params: list[Fragment] = field(default_factory=list)
    _metric_count: int = 0
    _tag_count: int = 0
    _bytes: int = _FRAME_BYTES

    def take(self, write: Write) -> bool:
        """Add the write if it may go into the same call as those before it; say whether it did."""
        params = _read_params(write.params)
        if self.writes and not self._fits(write, params):
            return False
        added = [param for param in params if param.key not in self._params]
        self._new_params.append(
            write.params if len(added) == len(params) else Fragment(len(added), _bare(msgspec.json.encode(added)))
        )
        self._params.update((param.key, param.value) for param in added)
        self._metric_count += write.metrics.count
        self._tag_count += write.tags.count
        self._bytes += write.size + 3 + (0 if self.writes else len(msgspec.json.encode(write.lane)))
        self.writes.append(write)
        return True

    def _fits(self, write: Write, params: list[Param]) -> bool:
        first = self.writes[0]
        if first.whole or write.whole:
            return False
        if (write.lane, write.workspace) != (first.lane, first.workspace):
            return False
        if any(self._params.get(param.key, param.value) != param.value for param in params):
            return False
        metrics = self._metric_count + write.metrics.count
        param_count = len(self._params) + write.params.count
        tags = self._tag_count + write.tags.count
        return (
            metrics <= MAX_METRICS
            and param_count <= MAX_PARAMS
            and tags <= MAX_TAGS
            and metrics + param_count + tags <= MAX_ENTITIES
            and self._bytes + write.size + 3 <= MAX_BATCH_BYTES
        )

    def call(self, metrics: Sequence[Fragment] | None = None) -> Call:
        """Return the call that delivers all writes taken, or these metrics in place of theirs."""
        if metrics is None:
            metrics = [write.metrics for write in self.writes]
        return log_batch_call(
            self.writes[0], self.run_id, metrics, self._new_params, [write.tags for write in self.writes]
        )


class _Known(msgspec.Struct):
    """What of a metric decides the piece that it goes into."""

    key: str
    value: msgspec.Raw


def _metric_pieces(metrics: Fragment, most: int) -> Iterator[Fragment]:
    """Divide metrics into runs of at most 100 keys and ``most`` values; those whose value is NaN come last, apart."""
    texts = msgspec.json.decode(b"[" + metrics.json + b"]", type=list[msgspec.Raw])
    known = [(text, msgspec.json.decode(text, type=_Known)) for text in texts]
    for nan in (False, True):
        piece: list[bytes] = []
        names: set[str] = set()
        for text, metric in known:
            if (bytes(metric.value) == b'"NaN"') is not nan:
                continue
            if len(piece) == most or len(names | {metric.key}) > _REPEATED_KEYS:
                yield Fragment(len(piece), b",".join(piece))
                piece, names = [], set()
            piece.append(bytes(text))
            names.add(metric.key)
        if piece:
            yield Fragment(len(piece), b",".join(piece))


def _read_params(fragment: Fragment) -> list[Param]:
    return _PARAMS.decode(b"[" + fragment.json + b"]") if fragment.count else []


def _bare(array: bytes) -> bytes:
    return array[1:-1]


_PARAMS = msgspec.json.Decoder(list[Param])
