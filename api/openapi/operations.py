# SPDX-License-Identifier: Apache-2.0
"""What `api.openapi.document` describes: the bridge's own calls, and the bodies of those that are queued."""

from dataclasses import dataclass, field

import msgspec

from schemas.bodies.batchable import LogBatch, LogMetric, LogParameter, SetTag
from schemas.bodies.named_run import CreateRun, RunDocument
from schemas.bodies.single import DeleteTag, LogInputs, LogOutputs, UpdateRun
from schemas.bodies.tags import (
    DeleteExperimentTag,
    DeleteTraceTag,
    LinkPrompts,
    LinkTraces,
    SetExperimentTag,
    SetTraceTag,
)
from schemas.dead_letter import DiscardOrder, Drain, LetterCount, LetterDocument, LetterPage, Replayed, ReplayOrder
from schemas.job import JobDocument, JobDocuments, JobPage, LaneBacklog, Lookup
from schemas.write import Op

#: What the body of each queued call holds, besides the run where it is not said here.
BODIES: dict[Op, type[msgspec.Struct]] = {
    Op.LOG_METRIC: LogMetric,
    Op.LOG_PARAMETER: LogParameter,
    Op.SET_TAG: SetTag,
    Op.LOG_BATCH: LogBatch,
    Op.DELETE_TAG: DeleteTag,
    Op.UPDATE_RUN: UpdateRun,
    Op.LOG_INPUTS: LogInputs,
    Op.LOG_OUTPUTS: LogOutputs,
    Op.SET_EXPERIMENT_TAG: SetExperimentTag,
    Op.DELETE_EXPERIMENT_TAG: DeleteExperimentTag,
    Op.SET_TRACE_TAG: SetTraceTag,
    Op.DELETE_TRACE_TAG: DeleteTraceTag,
    Op.LINK_PROMPTS: LinkPrompts,
    Op.LINK_TRACES: LinkTraces,
    Op.CREATE_RUN: CreateRun,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """A call of the bridge's own."""

    method: str
    path: str
    summary: str
    #: The type of the document that each status brings; None for none.
    answers: dict[int, type | None]
    body: type | None = None
    prefers: tuple[str, ...] = ()
    query: tuple[str, ...] = ()
    problems: tuple[int, ...] = field(default=())


_LETTERS = "/v1/dead-letters"
_FILTER = ("reason", "run_id", "lane", "client", "since", "until", "cursor", "limit")

OPERATIONS = (
    Operation(
        method="get",
        path="/v1/jobs/{job_id}",
        summary="What became of a write",
        answers={200: JobDocument, 304: None},
        prefers=("wait=N",),
        problems=(404,),
    ),
    Operation(
        method="post",
        path="/v1/jobs/lookup",
        summary="What became of many writes",
        body=Lookup,
        answers={200: JobDocuments},
        problems=(400, 413, 415),
    ),
    Operation(
        method="get",
        path="/v1/jobs",
        summary="The jobs of one run that are pending, or dead",
        query=("run_id", "run", "lane", "status", "cursor", "limit"),
        answers={200: JobPage},
        problems=(400,),
    ),
    Operation(
        method="post",
        path="/v1/runs",
        summary="Have a run created under a name of the client's own",
        body=CreateRun,
        answers={200: RunDocument, 201: RunDocument, 202: RunDocument},
        prefers=("wait=N",),
        problems=(400, 408, 413, 422, 429),
    ),
    Operation(
        method="get",
        path="/v1/runs/{name}",
        summary="Which run a name stands for",
        answers={200: RunDocument},
        prefers=("wait=N",),
        problems=(400, 404),
    ),
    Operation(method="get", path="/v1/runs/{run}/backlog", summary="What waits of one run", answers={200: LaneBacklog}),
    Operation(method="get", path="/v1/backlog", summary="What waits in all", answers={200: None}),
    Operation(
        method="get",
        path=_LETTERS,
        summary="Dead letters, the oldest first",
        query=_FILTER,
        answers={200: LetterPage},
        problems=(400,),
    ),
    Operation(
        method="get",
        path=f"{_LETTERS}/{{letter_id}}",
        summary="One dead letter, whole",
        answers={200: LetterDocument},
        problems=(404,),
    ),
    Operation(
        method="post",
        path=f"{_LETTERS}/{{letter_id}}/replay",
        summary="Take a dead letter back into its lane",
        answers={202: Replayed},
        problems=(404,),
    ),
    Operation(
        method="delete",
        path=f"{_LETTERS}/{{letter_id}}",
        summary="Discard a dead letter",
        answers={204: None},
        problems=(404,),
    ),
    Operation(
        method="post",
        path=f"{_LETTERS}/replay",
        summary="Replay many dead letters, in the background",
        body=ReplayOrder,
        answers={200: LetterCount, 202: Drain},
        problems=(400, 413, 415),
    ),
    Operation(
        method="post",
        path=f"{_LETTERS}/discard",
        summary="Discard many dead letters, in the background",
        body=DiscardOrder,
        answers={200: LetterCount, 202: Drain},
        problems=(400, 409, 413, 415),
    ),
    Operation(
        method="get",
        path=f"{_LETTERS}/drains/{{drain_id}}",
        summary="How far a replay or discard of many is",
        answers={200: Drain},
        problems=(404,),
    ),
    Operation(
        method="delete",
        path=f"{_LETTERS}/drains/{{drain_id}}",
        summary="Stop a replay or discard of many",
        answers={204: None},
        problems=(409,),
    ),
    Operation(method="get", path="/metrics", summary="Figures for Prometheus", answers={200: None}),
    Operation(method="get", path="/healthz", summary="The process is up", answers={200: None}),
    Operation(
        method="get", path="/readyz", summary="Whether the bridge keeps its promises", answers={200: None, 503: None}
    ),
)
