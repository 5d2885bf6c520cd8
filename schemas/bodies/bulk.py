# SPDX-License-Identifier: Apache-2.0
"""Many writes in one request, for many runs: the bodies of ``POST /v1/writes`` and what is answered to them."""

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

#: After so many no further write is read: a short body can stand for millions of wrong ones.
MOST_FAULTS = 100


class InvalidWrites(Exception):
    """At least one write of a request can't be taken, so none of them is."""

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        many = "At least " if len(faults) == MOST_FAULTS else ""
        super().__init__(f"{many}{len(faults)} of the writes can't be taken; nothing was stored.")
        self.faults = faults


@dataclass(frozen=True, slots=True)
class _Found:
    pointer: str
    json: bytes


class _Document(msgspec.Struct):
    writes: list[msgspec.Raw]


class _Named(msgspec.Struct):
    op: str


def read_writes(
    body: bytes,
    *,
    is_lines: bool,
    now: dt.datetime,
    workspace: str | None,
    check: Callable[[Write], None] = lambda _: None,
) -> list[Write]:
    """Return the writes of a request, in their order, or raise ``InvalidWrites`` with what is wrong with which.

    Each is an object with ``op`` and the fields of that call of MLflow's. ``check`` raises ``InvalidWrite`` for
    one that is well-formed and can't be taken all the same.
    """
    writes: list[Write] = []
    faults: list[Fault] = []
    for found in _each(body, is_lines=is_lines):
        try:
            write = capture(_op(found.json), found.json, now=now, workspace=workspace)
            check(write)
            writes.append(write)
        except InvalidWrite as error:
            faults.append(Fault(found.pointer, error.error_code, error.message))
            if len(faults) == MOST_FAULTS:
                break
    if faults:
        raise InvalidWrites(tuple(faults))
    return writes


def pointer_of(body: bytes, *, is_lines: bool, number: int) -> str:
    """Return where the write of this number stands in a request that has been read."""
    return next(islice(_each(body, is_lines=is_lines), number, None)).pointer


def _each(body: bytes, *, is_lines: bool) -> Iterator[_Found]:
    body = strip_byte_order_mark(body)
    return _lines(body) if is_lines else _elements(body)


def _elements(body: bytes) -> Iterator[_Found]:
    try:
        document = msgspec.json.decode(body, type=_Document)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidWrite(f'The body must be {{"writes": [...]}}: {error}.', "BAD_REQUEST") from error
    for number, text in enumerate(document.writes):
        yield _Found(f"/writes/{number}", bytes(text))


def _lines(body: bytes) -> Iterator[_Found]:
    for number, line in enumerate(body.split(b"\n")):
        if line.strip():
            yield _Found(f"/{number}", line)


def _op(text: bytes) -> Op:
    try:
        return _OPS[msgspec.json.decode(text, type=_Named).op]
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidWrite(f"Each write is a JSON object with an `op`: {error}.", "BAD_REQUEST") from error
    except KeyError as error:
        raise InvalidWrite(f"{error} is no op. The ops are {', '.join(_OPS)}.") from error


#: Spans are no JSON; they are exported to their own path.
_OPS = {str(op): op for op in Op if op is not Op.EXPORT_TRACES}
