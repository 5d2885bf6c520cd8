# SPDX-License-Identifier: Apache-2.0
"""A write: one mutating MLflow call, captured and validated, not yet ours."""

import enum

import msgspec


class Op(enum.StrEnum):
    """Which call a write is; most are named by the last part of MLflow's path."""

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
    #: Spans, as an OpenTelemetry exporter sends them.
    EXPORT_TRACES = "export-traces"
    #: Not one of MLflow's: create a run under a name that its client has chosen.
    CREATE_RUN = "create-run"


class Fragment(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """JSON objects of one kind, joined by commas and without brackets, so that fragments can be joined again.

    They are encoded once, at intake, and sent as these bytes at every attempt.
    """

    #: How many objects ``json`` holds.
    count: int = 0
    json: bytes = b""

    def __add__(self, other: "Fragment") -> "Fragment":
        if not (self.count and other.count):
            return self if self.count else other
        return Fragment(self.count + other.count, self.json + b"," + other.json)


NOTHING = Fragment()


class Write(msgspec.Struct, frozen=True, kw_only=True):
    """One call that logs something. Timestamps are already fixed, so any number of deliveries send the same bytes."""

    op: Op
    #: What is written to: a run's id, or another of `schemas.lane`.
    lane: str
    metrics: Fragment = NOTHING
    params: Fragment = NOTHING
    tags: Fragment = NOTHING
    #: The whole call, without what it is about, where it is one that can't be merged with others; else empty.
    whole: bytes = b""
    #: Headers that must reach upstream with the body, where it is more than JSON.
    headers: tuple[tuple[str, str], ...] = ()
    #: The value of ``X-MLFLOW-WORKSPACE``, which must reach upstream with the write.
    workspace: str | None = None

    @property
    def size(self) -> int:
        """How many bytes of JSON the write adds to a batch."""
        return len(self.metrics.json) + len(self.params.json) + len(self.tags.json) + len(self.whole)
