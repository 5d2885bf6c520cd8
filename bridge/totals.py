# SPDX-License-Identifier: Apache-2.0
"""The port to what all processes have counted together, wherever they run."""

from collections.abc import Mapping
from typing import Protocol

#: What is counted: the metric's name, the values of its labels, and of a histogram the part.
Count = tuple[str, ...]

#: How many background threads there are, by name and state: ``alive`` or ``dead``.
Census = Mapping[tuple[str, str], int]


class Totals(Protocol):
    """Each method raises ``StoreUnavailable``."""

    def add(self, counts: Mapping[Count, float]) -> None:
        """Add to the totals."""
        ...

    def read(self) -> dict[Count, float]:
        """Return all totals."""
        ...

    def report(self, process: str, threads: Census) -> None:
        """Keep the background threads of one process, in place of its last report. A report counts for ten seconds."""
        ...

    def threads(self) -> Census:
        """Return the background threads of all processes that have reported within ten seconds."""
        ...
