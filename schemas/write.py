# SPDX-License-Identifier: Apache-2.0
"""A write: one mutating MLflow call, parsed and validated, not yet accepted."""

import enum

import msgspec


class Op(enum.StrEnum):
    """The operation of a write. Most have the name of the last segment of MLflow's path."""

    LOG_METRIC = "log-metric"
    LOG_PARAMETER = "log-parameter"
    SET_TAG = "set-tag"
    LOG_BATCH = "log-batch"
    DELETE_TAG = "delete-tag"
    UPDATE_RUN = "update"
    LOG_INPUTS = "log-inputs"
    LOG_OUTPUTS = "outputs"
    SET_EXPERIMENT_TAG = "set-experiment-tag"
    DELETE_EXPERIMENT_TAG = "delete-experiment-tag"
    SET_TRACE_TAG = "set-trace-tag"
    DELETE_TRACE_TAG = "delete-trace-tag"
    LINK_TRACES = "link-to-run"
    LINK_PROMPTS = "link-prompts"
    #: Spans of an OpenTelemetry exporter.
    EXPORT_TRACES = "export-traces"
    #: The bridge's own: create a run under a name that its client has chosen.
    CREATE_RUN = "create-run"


class Fragment(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """JSON objects of one kind, joined by commas and without brackets, so that fragments can be concatenated.

    Intake encodes them once; every delivery attempt sends the same bytes.
    """

    #: Number of objects in ``json``.
    count: int = 0
    json: bytes = b""

    def __add__(self, other: "Fragment") -> "Fragment":
        if not (self.count and other.count):
            return self if self.count else other
        return Fragment(self.count + other.count, self.json + b"," + other.json)


#: A write has it in place of each kind of entry that it does not log.
NO_FRAGMENT = Fragment()


class Write(msgspec.Struct, frozen=True, kw_only=True):
    """One mutating call. Its timestamps are set at intake, so that every delivery sends the same bytes."""

    op: Op
    #: The ordering key: the run's id, or another lane (`schemas.lane`).
    lane: str
    metrics: Fragment = NO_FRAGMENT
    params: Fragment = NO_FRAGMENT
    tags: Fragment = NO_FRAGMENT
    #: The body of a call that is delivered by itself, without the id that the lane holds; else empty.
    single_body: bytes = b""
    #: Headers that must reach upstream with a body that is not JSON.
    headers: tuple[tuple[str, str], ...] = ()
    #: The value of ``X-MLFLOW-WORKSPACE``, which must reach upstream with the write.
    workspace: str | None = None

    @property
    def size(self) -> int:
        """The bytes that the write adds to the body of a batch."""
        return len(self.metrics.json) + len(self.params.json) + len(self.tags.json) + len(self.single_body)
