# SPDX-License-Identifier: Apache-2.0
"""The input of a measure, and the rows of the table that it returns."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A row of the table: a ratio, its target, and the measured values."""

    name: str
    ratio: float
    #: ``<=`` or ``>=`` and a number; empty without a target.
    target: str
    figures: str
    #: Whether only the full run gives a meaningful ratio.
    needs_full_run: bool = False

    @property
    def met(self) -> bool | None:
        """Whether the ratio meets the target; None without a target."""
        if not self.target:
            return None
        sign, number = self.target.split()
        return self.ratio <= float(number) if sign == "<=" else self.ratio >= float(number)


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """The directory, the duration and the shared server of the measures."""

    directory: Path
    rounds: int
    #: 1 for the full run, less for a quick one.
    scale: float
    #: Whether the run only shows that each measure works.
    smoke: bool = False
    #: The URL of an MLflow server for all measures. None: each starts its own.
    shared_mlflow: Callable[[], str] | None = None

    @property
    def is_full(self) -> bool:
        """Whether all amounts are those of the full run."""
        return self.scale >= 1

    def amount(self, full: int, *, least: int = 1) -> int:
        """Return the amount for this run, at least ``least`` except in a smoke run."""
        return max(1 if self.smoke else least, round(full * self.scale))

    def place(self, name: str) -> Path:
        """Create and return a directory for the measure."""
        return self.directory / name

    def show_progress(self, text: str) -> None:
        """Show the progress on a terminal."""
        if sys.stderr.isatty():
            sys.stderr.write(f"\r\x1b[K    {text}")
            sys.stderr.flush()
