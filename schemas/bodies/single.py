# SPDX-License-Identifier: Apache-2.0
"""Parses queued calls that cannot be merged into a ``log-batch``: each is delivered by itself.

MLflow parses these bodies with protobuf, which accepts two names for each field and numbers as strings, and silently
drops what it cannot parse. The bridge refuses such a body with the path to the invalid value.

``capture_single`` reads the top-level fields one by one, in MLflow's order, so that the first error is MLflow's. The
body types then convert and encode the result, and describe the bodies in the OpenAPI document.
"""

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Annotated, Any

import msgspec

from schemas.bodies.lenient import (
    Constant,
    Json,
    check_names,
    check_run_uuid,
    load_object,
    read_int64,
    read_list,
    read_run,
    read_text,
)
from schemas.errors import InvalidWrite
from schemas.lane import run_lane
from schemas.mlflow_limits import check_max_length, check_not_own, invalid, missing
from schemas.write import Op, Write

_Int64 = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
STATUSES = ("RUNNING", "SCHEDULED", "FINISHED", "FAILED", "KILLED")


class DeleteTag(msgspec.Struct, omit_defaults=True):
    """Body of ``runs/delete-tag``. Like all these types it omits the run, which the lane holds."""

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
    """A dataset that a run used."""

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
    """A model that a run used."""

    model_id: str | None = None


class LogInputs(msgspec.Struct, omit_defaults=True):
    """Body of ``runs/log-inputs``."""

    datasets: list[DatasetInput] | None = None
    models: list[ModelInput] | None = None


class ModelOutput(msgspec.Struct, omit_defaults=True):
    """A model that a run produced."""

    model_id: str | None = None
    step: _Int64 | None = None


class LogOutputs(msgspec.Struct, omit_defaults=True):
    """Body of ``runs/outputs``."""

    models: list[ModelOutput] | None = None


def capture_single(op: Op, body: bytes, *, workspace: str | None = None) -> Write:
    """Parse the body of a call of `_READERS` into a write, or raise ``InvalidWrite``."""
    fields = load_object(body)
    check_names(fields)
    known = _known_fields(fields)
    run_id = read_run(fields, with_run_uuid=op is Op.UPDATE_RUN)
    values = {name: read(known.get(name), name) for name, read in _READERS[op].items()}
    if op is Op.UPDATE_RUN:
        check_run_uuid(fields)
    lane = run_lane(run_id, fields.get("run"), workspace, as_not_found=op is not Op.LOG_INPUTS)
    try:
        request = msgspec.convert(_normalized(values), _BODY_TYPES[op], strict=False)
        encoded = msgspec.json.encode(request)
    except (msgspec.MsgspecError, ValueError, TypeError, RecursionError) as error:
        raise InvalidWrite(f"The body of {op} is not valid: {error}. MLflow would silently drop it.") from error
    _CHECKS[op](request)
    return Write(op=op, lane=lane, single_body=encoded, workspace=workspace)


def _known_fields(fields: Json) -> Json:
    """Return the fields that these calls have, by their snake-case names: protobuf accepts ``endTime``, too."""
    known: Json = {}
    for name, value in fields.items():
        snake = _SNAKE_CASE.get(name, name)
        if snake != name and snake in fields:
            raise InvalidWrite(f"Request specifies both '{snake}' and '{name}'; provide only one of them.")
        if snake in _FIELD_NAMES:
            known[snake] = value
    return known


def _normalized(value: Any, name: str = "") -> Any:  # noqa: ANN401 - JSON
    """Return a JSON value with snake-case names, and without the spellings that only protobuf's JSON has."""
    if isinstance(value, dict):
        return {name: _normalized(each, name) for name, each in _known_fields(value).items()}
    if isinstance(value, list):
        return [_normalized(each) for each in value]
    if name == "step":
        with suppress(InvalidWrite):
            return read_int64(value, name)
    return float(value) if isinstance(value, Constant) else value


def _read_status(value: object, at: str) -> object:
    """Return a status as its name, or as one of MLflow's numbers."""
    with suppress(InvalidWrite):
        if 1 <= (number := read_int64(value, at)) <= len(STATUSES):
            return number
    return read_text(value, at)


def _read_models(value: object, at: str) -> list[object]:
    if value is None or value == "":
        raise missing(at)
    return read_list(value, at)


def _optional(read: Callable[[object, str], Any]) -> Callable[[object, str], Any]:
    return lambda value, at: None if value is None else read(value, at)


def _check_update(request: UpdateRun) -> None:
    status = request.status
    if isinstance(status, str) and status not in STATUSES:
        raise invalid("status", status[:100], f"It must be one of {', '.join(STATUSES)}; MLflow would ignore it.")


def _check_inputs(request: LogInputs) -> None:
    for dataset_input in request.datasets or ():
        dataset = dataset_input.dataset or Dataset()
        for name, limit in DATASET_LIMITS.items():
            check_max_length(getattr(dataset, name) or "", limit, name)
        for tag in dataset_input.tags or ():
            for name, limit in INPUT_TAG_LIMITS.items():
                check_max_length(getattr(tag, name) or "", limit, name)
    for dataset_input in request.datasets or ():
        _check_distinct([tag.key for tag in dataset_input.tags or ()], "tag of a dataset")


def _check_outputs(request: LogOutputs) -> None:
    _check_distinct([model.model_id for model in request.models or ()], "model")


def _check_distinct(names: list[str | None], entity: str) -> None:
    if len({name or "" for name in names}) < len(names):
        raise InvalidWrite(f"A {entity} is named twice; MLflow's database refuses that.", "BAD_REQUEST")


# Characters, in the order of MLflow's checks (``mlflow/utils/validation.py``, 3.17).
DATASET_LIMITS = {"name": 500, "digest": 36, "source": 65535, "schema": 1048575, "profile": 16777215}
INPUT_TAG_LIMITS = {"key": 255, "value": 500}

_SNAKE_CASE = {
    "runUuid": "run_uuid",
    "endTime": "end_time",
    "runName": "run_name",
    "sourceType": "source_type",
    "modelId": "model_id",
}

_BODY_TYPES: dict[Op, type[msgspec.Struct]] = {
    Op.DELETE_TAG: DeleteTag,
    Op.UPDATE_RUN: UpdateRun,
    Op.LOG_INPUTS: LogInputs,
    Op.LOG_OUTPUTS: LogOutputs,
}

# The top-level fields, in the order in which MLflow checks their types after protobuf has failed.
_READERS: dict[Op, dict[str, Callable[[object, str], Any]]] = {
    Op.DELETE_TAG: {"key": partial(read_text, required=True)},
    Op.UPDATE_RUN: {
        "end_time": _optional(read_int64),
        "status": _optional(_read_status),
        "run_name": _optional(read_text),
    },
    Op.LOG_INPUTS: {"datasets": _optional(read_list), "models": _optional(read_list)},
    Op.LOG_OUTPUTS: {"models": _read_models},
}

# MLflow's checks after it has found the run.
_CHECKS: dict[Op, Callable[[Any], None]] = {
    Op.DELETE_TAG: lambda request: check_not_own(request.key),
    Op.UPDATE_RUN: _check_update,
    Op.LOG_INPUTS: _check_inputs,
    Op.LOG_OUTPUTS: _check_outputs,
}

_FIELD_NAMES = frozenset(
    name
    for kind in (DeleteTag, UpdateRun, LogInputs, LogOutputs, DatasetInput, Dataset, InputTag, ModelInput, ModelOutput)
    for name in kind.__struct_fields__
)
