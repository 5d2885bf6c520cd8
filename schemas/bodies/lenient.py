# SPDX-License-Identifier: Apache-2.0
"""The second, careful reading of a body that the strict one did not take.

MLflow reads a body with protobuf, swallows its parse errors and keeps what it had read so far: a single bare ``NaN`` or
``1.5`` for a step makes it drop the rest of the call and answer 200. Here such a body is either repaired, where its
meaning is plain (a bare ``NaN`` is the string ``"NaN"``), or refused with the path to the value that is wrong.
"""

import json
from collections.abc import Callable, Iterator
from typing import Any

from schemas.errors import InvalidWrite
from schemas.mlflow_limits import invalid, missing, mistyped
from schemas.write import Op

Json = dict[str, Any]


def repair(op: Op, body: bytes) -> Json:
    """Return the body with each field in the type that MLflow would read, or raise ``InvalidWrite``."""
    fields = load_object(body)
    check_names(fields)
    run_id = read_run(fields, older_name=op is not Op.LOG_BATCH)
    read: Json = {"run_id": run_id} if run_id else {"run": fields["run"]}
    if op is not Op.LOG_BATCH:
        read |= _ENTITY[op](fields, "")
        check_older_name(fields)
        return read
    for name, entity in (("metrics", _metric), ("params", _pair), ("tags", _pair)):
        if name in fields:
            read[name] = [entity(_object(one, at), at) for at, one in _enumerate(fields[name], name)]
    return read


class Constant(float):
    """A bare ``NaN``, ``Infinity`` or ``-Infinity``, which a number that is too large is not."""

    __slots__ = ()


def load_object(body: bytes, *, first: str = "run_id") -> Json:
    """Return the JSON object that a body holds, or raise ``InvalidWrite``.

    MLflow takes what is not JSON for an empty object, and misses the ``first`` field that it looks for.
    """
    try:
        loaded = json.loads(body, parse_constant=Constant)
        if isinstance(loaded, str):
            # MLflow clients before 1.0 sent their JSON encoded twice, and MLflow still reads that.
            loaded = json.loads(loaded, parse_constant=Constant)
    except (ValueError, RecursionError) as error:
        raise InvalidWrite(f"Missing value for required parameter '{first}'. The body is not JSON: {error}.") from error
    # To MLflow `null` is a call without fields.
    return _object({} if loaded is None else loaded, "body")


def _object(value: object, at: str) -> Json:
    if isinstance(value, dict):
        return value
    raise InvalidWrite(f"'{at}' must be a JSON object, not a value of type '{type(_plain(value)).__name__}'.")


def _enumerate(value: object, name: str) -> Iterator[tuple[str, object]]:
    # One by one: a list of millions may be wrong in its first.
    return ((f"{name}[{i}]", one) for i, one in enumerate(read_list(value, name)))


def read_run(fields: Json, *, older_name: bool) -> str:
    """Return the id of the run, which its older name may hold, or raise ``InvalidWrite``; empty for a named run."""
    required = fields.get("run") is None
    if not older_name or fields.get("run_id") is not None or "run_uuid" not in fields:
        return read_text(fields.get("run_id"), "run_id", required=required)
    if "runId" in fields:
        # MLflow would check the one and write to the other.
        raise _both("run_uuid", "runId")
    return read_text(fields["run_uuid"], "run_id", required=required)


def check_older_name(fields: Json) -> None:
    """Raise where the older name of the run, though not needed beside the newer one, would stop MLflow's parser."""
    read_text(fields.get("run_uuid", fields.get("runUuid")), "run_uuid")


def check_names(fields: Json) -> None:
    """Raise where a field is given by both of its names."""
    for name, camel in _CAMEL_CASE.items():
        if name in fields and camel in fields:
            raise _both(name, camel)


def _both(name: str, other: str) -> InvalidWrite:
    return InvalidWrite(f"Request specifies both '{name}' and '{other}'; provide only one of them.")


def _metric(fields: Json, at: str) -> Json:
    check_names(fields)
    prefix = f"{at}." if at else ""
    read: Json = {
        "key": read_text(fields.get("key"), prefix + "key", required=True),
        "value": _double(fields.get("value"), prefix + "value"),
    }
    for name in ("timestamp", "step"):
        if fields.get(name) is not None:
            read[name] = read_int64(fields[name], prefix + name)
    for name in ("model_id", "dataset_name", "dataset_digest"):
        camel = _CAMEL_CASE[name]
        text = read_text(fields.get(name, fields.get(camel)), prefix + name)
        if text:
            read[name] = text
    return read


def _pair(fields: Json, at: str) -> Json:
    prefix = f"{at}." if at else ""
    return {
        "key": read_text(fields.get("key"), prefix + "key", required=True),
        "value": read_text(fields.get("value"), prefix + "value"),
    }


def read_text(value: object, at: str, *, required: bool = False) -> str:
    """Return a text that can be stored, empty for none, or raise ``InvalidWrite``."""
    if value is None or value == "":
        if required:
            raise missing(at)
        return ""
    if not isinstance(value, str):
        raise wrong_type(at, value)
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise invalid(at, value, "It holds half of a surrogate pair, which is no Unicode text.") from error
    return value


def read_list(value: object, at: str) -> list[object]:
    """Return a list, or raise ``InvalidWrite``."""
    if not isinstance(value, list):
        raise wrong_type(at, value)
    return value


def wrong_type(at: str, value: object) -> InvalidWrite:
    """Return the refusal for a value of the wrong JSON type, a bare ``NaN`` among them."""
    return mistyped(at, _plain(value))


def _plain(value: object) -> object:
    return float(value) if isinstance(value, Constant) else value


def _double(value: object, at: str) -> float:
    if value is None or value == "":
        raise missing(at)
    if not isinstance(value, int | float | str):
        raise mistyped(at, value)
    if value == "nan":
        raise invalid(at, value, 'Write "NaN": MLflow does not know this spelling and would store 0.0.')
    try:
        number = float(value)
    except (ValueError, OverflowError) as error:
        raise mistyped(at, value) from error
    digits = not isinstance(value, str) or any(character.isdigit() for character in value)
    if digits and not isinstance(value, Constant) and number - number != 0.0:
        raise invalid(at, str(value), "The number is too large for a double (64-bit floating point).")
    return number


def read_int64(value: object, at: str) -> int:
    """Return a whole number, however it is spelled, or raise ``InvalidWrite``."""
    if isinstance(value, Constant):
        raise wrong_type(at, value)
    whole = not isinstance(value, bool) and (
        isinstance(value, int | str) or (isinstance(value, float) and value.is_integer())
    )
    if not whole:
        raise invalid(at, value, "It must be a whole number (64-bit integer); MLflow would drop it without a word.")
    try:
        return int(value)  # type: ignore[call-overload,no-any-return] # narrowed by `whole`
    except ValueError as error:
        # protobuf takes "3.0" and "1e3" as well, as it takes 3.0 and 1e3.
        number = _float(str(value))
        if number is None or not number.is_integer():
            raise mistyped(at, value) from error
        return int(number)


def _float(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


_CAMEL_CASE = {
    "run_id": "runId",
    "run_uuid": "runUuid",
    "model_id": "modelId",
    "dataset_name": "datasetName",
    "dataset_digest": "datasetDigest",
}

_ENTITY: dict[Op, Callable[[Json, str], Json]] = {
    Op.LOG_METRIC: _metric,
    Op.LOG_PARAMETER: _pair,
    Op.SET_TAG: _pair,
}
