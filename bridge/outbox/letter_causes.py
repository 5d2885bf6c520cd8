# SPDX-License-Identifier: Apache-2.0
"""Groups dead letters by their cause and counts them, for the totals that operators see first."""

import datetime as dt
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from schemas.dead_letter import LetterGroup
from schemas.write import Op

#: Characters of a message that are compared.
_MAX_MESSAGE_CHARS = 500
_MAX_CACHED_MESSAGES = 10_000
#: Values that differ between messages of one cause: quoted text, ids of hexadecimal digits, numbers. A status is kept.
_VALUE = re.compile(
    r"(?P<kept>\b(?:HTTP|status|answers|answered|responds|responded|code)[ :=]+[1-5]\d\d\b)"
    r"|(?<!\w)(?P<quote>['\"`])(?:(?!(?P=quote)).)*(?P=quote)(?!\w)"
    r"|\b(?=[0-9a-fA-F-]*\d)[0-9a-fA-F]{8,}(?:-[0-9a-fA-F]{4,}){0,4}\b"
    r"|\d+(?:[.,:]\d+)*",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class CausedLetter:
    """The fields of a letter that its group is made from."""

    letter_id: str
    reason: str
    op: str
    error_code: str | None
    message: str
    buried_at: dt.datetime


@lru_cache(_MAX_CACHED_MESSAGES)
def common_message(message: str) -> str:
    """Return the part of a message that all letters of its cause have, with ``…`` for each value that differs.

    >>> common_message("Run '7f' has no metric 12: status 404")
    "Run '…' has no metric …: status 404"
    """
    return _VALUE.sub(_replacement, message[:_MAX_MESSAGE_CHARS])


def group_by_cause(letters: Iterable[CausedLetter]) -> list[LetterGroup]:
    """Return the groups of these letters, the largest first. ``letters`` begins with the newest."""
    groups: dict[tuple[str, str, str | None, str], _Group] = {}
    for letter in letters:
        cause = (letter.reason, letter.op, letter.error_code, common_message(letter.message))
        groups.setdefault(cause, _Group(letter)).add(letter)
    documents = [
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
    return sorted(documents, key=lambda group: -group.count)


class _Group:
    """The letters of one cause: their number, the newest, and when the first was dead-lettered."""

    def __init__(self, newest: CausedLetter) -> None:
        self.newest = newest
        self.count = 0
        self.first = newest.buried_at

    def add(self, letter: CausedLetter) -> None:
        self.count += 1
        self.first = min(self.first, letter.buried_at)


def _replacement(value: re.Match[str]) -> str:
    if kept := value["kept"]:
        return kept
    quote = value["quote"] or ""
    return f"{quote}…{quote}"
