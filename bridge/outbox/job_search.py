# SPDX-License-Identifier: Apache-2.0
"""The port that finds jobs by what a client knows of them: the id of its request, or its idempotency key."""

from typing import Protocol


class JobSearch(Protocol):
    """Searches at a bounded cost, so it does not find everything. Every method raises ``StoreUnavailable``."""

    def by_request(self, request_id: str, *, client: str | None) -> list[str]:
        """Return the ids of jobs that this request brought: of this client, or of all.

        Found are pending ones, and dead ones, among the oldest and the newest few thousand. A delivered job is not.
        """
        ...

    def by_idempotency_key(self, key: str, *, client: str) -> list[str]:
        """Return the ids of the jobs that were accepted under a key of the client, if they are pending or dead."""
        ...
