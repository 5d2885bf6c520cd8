# SPDX-License-Identifier: Apache-2.0
"""A run that its client names itself, to be created when upstream can be reached, and what is known of one."""

import datetime as dt
import enum
from typing import Annotated

import msgspec

from schemas.bodies.lenient import load_object
from schemas.bodies.special_tags import RUN_NAME_TAG, check_run_name_tag
from schemas.errors import InvalidWrite
from schemas.lane import NamedRun, check_run_name
from schemas.mlflow_limits import EXPERIMENT_ID, OWN_TAG, check_id, check_longest, check_tag
from schemas.write import Op, Write

#: By this tag a named run is found again, and is never created twice.
NAME_TAG = OWN_TAG
#: MLflow's own, in which a run is that is asked for without one.
DEFAULT_EXPERIMENT = "0"
#: As MLflow has them (``mlflow/store/tracking/dbmodels/models.py``, 3.17).
_LONGEST_EXPERIMENT_NAME, _LONGEST_RUN_NAME = 500, 250


class RunTag(msgspec.Struct):
    """A tag that the run has from its beginning."""

    key: str
    value: str = ""


class CreateRun(msgspec.Struct, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Body of ``POST /v1/runs``."""

    #: The name, by which later writes call the run: ``"run": "nightly/17"`` in place of their ``run_id``.
    run: str
    #: The experiment; "0", MLflow's default one, if it is not said.
    experiment_id: str | None = None
    #: The experiment by its name; it is created if there is none. Not together with ``experiment_id``.
    experiment_name: str | None = None
    #: What MLflow shows; the run's name, if it is not said.
    run_name: str | None = None
    #: Unix time in milliseconds; the moment of intake, if it is not said.
    start_time: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)] | None = None
    tags: list[RunTag] = []
    #: What the write is, among others in ``POST /v1/writes``.
    op: str = ""


class RunState(enum.StrEnum):
    """How far the creation of a named run is."""

    #: It waits to be created.
    PENDING = "pending"
    CREATED = "created"
    #: Its creation was refused; the job, and its dead letter, say why.
    DEAD = "dead"


class RunDocument(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a named run."""

    run: str
    state: RunState
    #: MLflow's id, once the run is created.
    run_id: str | None = None
    #: The job of its creation, in the answer to the request for it, or if that is dead.
    job_id: str | None = None
    #: Why it is dead.
    reason: str | None = None


def capture_run(body: bytes, *, now: dt.datetime, workspace: str | None) -> Write:
    """Turn the body of a request for a named run into a write, or raise ``InvalidWrite``."""
    fields = load_object(body, first="run")
    lane = NamedRun(check_run_name(fields.get("run")), workspace).lane
    try:
        request = msgspec.convert(fields, CreateRun, strict=False)
        request.start_time = round(now.timestamp() * 1000) if request.start_time is None else request.start_time
        if request.run_name is None:
            # As in MLflow; the name that the bridge gives otherwise would contradict the tag.
            request.run_name = next((tag.value for tag in request.tags if tag.key == RUN_NAME_TAG and tag.value), None)
        request.op = ""
        whole = msgspec.json.encode(request)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise InvalidWrite(f"The body is not valid: {error}.") from error
    _check(request)
    return Write(op=Op.CREATE_RUN, lane=lane, whole=whole, workspace=workspace)


def _check(request: CreateRun) -> None:
    if request.experiment_id is not None and request.experiment_name is not None:
        raise InvalidWrite("Give experiment_id or experiment_name, not both.")
    for field in ("experiment_id", "experiment_name", "run_name"):
        if getattr(request, field) == "":
            raise InvalidWrite(f"Invalid value \"\" for parameter '{field}' supplied: leave it out, or say something.")
    if request.experiment_id is not None:
        check_id(request.experiment_id, "experiment_id", EXPERIMENT_ID)
    check_longest(request.experiment_name or "", _LONGEST_EXPERIMENT_NAME, "experiment_name")
    check_longest(request.run_name or "", _LONGEST_RUN_NAME, "run_name")
    _check_tags(request.tags, request.run_name)


def _check_tags(tags: list[RunTag], run_name: str | None) -> None:
    if len({tag.key for tag in tags}) < len(tags):
        raise InvalidWrite("A tag of the run is named twice.")
    for number, tag in enumerate(tags):
        check_tag(tag.key, tag.value, at=f"tags[{number}]")
        check_run_name_tag(run_name, tag.key, tag.value)
