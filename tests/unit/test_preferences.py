# SPDX-License-Identifier: Apache-2.0
"""The Prefer header: read leniently, and never an error."""

import datetime as dt

import pytest

from api.http.preferences import MAX_WAIT, Preferences, read_preferences


def _read(*headers: str) -> Preferences:
    # Several headers of one name arrive as one, joined (PEP 3333 and RFC 9110, section 5.3).
    return read_preferences(",".join(headers) if headers else None)


@pytest.mark.parametrize("header", ["", ",", ";", "=", "wait", "wait=", "return=minimal", "respond", "foo; wait=5"])
def test_a_header_without_our_preferences_asks_for_nothing(header: str) -> None:
    assert _read(header) == _read() == Preferences(respond_async=False, wait=None)


@pytest.mark.parametrize(
    "header", ["respond-async", "Respond-Async", " respond-async ", "respond-async;foo=bar", "x, respond-async ,y"]
)
def test_respond_async_is_understood_in_any_spelling(header: str) -> None:
    assert _read(header) == Preferences(respond_async=True)


@pytest.mark.parametrize("header", ["wait=5", "WAIT=5", "wait = 5", 'wait="5"', "wait=05", "wait=5;x=y", "x=1,wait=5"])
def test_a_wait_is_understood_in_any_spelling(header: str) -> None:
    assert _read(header) == Preferences(wait=dt.timedelta(seconds=5))


def test_a_wait_of_nothing_is_not_the_same_as_no_wait() -> None:
    assert _read("wait=0").wait == dt.timedelta()


@pytest.mark.parametrize("seconds", [60, 61, 3600, 10**18, 10**100])
def test_nobody_waits_longer_than_the_longest_wait(seconds: int) -> None:
    assert _read(f"wait={seconds}").wait == MAX_WAIT


@pytest.mark.parametrize("value", ["-1", "1.5", "1e3", "x", "0x5", "\u00b2", "5s", "+5", "NaN"])
def test_a_wait_that_is_no_whole_number_is_ignored(value: str) -> None:
    assert _read(f"wait={value}").wait is None


@pytest.mark.parametrize("headers", [("wait=1, wait=2",), ("wait=1", "wait=2"), ("wait=x, wait=1, wait=2",)])
def test_the_first_wait_that_is_understood_counts(headers: tuple[str, ...]) -> None:
    assert _read(*headers).wait == dt.timedelta(seconds=1)


@pytest.mark.parametrize(
    "headers", [("respond-async, wait=5",), ("wait=5", "respond-async"), ("wait=5;a, respond-async",)]
)
def test_preferences_come_in_one_header_or_in_several(headers: tuple[str, ...]) -> None:
    assert _read(*headers) == Preferences(respond_async=True, wait=dt.timedelta(seconds=5))
