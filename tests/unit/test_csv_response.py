# SPDX-License-Identifier: Apache-2.0
"""A list as CSV: every field a column, text that is no formula, an end, and no error that looks like one."""

import csv
import datetime as dt
import io
from typing import Any

import msgspec
import pytest
from flask import Flask

from api.routes.csv_response import csv_response, wants_csv

NOON = dt.datetime(2026, 11, 20, 12, tzinfo=dt.UTC)


class Row(msgspec.Struct, frozen=True):
    text: str | None
    number: float | None = None
    at: dt.datetime | None = None
    items: tuple[str, ...] = ()


def rows_of(pages: dict[str | None, tuple[list[Row], str | None]]) -> list[list[str]]:
    with Flask(__name__).test_request_context():
        text = csv_response("rows", Row, pages.__getitem__).get_data(as_text=True)
    return list(csv.reader(io.StringIO(text, newline="")))


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", "\tx", "\rx"])
def test_a_text_that_begins_a_formula_is_marked_as_text(text: str) -> None:
    assert rows_of({None: ([Row(text)], None)})[1][0] == f"'{text}"


def test_each_kind_of_value_has_its_form_and_other_text_is_as_it_is() -> None:
    whole = Row('say "hi",\nthen', -1.5, NOON, ("a", "b"))

    head, first, second = rows_of({None: ([whole, Row(None)], None)})

    assert head == ["text", "number", "at", "items"]
    assert first == ['say "hi",\nthen', "-1.5", "2026-11-20T12:00:00+00:00", '["a","b"]']
    assert second == ["", "", "", "[]"]


def test_all_pages_follow_each_other() -> None:
    pages = {None: ([Row("1")], "b"), "b": ([], "c"), "c": ([Row("2")], None)}

    assert [row[0] for row in rows_of(pages)[1:]] == ["1", "2"]


def test_an_error_on_a_later_page_breaks_the_response_off() -> None:
    pages: dict[str | None, Any] = {None: ([Row("1")], "lost")}

    with pytest.raises(KeyError):
        rows_of(pages)


def test_an_error_on_the_first_page_is_raised_before_the_response_begins() -> None:
    with pytest.raises(KeyError):
        rows_of({})


@pytest.mark.parametrize(
    ("accept", "wanted"),
    [
        ("text/csv", True),
        ("text/csv, application/json;q=0.5", True),
        ("application/json", False),
        ("*/*", False),
        ("", False),
        ("application/json, text/csv", False),
        ("text/html", False),
    ],
)
def test_csv_is_for_who_asks_for_it(accept: str, *, wanted: bool) -> None:
    with Flask(__name__).test_request_context(headers={"Accept": accept} if accept else {}):
        assert wants_csv() is wanted
