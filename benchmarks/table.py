# SPDX-License-Identifier: Apache-2.0
"""What a measure is given, and what it returns."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the table: a ratio, what it should be, and the figures that it is made of."""

    name: str
    ratio: float
    #: ``<=`` or ``>=`` and a number, or nothing where there is no target.
    target: str
    figures: str
    #: Whether the ratio needs the full run: a shorter one shows that the measure works.
    needs_full_run: bool = False

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None where there is none."""
        if not self.target:
            return None
        sign, number = self.target.split()
        return self.ratio <= float(number) if sign == "<=" else self.ratio >= float(number)


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """Where and how long to measure."""

    directory: Path
    rounds: int
    #: 1 for the full run, less for a quick one.
    scale: float
    #: Whether the run only proves that each measure yields its rows.
    smoke: bool = False
    #: The URL of an MLflow server that measures share; None where each starts its own.
    shared_mlflow: Callable[[], str] | None = None

    @property
    def is_full(self) -> bool:
        """Whether all amounts are those of the full run."""
        return self.scale >= 1

    def amount(self, full: int, *, least: int = 1) -> int:
        """Return how many of something this run takes: no fewer than ``least``, except in a smoke run."""
        return max(1 if self.smoke else least, round(full * self.scale))

    def place(self, name: str) -> Path:
        """Return a directory of the measure's own."""
        return self.directory / name

    def tell(self, text: str) -> None:
        """Show what is being done, where somebody may be watching."""
        if sys.stderr.isatty():
            sys.stderr.write(f"\r\x1b[K    {text}")
            sys.stderr.flush()
