# SPDX-License-Identifier: Apache-2.0
"""The body of ``POST /v1/writes``: a batch of writes for many runs, as JSON or NDJSON."""

import datetime as dt
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice

import msgspec

from schemas.bodies.batchable import capture
from schemas.bodies.byte_order_mark import strip_byte_order_mark
from schemas.errors import InvalidWrite
from schemas.problem import Fault
from schemas.write import Op, Write

#: Parsing stops after this many invalid writes: a small compressed body can hold millions.
MAX_FAULTS = 100


class InvalidWrites(Exception):
    """At least one write of a batch is invalid, so none is accepted."""

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        prefix = "At least " if len(faults) == MAX_FAULTS else ""
        super().__init__(f"{prefix}{len(faults)} of the writes are invalid; nothing was stored.")
        self.faults = faults


@dataclass(frozen=True, slots=True)
class _Element:
    """The JSON of one write, and the JSON Pointer to it."""

    pointer: str
    json: bytes


class _Batch(msgspec.Struct):
    writes: list[msgspec.Raw]


class _OpField(msgspec.Struct):
    op: str


def read_writes(
    body: bytes,
    *,
    is_lines: bool,
    now: dt.datetime,
    workspace: str | None,
    check: Callable[[Write], None] = lambda _: None,
) -> list[Write]:
    """Parse a batch into its writes, in order, or raise ``InvalidWrites`` with the error of each invalid write.

    Each element is an object with ``op`` and the fields of that MLflow call. ``check`` raises ``InvalidWrite`` for a
    well-formed write that this upstream cannot store. ``is_lines``: the body is NDJSON.
    """
    writes: list[Write] = []
    faults: list[Fault] = []
    for element in _elements_of(body, is_lines=is_lines):
        try:
            write = capture(_op(element.json), element.json, now=now, workspace=workspace)
            check(write)
            writes.append(write)
        except InvalidWrite as error:
            faults.append(Fault(element.pointer, error.error_code, error.message))
            if len(faults) == MAX_FAULTS:
                break
    if faults:
        raise InvalidWrites(tuple(faults))
    return writes


def pointer_of(body: bytes, *, is_lines: bool, index: int) -> str:
    """Return the JSON Pointer to the write with this index, in a body that ``read_writes`` has parsed."""
    return next(islice(_elements_of(body, is_lines=is_lines), index, None)).pointer


def _elements_of(body: bytes, *, is_lines: bool) -> Iterator[_Element]:
    body = strip_byte_order_mark(body)
    return _ndjson_elements(body) if is_lines else _json_elements(body)


def _json_elements(body: bytes) -> Iterator[_Element]:
    try:
        document = msgspec.json.decode(body, type=_Batch)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidWrite(f'The body must be {{"writes": [...]}}: {error}.', "BAD_REQUEST") from error
    for index, text in enumerate(document.writes):
        yield _Element(f"/writes/{index}", bytes(text))


def _ndjson_elements(body: bytes) -> Iterator[_Element]:
    for line_index, line in enumerate(body.split(b"\n")):
        if line.strip():
            yield _Element(f"/{line_index}", line)


def _op(text: bytes) -> Op:
    try:
        return _OPS[msgspec.json.decode(text, type=_OpField).op]
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidWrite(f"Each write is a JSON object with an `op`: {error}.", "BAD_REQUEST") from error
    except KeyError as error:
        raise InvalidWrite(f"{error} is not a known op. Known are {', '.join(_OPS)}.") from error


#: Without the export of spans, which is not JSON and has a path of its own.
_OPS = {str(op): op for op in Op if op is not Op.EXPORT_TRACES}
