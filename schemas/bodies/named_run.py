# SPDX-License-Identifier: Apache-2.0
"""Named runs: the body of ``POST /v1/runs``, and the document of a run that its client has named.

A client that names its run can log to it while upstream is unreachable. A worker creates the run later.
"""

import datetime as dt
import enum
from typing import Annotated

import msgspec

from schemas.bodies.lenient import load_object
from schemas.bodies.special_tags import RUN_NAME_TAG, check_run_name_tag
from schemas.errors import InvalidWrite
from schemas.lane import NamedRun, check_run_name
from schemas.mlflow_limits import EXPERIMENT_ID, OWN_TAG, check_id, check_max_length, check_tag
from schemas.write import Op, Write

#: The tag with the run's name. The bridge finds the run by it and never creates the run twice.
NAME_TAG = OWN_TAG
#: MLflow's default experiment, for a run without one.
DEFAULT_EXPERIMENT = "0"
#: Characters (``mlflow/store/tracking/dbmodels/models.py``, 3.17).
_MAX_EXPERIMENT_NAME, _MAX_RUN_NAME = 500, 250


class RunTag(msgspec.Struct):
    """A tag that the run is created with."""

    key: str
    value: str = ""


class CreateRun(msgspec.Struct, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Body of ``POST /v1/runs``."""

    #: The name of the run. Later writes refer to it: ``"run": "nightly/17"`` in place of ``run_id``.
    run: str
    #: Default: "0", MLflow's default experiment.
    experiment_id: str | None = None
    #: In place of ``experiment_id``. An experiment that does not exist is created.
    experiment_name: str | None = None
    #: The name that MLflow displays. Default: ``run``.
    run_name: str | None = None
    #: Unix time in milliseconds. Default: the time of intake.
    start_time: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)] | None = None
    tags: list[RunTag] = []
    #: ``create-run`` in a batch (``POST /v1/writes``).
    op: str = ""


class RunState(enum.StrEnum):
    """The state of a named run's creation."""

    #: Not yet created.
    PENDING = "pending"
    CREATED = "created"
    #: Upstream refused to create it; the job and its dead letter hold the reason.
    DEAD = "dead"


class RunDocument(msgspec.Struct, frozen=True, kw_only=True):
    """The document of a named run: the answer of ``GET /v1/runs/{run}``."""

    run: str
    state: RunState
    #: MLflow's id. None until the run is created.
    run_id: str | None = None
    #: The job that creates the run: in the answer to ``POST /v1/runs``, and if the job is dead.
    job_id: str | None = None
    #: Of a dead job.
    reason: str | None = None


def capture_run(body: bytes, *, now: dt.datetime, workspace: str | None) -> Write:
    """Parse a request to create a named run into a write, or raise ``InvalidWrite``."""
    fields = load_object(body, first_required="run")
    lane = NamedRun(check_run_name(fields.get("run")), workspace).lane
    try:
        request = msgspec.convert(fields, CreateRun, strict=False)
        request.start_time = round(now.timestamp() * 1000) if request.start_time is None else request.start_time
        if request.run_name is None:
            # As in MLflow; the bridge's default name would contradict the tag.
            request.run_name = next((tag.value for tag in request.tags if tag.key == RUN_NAME_TAG and tag.value), None)
        request.op = ""
        encoded = msgspec.json.encode(request)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise InvalidWrite(f"The body is not valid: {error}.") from error
    _check(request)
    return Write(op=Op.CREATE_RUN, lane=lane, single_body=encoded, workspace=workspace)


def _check(request: CreateRun) -> None:
    if request.experiment_id is not None and request.experiment_name is not None:
        raise InvalidWrite("Send experiment_id or experiment_name, not both.")
    for field in ("experiment_id", "experiment_name", "run_name"):
        if getattr(request, field) == "":
            raise InvalidWrite(f"Invalid value \"\" for parameter '{field}' supplied: omit it, or send a value.")
    if request.experiment_id is not None:
        check_id(request.experiment_id, "experiment_id", EXPERIMENT_ID)
    check_max_length(request.experiment_name or "", _MAX_EXPERIMENT_NAME, "experiment_name")
    check_max_length(request.run_name or "", _MAX_RUN_NAME, "run_name")
    _check_tags(request.tags, request.run_name)


def _check_tags(tags: list[RunTag], run_name: str | None) -> None:
    if len({tag.key for tag in tags}) < len(tags):
        raise InvalidWrite("A tag of the run is named twice.")
    for number, tag in enumerate(tags):
        check_tag(tag.key, tag.value, at=f"tags[{number}]")
        check_run_name_tag(run_name, tag.key, tag.value)
