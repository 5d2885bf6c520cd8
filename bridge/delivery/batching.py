# SPDX-License-Identifier: Apache-2.0
"""Merges the writes at the head of a lane into one upstream call, for the deliverer and for run creation.

Merging keeps the effect of the writes in their order: MLflow stores the params, metrics and tags of a ``log-batch`` in
list order, and the last tag of a key wins, as in single calls. Only a param can't be written twice in one call, so a
second value for it begins the next call.

The same jobs always produce the same call, byte for byte.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import takewhile

import msgspec

from bridge.delivery.fault_isolation import limit_after_failures
from bridge.outbox import Claim
from bridge.upstream import Call, CallContext
from bridge.upstream.mlflow_calls import joined, log_batch_call, single_call
from schemas.bodies.batchable import Param
from schemas.job import Job
from schemas.mlflow_limits import MAX_BATCH_BYTES, MAX_ENTITIES, MAX_METRICS, MAX_PARAMS, MAX_TAGS
from schemas.write import Fragment, Write

#: Distinct metric keys in a call that repeats another.
_MAX_REPEATED_KEYS = 100
#: Upper bounds of the bytes that list names and brackets add to a body, and that each write's commas add to its lists.
_FRAME_BYTES, _COMMAS_BYTES = 100, 3
_PARAMS_DECODER = msgspec.json.Decoder(list[Param])


def count_same_client(jobs: Sequence[Job]) -> int:
    """Return how many of the first jobs belong to the client of the first one."""
    return sum(1 for _ in takewhile(lambda job: job.client == jobs[0].client, jobs))


def context_of_first(claim: Claim, count: int) -> CallContext:
    """Return the context of a call that delivers the first jobs of a claim."""
    return CallContext(jobs=claim.jobs[:count], attempt=claim.attempts + 1, denied=claim.denied_since is not None)


def calls_for(claim: Claim, limit: int, run_id: str | None = None) -> tuple[list[Call], int]:
    """Return the calls, usually one, that deliver up to ``limit`` of the first jobs, and the number of these jobs."""
    call, count = next_call(claim.jobs, at_most=limit, run_id=run_id)
    if not claim.is_resumed:
        return [call], count
    max_metrics = limit_after_failures(claim.failed_calls, MAX_METRICS)
    return repeated_calls(claim.jobs[:count], max_metrics=max_metrics, run_id=run_id), count


def next_call(jobs: Sequence[Job], *, at_most: int | None = None, run_id: str | None = None) -> tuple[Call, int]:
    """Return the call that delivers as many of the first jobs as one call may carry, and the number of these jobs.

    ``at_most`` bounds their number. There must be at least one job; the first fits always. ``run_id`` names the run
    where the lane does not.
    """
    batch = _Batch(run_id)
    for job in jobs[:at_most]:
        if not batch.add(job.write):
            break
    count = len(batch.writes)
    first = batch.writes[0]
    return (batch.call() if count > 1 else single_call(first, run_id)), count


def repeated_calls(jobs: Sequence[Job], *, max_metrics: int = MAX_METRICS, run_id: str | None = None) -> list[Call]:
    """Return the calls that repeat one call which may have arrived; together they carry the same writes.

    MLflow servers before 3.12 fail on a batch that repeats metrics of more than 100 keys, or NaN values
    (mlflow#20807, mlflow#24612), so those go in calls of their own.
    """
    batch = _Batch(run_id)
    for job in jobs:
        batch.add(job.write)
    first = batch.writes[0]
    pieces = list(_metric_pieces(joined([write.metrics for write in batch.writes]), max_metrics))
    if len(pieces) < 2:
        return [batch.call() if len(jobs) > 1 else single_call(first, run_id)]
    first_call = batch.call(metrics=[pieces[0]])
    return [first_call, *(log_batch_call(first, run_id, [piece], [], []) for piece in pieces[1:])]


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

    def add(self, write: Write) -> bool:
        """Add the write if it fits into the same call as those before it, and return whether it does."""
        params = _read_params(write.params)
        if self.writes and not self._fits(write, params):
            return False
        new_params = [param for param in params if param.key not in self._params]
        self._new_params.append(
            write.params
            if len(new_params) == len(params)
            else Fragment(len(new_params), _without_brackets(msgspec.json.encode(new_params)))
        )
        self._params.update((param.key, param.value) for param in new_params)
        self._metric_count += write.metrics.count
        self._tag_count += write.tags.count
        run_id_bytes = 0 if self.writes else len(msgspec.json.encode(write.lane))
        self._bytes += write.size + _COMMAS_BYTES + run_id_bytes
        self.writes.append(write)
        return True

    def _fits(self, write: Write, params: list[Param]) -> bool:
        first = self.writes[0]
        if first.single_body or write.single_body:
            return False
        if (write.lane, write.workspace) != (first.lane, first.workspace):
            return False
        if any(self._params.get(param.key, param.value) != param.value for param in params):
            return False
        metric_count = self._metric_count + write.metrics.count
        param_count = len(self._params) + write.params.count
        tag_count = self._tag_count + write.tags.count
        return (
            metric_count <= MAX_METRICS
            and param_count <= MAX_PARAMS
            and tag_count <= MAX_TAGS
            and metric_count + param_count + tag_count <= MAX_ENTITIES
            and self._bytes + write.size + _COMMAS_BYTES <= MAX_BATCH_BYTES
        )

    def call(self, metrics: Sequence[Fragment] | None = None) -> Call:
        """Return the call that delivers all added writes, with ``metrics`` in place of theirs if given."""
        if metrics is None:
            metrics = [write.metrics for write in self.writes]
        return log_batch_call(
            self.writes[0], self.run_id, metrics, self._new_params, [write.tags for write in self.writes]
        )


class _MetricKeyAndValue(msgspec.Struct):
    """The fields of a metric that decide which piece it goes into."""

    key: str
    value: msgspec.Raw


def _metric_pieces(metrics: Fragment, max_metrics: int) -> Iterator[Fragment]:
    """Divide metrics into pieces of at most 100 keys and ``max_metrics`` values; NaN values go last, in own pieces."""
    texts = msgspec.json.decode(b"[" + metrics.json + b"]", type=list[msgspec.Raw])
    decoded = [(text, msgspec.json.decode(text, type=_MetricKeyAndValue)) for text in texts]
    for takes_nan in (False, True):
        piece: list[bytes] = []
        keys: set[str] = set()
        for text, metric in decoded:
            is_nan = bytes(metric.value) == b'"NaN"'
            if is_nan is not takes_nan:
                continue
            if len(piece) == max_metrics or len(keys | {metric.key}) > _MAX_REPEATED_KEYS:
                yield Fragment(len(piece), b",".join(piece))
                piece, keys = [], set()
            piece.append(bytes(text))
            keys.add(metric.key)
        if piece:
            yield Fragment(len(piece), b",".join(piece))


def _read_params(fragment: Fragment) -> list[Param]:
    return _PARAMS_DECODER.decode(b"[" + fragment.json + b"]") if fragment.count else []


def _without_brackets(array: bytes) -> bytes:
    return array[1:-1]
