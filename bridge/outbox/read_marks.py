# SPDX-License-Identifier: Apache-2.0
"""The port of the marks that show whether an earlier answer of upstream may lack what a reader must see."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class ReadMarks:
    """What had happened when the marks were read. All numbers only grow."""

    #: Proxied calls that may have changed what reads show.
    changes: int
    #: For each partition, the number of the last settlement, and of the last one with a write of the client.
    settled: tuple[int, ...] = ()
    settled_of_client: tuple[int, ...] = ()

    def covers(self, reader: "ReadMarks") -> bool:
        """Return whether an answer that was requested after these marks has all that the reader's marks count."""
        if self.changes < reader.changes or len(self.settled) < len(reader.settled_of_client):
            return False
        return all(of_client <= ours for ours, of_client in zip(self.settled, reader.settled_of_client, strict=False))


class ReadMarkStore(Protocol):
    """The marks of all processes. Every method raises ``StoreUnavailable``."""

    def read(self, client: str | None) -> ReadMarks:
        """Return the current marks, with settlements only if there is a client. Soon enough for an event loop."""
        ...

    def note_change(self) -> None:
        """Count a proxied call that may have changed what reads show. May block."""
        ...
