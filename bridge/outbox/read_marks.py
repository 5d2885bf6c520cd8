# SPDX-License-Identifier: Apache-2.0
"""The port of the read marks: they show whether an earlier answer of upstream has all that a reader must see."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class ReadMarks:
    """The changes and settlements up to the moment at which the marks were read. All numbers only grow."""

    #: Proxied calls that may have changed what reads show.
    changes: int
    #: For each partition, the number of the last settlement, and of the last one with a write of the client.
    settled: tuple[int, ...] = ()
    settled_of_client: tuple[int, ...] = ()

    def covers(self, reader: "ReadMarks") -> bool:
        """Return whether an answer that was requested after these marks has all that the reader's marks count."""
        if self.changes < reader.changes or len(self.settled) < len(reader.settled_of_client):
            return False
        # As many numbers as the reader has: without a client, it has none.
        return all(number <= ours for ours, number in zip(self.settled, reader.settled_of_client, strict=False))


class ReadMarkStore(Protocol):
    """The marks of all processes. Every method raises ``StoreUnavailable``."""

    def read(self, client: str | None) -> ReadMarks:
        """Return the current marks, with settlements only if there is a client. Fast enough for an event loop."""
        ...

    def note_change(self) -> None:
        """Count a proxied call that may have changed what reads show. May block."""
        ...
