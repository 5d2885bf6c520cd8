# SPDX-License-Identifier: Apache-2.0
"""The port of the job search: by the id of a request, or by an idempotency key."""

from typing import Protocol


class JobSearch(Protocol):
    """Searches at a bounded cost, so it does not find everything. Every method may raise ``StoreUnavailable``."""

    def by_request(self, request_id: str, *, client: str | None) -> list[str]:
        """Return the ids of the jobs of a request: of this client, or of all.

        It searches the oldest few thousand pending jobs and the newest few thousand dead ones, and no delivered ones.
        """
        ...

    def by_idempotency_key(self, key: str, *, client: str) -> list[str]:
        """Return the ids of the jobs that were accepted under a key of the client, if they are pending or dead."""
        ...
