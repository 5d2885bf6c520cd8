# SPDX-License-Identifier: Apache-2.0
"""Lists as CSV (RFC 4180): all pages in one response, for a request with ``Accept: text/csv``.

A cell that a spreadsheet would take for a formula begins with an apostrophe: values are clients' own text.
"""

import csv
import datetime as dt
import io
from collections.abc import Callable, Iterator, Sequence
from itertools import chain, islice
from typing import Any

import msgspec
from flask import Response, request

#: Rows of one response at most.
MAX_ROWS = 100_000
#: Rows of a page that is read for it.
PAGE_ROWS = 500
_CSV = "text/csv"
_FORMULA_BEGINS = ("=", "+", "-", "@", "\t", "\r")

#: Returns the rows behind a cursor, and the cursor of the next page, None at the end.
ReadPage = Callable[[str | None], tuple[Sequence[msgspec.Struct], str | None]]


def wants_csv() -> bool:
    """Return whether the client prefers CSV to JSON."""
    return request.accept_mimetypes.best_match(["application/json", _CSV]) == _CSV


def csv_response(name: str, kind: type[msgspec.Struct], read: ReadPage, *, after: str | None = None) -> Response:
    """Return the rows of all pages as they are read, a column for each field of their type.

    An error on the first page is raised; one on a later page breaks the response off, so that it can't seem complete.
    """
    first = read(after)
    columns = [field.encode_name for field in msgspec.structs.fields(kind)]
    attributes = [field.name for field in msgspec.structs.fields(kind)]
    rows = islice(_rows(first, read), MAX_ROWS)
    cells = ([_cell(getattr(row, attribute)) for attribute in attributes] for row in rows)
    response = Response(_lines(chain([columns], cells)), content_type=f"{_CSV}; charset=utf-8; header=present")
    response.headers["Content-Disposition"] = f'attachment; filename="{name}.csv"'
    response.headers["Vary"] = "Accept"
    return response


def _rows(first: tuple[Sequence[msgspec.Struct], str | None], read: ReadPage) -> Iterator[msgspec.Struct]:
    rows, cursor = first
    yield from rows
    while cursor is not None:
        rows, cursor = read(cursor)
        yield from rows


def _lines(rows: Iterator[list[str]]) -> Iterator[bytes]:
    """Yield the text of some rows at a time."""
    while chunk := list(islice(rows, PAGE_ROWS)):
        text = io.StringIO()
        csv.writer(text).writerows(chunk)
        yield text.getvalue().encode()


def _cell(value: Any) -> str:  # noqa: ANN401 - any field of a document
    match value:
        case None:
            return ""
        case str():
            text = value
        case dt.datetime():
            return value.isoformat()
        case int() | float() if not isinstance(value, bool):
            # A number is no formula, also if it is negative.
            return str(value)
        case _:
            text = msgspec.json.encode(value).decode()
    return f"'{text}" if text.startswith(_FORMULA_BEGINS) else text
