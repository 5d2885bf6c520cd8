# SPDX-License-Identifier: Apache-2.0
"""The port to the names of runs: which run of MLflow's a client's own name stands for."""

from typing import Protocol


class RunNames(Protocol):
    """All methods raise ``StoreUnavailable`` when the store can't do its part."""

    def run_id(self, lane: str) -> str | None:
        """Return the id of the run that the lane of a named run stands for, None while there is none."""
        ...

    def bind(self, lane: str, run_id: str) -> str:
        """Have the lane stand for this run from now on, and return its id: another, if it stands for one already."""
        ...
