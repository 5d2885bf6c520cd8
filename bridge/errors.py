# SPDX-License-Identifier: Apache-2.0
"""States of the world that stop a piece of work. Foreign exceptions are translated to these where they arise."""

from typing import Literal


class BridgeError(Exception):
    """Base of all errors of the bridge."""


class InvalidSettings(BridgeError):
    """A setting is missing, unknown or unreadable; the text says which, and what to write instead."""


class CannotStart(BridgeError):
    """The system can't be started on this machine; the text says why and what to do."""


class StoreUnavailable(BridgeError):
    """The store did not answer, or answered that it can't serve; whether it took a write is not known."""


class OverCap(BridgeError):
    """A write would exceed what may wait: of its run, of its client, or in the whole store. Nothing was stored.

    ``most``: it is larger alone than these bytes, all that may wait, so it can't be taken later either.
    """

    def __init__(self, cap: Literal["lane", "client", "store"], most: int | None = None) -> None:
        super().__init__(cap)
        self.cap = cap
        self.most = most


class OverQuota(BridgeError):
    """A client has used up what it may use a second. ``wait``: for so many seconds."""

    def __init__(self, client: str, use: str, rate: float, *, wait: float) -> None:
        unit = "bytes of bodies" if use == "bytes" else use
        super().__init__(f"The client '{client}' may use {rate:g} {unit} a second, and has used more")
        self.wait = wait


class LeaseLost(BridgeError):
    """Another worker has claimed the lane since; nothing was changed, and the work in hand must be dropped."""


class UpstreamUnreachable(BridgeError):
    """No connection to upstream could be made, or it broke before an answer came."""


class UpstreamTimeout(UpstreamUnreachable):
    """Upstream took the request and did not answer in time."""


class ExperimentUnknown(BridgeError):
    """Which experiment something belongs to can't be found out now; the text says why."""


class CredentialsUnavailable(BridgeError):
    """No AWS credentials could be had to sign with; ``denied`` where AWS does not allow those that were asked for."""

    def __init__(self, reason: str, *, denied: bool = False) -> None:
        super().__init__(reason)
        self.denied = denied


class UpstreamDenied(BridgeError):
    """Upstream knows the bridge, and does not allow it this call."""


class RequestIncomplete(BridgeError):
    """The client's body ended before the length that it had announced."""


class RequestStalled(BridgeError):
    """The client stopped in the middle of its body."""
