# SPDX-License-Identifier: Apache-2.0
"""The version of the store's format, so that no process misreads what another release has written (docs/adr/0026)."""

from dataclasses import dataclass
from typing import Any

import redis

from bridge.redis_store import keys

#: The format that this release writes, and the format that a process must read to read all of it.
WRITTEN_BY, READS_FROM = 1, 1
#: The oldest and the newest format that this release reads.
OLDEST_READABLE, NEWEST_READABLE = 1, 1


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreFormat:
    """The format of what is in a store."""

    #: The newest format that a process has written there.
    written_by: int
    #: A process must read this format to read all that is there.
    reads_from: int

    @property
    def fault(self) -> str | None:
        """Why this release can't read the store, None if it can."""
        if self.reads_from > NEWEST_READABLE:
            return (
                f"its data needs format {self.reads_from}, and this release reads up to {NEWEST_READABLE}: run the"
                " release that has written it, or a newer one"
            )
        if self.written_by < OLDEST_READABLE:
            return (
                f"its data has format {self.written_by}, and this release reads from {OLDEST_READABLE}: run the"
                " releases in between first"
            )
        return None


def read_format(client: Any) -> StoreFormat | None:  # noqa: ANN401 - redis-py's clients share no base
    """Return the format of a store, None if no process has declared one. Raises what redis-py raises."""
    found = {name.decode(): int(number) for name, number in client.zrange(keys.FORMAT, 0, -1, withscores=True)}
    if not found:
        return None
    return StoreFormat(written_by=found.get("written_by", 1), reads_from=found.get("reads_from", 1))


def declare_format(client: redis.Redis) -> None:
    """Declare that this release writes to the store. A newer format that is declared already stays."""
    client.zadd(keys.FORMAT, {"written_by": WRITTEN_BY, "reads_from": READS_FROM}, gt=True)
