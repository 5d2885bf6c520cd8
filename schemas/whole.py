# SPDX-License-Identifier: Apache-2.0
"""The queued calls that are sent as they are, each by itself: they can't be merged into a ``log-batch``.

MLflow reads their bodies with protobuf, which takes each field by two names and numbers as texts, and drops without a
word what it can't read. Here such a body is refused, with the path to what is wrong.
"""

from collections.abc import Callable
from typing import Annotated, Any

import msgspec

from schemas.careful import Json, check_names, load_object, read_text
from schemas.errors import InvalidWrite
from schemas.lane import run_lane
from schemas.limits import check_longest, invalid, missing
from schemas.write import Op, Write

_Int64 = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
_STATUSES = ("RUNNING", "SCHEDULED", "FINISHED", "FAILED", "KILLED")


class DeleteTag(msgspec.Struct, omit_defaults=True):
    """Body of ``runs/delete-tag``, without its run, as all of these."""

    key: str | None = None


class UpdateRun(msgspec.Struct, omit_defaults=True):
    """Body of ``runs/update``."""

    status: str | int | None = None
    #: Unix time in milliseconds.
    end_time: _Int64 | None = None
    run_name: str | None = None


class InputTag(msgspec.Struct, omit_defaults=True):
    """A tag of a dataset."""

    key: str | None = None
    value: str | None = None


class Dataset(msgspec.Struct, omit_defaults=True):
    """A dataset that a run has used."""

    name: str | None = None
    digest: str | None = None
    source_type: str | None = None
    source: str | None = None
    schema: str | None = None
    profile: str | None = None


class DatasetInput(msgspec.Struct, omit_defaults=True):
    """A dataset and its tags."""

    tags: list[InputTag] | None = None
    dataset: Dataset | None = None


class ModelInput(msgspec.Struct, omit_defaults=True):
    """A model that a run has used."""

    model_id: str | None = None


class LogInputs(msgspec.Struct, omit_defaults=True):
    """Body of ``runs/log-inputs``."""

    datasets: list[DatasetInput] | None = None
    models: list[ModelInput] | None = None


class ModelOutput(msgspec.Struct, omit_defaults=True):
    """A model that a run has made."""

    model_id: str | None = None
    step: _Int64 | None = None


class LogOutputs(msgspec.Struct, omit_defaults=True):
    """Body of ``runs/outputs``."""

    models: list[ModelOutput] | None = None


def capture_whole(op: Op, body: bytes, *, workspace: str | None = None) -> Write:
    """Turn the body of one of these calls into a write, or raise ``InvalidWrite``."""
    kind, check = _KINDS[op]
    fields = load_object(body)
    check_names(fields)
    name = "run_uuid" if fields.get("run_id") is None and op is Op.UPDATE_RUN else "run_id"
    lane = run_lane(read_text(fields.get(name), "run_id"), fields.get("run"), workspace)
    try:
        request = msgspec.convert(_known(fields), kind, strict=False)
        whole = msgspec.json.encode(request)
    except (msgspec.MsgspecError, ValueError, TypeError, RecursionError) as error:
        raise InvalidWrite(f"The body of {op} is not valid: {error}. MLflow would drop it without a word.") from error
    check(request)
    return Write(op=op, lane=lane, whole=whole, workspace=workspace)


def _known(fields: Json) -> Json:
    """Return the fields that these calls have, by their usual names; protobuf also takes ``endTime``."""
    known: Json = {}
    for name, value in fields.items():
        usual = _CAMEL.get(name, name)
        if usual != name and usual in fields:
            raise InvalidWrite(f"Request specifies both '{usual}' and '{name}'; provide only one of them.")
        if usual in _NAMES:
            known[usual] = _nested(value)
    return known


def _nested(value: Any) -> Any:  # noqa: ANN401 - JSON
    if isinstance(value, dict):
        return _known(value)
    return [_nested(each) for each in value] if isinstance(value, list) else value


def _check_delete_tag(request: DeleteTag) -> None:
    if not request.key:
        raise missing("key")


def _check_update(request: UpdateRun) -> None:
    status = request.status
    if status is not None and str(status)[:100] not in (*_STATUSES, "1", "2", "3", "4", "5"):
        raise invalid("status", str(status)[:100], f"It must be one of {', '.join(_STATUSES)}; MLflow would ignore it.")


def _check_inputs(request: LogInputs) -> None:
    for dataset_input in request.datasets or ():
        dataset = dataset_input.dataset or Dataset()
        for name, limit in _DATASET_LIMITS.items():
            check_longest(getattr(dataset, name) or "", limit, name)
        for tag in dataset_input.tags or ():
            check_longest(tag.key or "", 255, "key")
            check_longest(tag.value or "", 500, "value")


def _check_outputs(request: LogOutputs) -> None:
    if request.models is None:
        raise missing("models")


# MLflow's own, in the order in which it looks (``mlflow/utils/validation.py``, 3.17).
_DATASET_LIMITS = {"name": 500, "digest": 36, "source": 65535, "schema": 1048575, "profile": 16777215}

_CAMEL = {
    "runUuid": "run_uuid",
    "endTime": "end_time",
    "runName": "run_name",
    "sourceType": "source_type",
    "modelId": "model_id",
}

_KINDS: dict[Op, tuple[type[msgspec.Struct], Callable[[Any], None]]] = {
    Op.DELETE_TAG: (DeleteTag, _check_delete_tag),
    Op.UPDATE_RUN: (UpdateRun, _check_update),
    Op.LOG_INPUTS: (LogInputs, _check_inputs),
    Op.LOG_OUTPUTS: (LogOutputs, _check_outputs),
}

_NAMES = frozenset(
    name
    for kind in (DeleteTag, UpdateRun, LogInputs, LogOutputs, DatasetInput, Dataset, InputTag, ModelInput, ModelOutput)
    for name in kind.__struct_fields__
)
