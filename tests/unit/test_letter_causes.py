# SPDX-License-Identifier: Apache-2.0
"""Letters of one cause are one group, whatever ids and values their messages name."""

import datetime as dt

import pytest

from bridge.outbox.letter_causes import CausedLetter, common_message, group_by_cause

NOON = dt.datetime(2026, 11, 20, 12, tzinfo=dt.UTC)


def letter(number: int, message: str, **fields: str) -> CausedLetter:
    known = {"reason": "refused", "op": "log-parameter", "error_code": "INVALID_PARAMETER_VALUE"} | fields
    at = NOON - dt.timedelta(seconds=number)
    return CausedLetter(letter_id=f"run.{number}", message=message, buried_at=at, **known)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Run '0123456789abcdef0123456789abcdef' not found", "Run 'fedcba9876543210fedcba9876543210' not found"),
        ("no run 0123456789abcdef0123456789abcdef", "no run fedcba98-7654-3210-fedc-ba9876543210"),
        ("logged with value='first' for run 'a'", "logged with value='other one' for run 'b'"),
        ('value "1e3" at step 12', 'value "x" at step 9007199254740993'),
        ("took 1.5 s, limit 2,000", "took 30 s, limit 1"),
    ],
)
def test_what_differs_between_letters_of_one_cause_is_left_out(one: str, other: str) -> None:
    assert common_message(one) == common_message(other)
    assert "…" in common_message(one)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Upstream answers 503.", "Upstream answers 404."),
        ("Changing params isn't allowed, it's fixed", "Deleting params isn't allowed, it's fixed"),
        ("Run not found", "Run is deleted"),
    ],
)
def test_what_tells_causes_apart_is_kept(one: str, other: str) -> None:
    assert common_message(one) != common_message(other)


def test_an_endless_message_is_compared_by_its_beginning() -> None:
    assert len(common_message("x" * 100_000)) == 500
    assert common_message("'" * 100_000)


def test_groups_are_the_largest_first_with_their_newest_letter() -> None:
    letters = [letter(0, "gone", reason="expired"), *(letter(n, f"value='{n}' was refused") for n in range(1, 4))]

    small, large = sorted(group_by_cause(letters), key=lambda group: group.count)

    assert [group.count for group in group_by_cause(letters)] == [3, 1]
    assert (large.sample, large.message) == ("run.1", "value='…' was refused")
    assert (large.first, large.last) == (NOON - dt.timedelta(seconds=3), NOON - dt.timedelta(seconds=1))
    assert (small.reason, small.first) == ("expired", small.last)


def test_an_error_code_or_an_operation_of_its_own_is_a_cause_of_its_own() -> None:
    letters = [letter(0, "no"), letter(1, "no", error_code="BAD_REQUEST"), letter(2, "no", op="set-tag")]

    assert len(group_by_cause(letters)) == 3
