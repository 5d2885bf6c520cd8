# SPDX-License-Identifier: Apache-2.0
"""The table of a session: a row for each fault."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from tests.faults.verdict import Verdict

_HEAD = (
    *("fault", "accepted", "not 2xx", "upstream calls", "redeliveries", "dead"),
    *("lost", "inversions", "duplicates", "false 2xx", "drained in s"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What a fault came to."""

    fault: str
    verdict: Verdict
    #: From the end of the fault until nothing was pending; clients go on logging for a part of it.
    drained_in: float

    def cells(self) -> tuple[str, ...]:
        found = self.verdict
        counts = (
            *(found.accepted, found.not_2xx, found.upstream_calls, found.redeliveries, found.dead),
            *(found.lost, found.inversions, found.duplicates, found.false_2xx),
        )
        return self.fault, *map(str, counts), f"{self.drained_in:.1f}"


def table(rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    """The lines of the table, its columns aligned, from the cells of each row."""
    # A row that comes from another process of the test runner is a list.
    lines = [_HEAD, *sorted(map(tuple, rows))]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for first, *counts in lines:
        cells = [first.ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(counts, widths[1:], strict=True))]
        yield "  ".join(cells)
