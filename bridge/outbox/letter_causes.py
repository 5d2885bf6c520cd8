# SPDX-License-Identifier: Apache-2.0
"""Groups dead letters by their cause, and counts them: what an operator sees first."""

import datetime as dt
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from schemas.dead_letter import LetterGroup
from schemas.write import Op

#: Characters of a message that are compared.
_MAX_MESSAGE = 500
_REMEMBERED_MESSAGES = 10_000
#: What differs between messages of one cause: quoted text, ids of hexadecimal digits, numbers. A status is kept.
_VALUE = re.compile(
    r"(?P<kept>\b(?:HTTP|status|answers|answered|responds|responded|code)[ :=]+[1-5]\d\d\b)"
    r"|(?<!\w)(?P<quote>['\"`])(?:(?!(?P=quote)).)*(?P=quote)(?!\w)"
    r"|\b(?=[0-9a-fA-F-]*\d)[0-9a-fA-F]{8,}(?:-[0-9a-fA-F]{4,}){0,4}\b"
    r"|\d+(?:[.,:]\d+)*",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CausedLetter:
    """What a group needs to know of a letter."""

    letter_id: str
    reason: str
    op: str
    error_code: str | None
    message: str
    buried_at: dt.datetime


@lru_cache(_REMEMBERED_MESSAGES)
def common_message(message: str) -> str:
    """Return the part of a message that all letters of its cause have, with ``…`` for what differs.

    >>> common_message("Run '7f' has no metric 12: status 404")
    "Run '…' has no metric …: status 404"
    """
    return _VALUE.sub(_replaced, message[:_MAX_MESSAGE])


def group_by_cause(letters: Iterable[CausedLetter]) -> list[LetterGroup]:
    """Return the groups of these letters, the largest first. The letters come with the newest first."""
    groups: dict[tuple[str, str, str | None, str], _Group] = {}
    for letter in letters:
        cause = (letter.reason, letter.op, letter.error_code, common_message(letter.message))
        groups.setdefault(cause, _Group(letter)).add(letter)
    found = [
        LetterGroup(
            reason=reason,
            op=Op(op),
            error_code=error_code,
            message=message,
            count=group.count,
            first=group.first,
            last=group.newest.buried_at,
            sample=group.newest.letter_id,
        )
        for (reason, op, error_code, message), group in groups.items()
    ]
    return sorted(found, key=lambda group: -group.count)


class _Group:
    def __init__(self, newest: CausedLetter) -> None:
        self.newest = newest
        self.count = 0
        self.first = newest.buried_at

    def add(self, letter: CausedLetter) -> None:
        self.count += 1
        self.first = min(self.first, letter.buried_at)


def _replaced(found: re.Match[str]) -> str:
    if kept := found["kept"]:
        return kept
    quote = found["quote"] or ""
    return f"{quote}…{quote}"
