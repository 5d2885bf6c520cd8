# SPDX-License-Identifier: Apache-2.0
"""Requests that can't be served, or not wholly, although nothing is wrong with them."""

from collections.abc import Sequence

from schemas.bulk import AcceptedJob


class Busy(Exception):
    """So much is under way already that the client should come back soon."""


class PartlyAccepted(Exception):
    """Some writes of a request are ours, and others could not be taken."""

    def __init__(self, jobs: Sequence[AcceptedJob | None], reason: Exception, number: int) -> None:
        super().__init__(f"{sum(job is not None for job in jobs)} of {len(jobs)} writes were accepted")
        self.jobs = tuple(jobs)
        self.reason = reason
        #: Which was the first that could not be taken, and where that stands in the request.
        self.number = number
        self.pointer: str | None = None
