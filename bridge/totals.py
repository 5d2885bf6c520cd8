# SPDX-License-Identifier: Apache-2.0
"""The port to what all processes have counted together, wherever they run."""

from collections.abc import Mapping
from typing import Protocol

#: What is counted: the metric's name, the values of its labels, and of a histogram the part.
Count = tuple[str, ...]


class Totals(Protocol):
    """Both methods raise ``StoreUnavailable``."""

    def add(self, counts: Mapping[Count, float]) -> None:
        """Add to the totals."""
        ...

    def read(self) -> dict[Count, float]:
        """Return all totals."""
        ...
