# SPDX-License-Identifier: Apache-2.0
"""Lenient parser for bodies that the strict decoder rejects.

MLflow parses a body with protobuf, ignores parse errors and keeps the fields before the error. A single bare ``NaN``,
or ``1.5`` for a step, makes it drop the rest of the call and answer 200. This parser repairs a body with a clear
meaning (a bare ``NaN`` becomes the string ``"NaN"``) and refuses any other with the path to the invalid value.
"""

import json
from collections.abc import Callable, Iterator
from typing import Any

from schemas.errors import InvalidWrite
from schemas.mlflow_limits import invalid, missing, mistyped
from schemas.write import Op

Json = dict[str, Any]


def parse_leniently(op: Op, body: bytes) -> Json:
    """Return the fields of a body, converted to the types that MLflow expects, or raise ``InvalidWrite``."""
    fields = load_object(body)
    check_names(fields)
    run_id = read_run(fields, with_run_uuid=op is not Op.LOG_BATCH)
    parsed: Json = {"run_id": run_id} if run_id else {"run": fields["run"]}
    if op is not Op.LOG_BATCH:
        parsed |= _READERS[op](fields, "")
        check_run_uuid(fields)
        return parsed
    for name, read_entity in (("metrics", _read_metric), ("params", _read_key_value), ("tags", _read_key_value)):
        if name in fields:
            parsed[name] = [read_entity(_read_object(each, at), at) for at, each in _elements(fields[name], name)]
    return parsed


class Constant(float):
    """A bare ``NaN``, ``Infinity`` or ``-Infinity``; distinguishes it from a number that is too large for a double."""

    __slots__ = ()


def load_object(body: bytes, *, first_required: str = "run_id") -> Json:
    """Decode a JSON object, or raise ``InvalidWrite``.

    MLflow treats invalid JSON as an empty object and reports the first required field as missing.
    """
    try:
        loaded = json.loads(body, parse_constant=Constant)
        if isinstance(loaded, str):
            # MLflow clients before 1.0 encoded their JSON twice; MLflow still accepts that.
            loaded = json.loads(loaded, parse_constant=Constant)
    except (ValueError, RecursionError) as error:
        reason = f"Missing value for required parameter '{first_required}'. The body is not JSON: {error}."
        raise InvalidWrite(reason) from error
    # MLflow treats `null` as an empty object.
    return _read_object({} if loaded is None else loaded, "body")


def _read_object(value: object, at: str) -> Json:
    if isinstance(value, dict):
        return value
    raise InvalidWrite(f"'{at}' must be a JSON object, not a value of type '{type(_without_marker(value)).__name__}'.")


def _elements(value: object, name: str) -> Iterator[tuple[str, object]]:
    """Return each element of a list with its place. Lazily: a list of millions may fail at its first element."""
    return ((f"{name}[{i}]", each) for i, each in enumerate(read_list(value, name)))


def read_run(fields: Json, *, with_run_uuid: bool) -> str:
    """Return the run id, empty for a named run, or raise ``InvalidWrite``.

    ``with_run_uuid``: the call also accepts the id under its older name, ``run_uuid``.
    """
    required = fields.get("run") is None
    if not with_run_uuid or fields.get("run_id") is not None or "run_uuid" not in fields:
        return read_text(fields.get("run_id"), "run_id", required=required)
    if "runId" in fields:
        # MLflow would validate one and write to the other.
        raise _duplicate_field("run_uuid", "runId")
    return read_text(fields["run_uuid"], "run_id", required=required)


def check_run_uuid(fields: Json) -> None:
    """Raise ``InvalidWrite`` for an invalid ``run_uuid`` even beside a valid ``run_id``: it stops MLflow's parser."""
    read_text(fields.get("run_uuid", fields.get("runUuid")), "run_uuid")


def check_names(fields: Json) -> None:
    """Raise ``InvalidWrite`` for a field that is given in snake case and in camel case."""
    for name, camel in _CAMEL_CASE.items():
        if name in fields and camel in fields:
            raise _duplicate_field(name, camel)


