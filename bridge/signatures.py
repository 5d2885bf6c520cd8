# SPDX-License-Identifier: Apache-2.0
"""The port to the signatures that have been used: what was signed once is carried out once."""

import datetime as dt
from typing import Protocol


class Signatures(Protocol):
    """What came of signed requests, for all api processes. Every method raises ``StoreUnavailable``."""

    def begin(self, signature: str, *, lease: dt.timedelta) -> bytes | None:
        """Note that a request is under way, and return None; or return what is noted of an equal one already.

        That is ``UNDER_WAY`` until it is over; so long, at most, as the lease lasts.
        """
        ...

    def finish(self, signature: str, outcome: bytes, *, keep: dt.timedelta) -> None:
        """Note what came of it; kept until the signature does not count any more."""
        ...

    def forget(self, signature: str) -> None:
        """Note that nothing came of it: it may be sent again."""
        ...


#: Noted of a request that is being carried out.
UNDER_WAY = b"..."