def _duplicate_field(name: str, other: str) -> InvalidWrite:
    return InvalidWrite(f"Request specifies both '{name}' and '{other}'; provide only one of them.")


def _read_metric(fields: Json, at: str) -> Json:
    check_names(fields)
    prefix = f"{at}." if at else ""
    parsed: Json = {
        "key": read_text(fields.get("key"), prefix + "key", required=True),
        "value": _read_double(fields.get("value"), prefix + "value"),
    }
    for name in ("timestamp", "step"):
        if fields.get(name) is not None:
            parsed[name] = read_int64(fields[name], prefix + name)
    for name in ("model_id", "dataset_name", "dataset_digest"):
        camel = _CAMEL_CASE[name]
        text = read_text(fields.get(name, fields.get(camel)), prefix + name)
        if text:
            parsed[name] = text
    return parsed


def _read_key_value(fields: Json, at: str) -> Json:
    prefix = f"{at}." if at else ""
    return {
        "key": read_text(fields.get("key"), prefix + "key", required=True),
        "value": read_text(fields.get("value"), prefix + "value"),
    }


def read_text(value: object, at: str, *, required: bool = False) -> str:
    """Return a valid Unicode string, empty for null, or raise ``InvalidWrite``."""
    if value is None or value == "":
        if required:
            raise missing(at)
        return ""
    if not isinstance(value, str):
        raise wrong_type(at, value)
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise invalid(at, value, "It holds half of a surrogate pair, which is not valid Unicode.") from error
    return value


def read_list(value: object, at: str) -> list[object]:
    """Return a list, or raise ``InvalidWrite``."""
    if not isinstance(value, list):
        raise wrong_type(at, value)
    return value


def wrong_type(at: str, value: object) -> InvalidWrite:
    """Return the error for a value of the wrong JSON type, including a bare ``NaN``."""
    return mistyped(at, _without_marker(value))


def _without_marker(value: object) -> object:
    return float(value) if isinstance(value, Constant) else value


def _read_double(value: object, at: str) -> float:
    if value is None or value == "":
        raise missing(at)
    if not isinstance(value, int | float | str):
        raise mistyped(at, value)
    if value == "nan":
        raise invalid(at, value, 'Write "NaN": MLflow does not support this spelling and would store 0.0.')
    try:
        number = float(value)
    except (ValueError, OverflowError) as error:
        raise mistyped(at, value) from error
    # An infinity is valid by its name and as a constant, and not in place of digits that are too many for a double.
    has_digits = not isinstance(value, str) or any(character.isdigit() for character in value)
    if has_digits and not isinstance(value, Constant) and number - number != 0.0:
        raise invalid(at, str(value), "The number is too large for a double (64-bit floating point).")
    return number


def read_int64(value: object, at: str) -> int:
    """Return an integer in any spelling of protobuf's JSON, or raise ``InvalidWrite``."""
    if isinstance(value, Constant):
        raise wrong_type(at, value)
    is_whole = not isinstance(value, bool) and (
        isinstance(value, int | str) or (isinstance(value, float) and value.is_integer())
    )
    if not is_whole:
        raise invalid(at, value, "It must be a whole number (64-bit integer); MLflow would silently drop it.")
    try:
        return int(value)  # type: ignore[call-overload,no-any-return] # narrowed by `is_whole`
    except ValueError as error:
        # protobuf accepts "3.0" and "1e3" as well as 3.0 and 1e3.
        number = _float_or_none(str(value))
        if number is None or not number.is_integer():
            raise mistyped(at, value) from error
        return int(number)


def _float_or_none(text: str) -> float | None:
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

_READERS: dict[Op, Callable[[Json, str], Json]] = {
    Op.LOG_METRIC: _read_metric,
    Op.LOG_PARAMETER: _read_key_value,
    Op.SET_TAG: _read_key_value,
}
