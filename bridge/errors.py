# SPDX-License-Identifier: Apache-2.0
"""Exceptions of the bridge. Adapters translate the exceptions of libraries into these."""

import os
from typing import Literal

#: The exit status of a process that no restart can help: its configuration must change first (sysexits.h).
EX_CONFIG = os.EX_CONFIG


class BridgeError(Exception):
    """Base of all errors of the bridge."""

    #: The exit status of a process that ends with this error.
    exit_status = 1


class InvalidSettings(BridgeError):
    """A setting is missing, unknown or invalid. The text names the setting and a valid value."""

    exit_status = EX_CONFIG


class CannotStart(BridgeError):
    """The bridge can't be started. The text names the cause and the remedy.

    ``retryable``: a later start can succeed with the same settings.
    """

    def __init__(self, reason: str, *, retryable: bool = False) -> None:
        super().__init__(reason)
        self.exit_status = 1 if retryable else EX_CONFIG


class StoreUnavailable(BridgeError):
    """The store did not respond, or can't serve. Whether it has executed a write is unknown."""


class OverCap(BridgeError):
    """A write exceeds the cap on pending bytes of its run, its client or the store. Nothing was stored.

    ``max_bytes`` is set to the cap in bytes if the write alone exceeds it, so that a retry can't succeed.
    """

    def __init__(self, cap: Literal["lane", "client", "store"], max_bytes: int | None = None) -> None:
        super().__init__(cap)
        self.cap = cap
        self.max_bytes = max_bytes


class OverQuota(BridgeError):
    """A client has exceeded its rate limit. ``wait`` is the number of seconds until a retry can succeed."""

    def __init__(self, client: str, use: str, rate: float, *, wait: float) -> None:
        unit = "bytes of bodies" if use == "bytes" else use
        super().__init__(f"The client '{client}' has exceeded its limit of {rate:g} {unit} a second")
        self.wait = wait


class TokensUsedUp(OverQuota):
    """A client has used its tokens of the day. ``wait`` is the number of seconds until the next day in UTC."""

    def __init__(self, client: str, *, used: int, limit: int, wait: float) -> None:
        BridgeError.__init__(self, f"The client '{client}' has used {used} of its {limit} tokens of this day (UTC)")
        self.wait = wait


class LeaseLost(BridgeError):
    """Another worker has claimed the lane since. Nothing was changed, and the current work must be dropped."""


class UpstreamUnreachable(BridgeError):
    """No connection to upstream could be made, or it ended before a response."""


class UpstreamTimeout(UpstreamUnreachable):
    """Upstream did not respond in time."""


class ExperimentUnknown(BridgeError):
    """The experiment of a run, model or trace can't be looked up now. The text names the cause."""


class CredentialsUnavailable(BridgeError):
    """No AWS credentials are available to sign with. ``denied``: AWS denies the requested role session."""

    def __init__(self, reason: str, *, denied: bool = False) -> None:
        super().__init__(reason)
        self.denied = denied


class SecretNotStored(BridgeError):
    """AWS Secrets Manager has not stored a value. The text names the secret and the cause, never the value."""


class UpstreamDenied(BridgeError):
    """Upstream denies the bridge this call."""


class RequestIncomplete(BridgeError):
    """The client's body ended before its announced length."""


class RequestStalled(BridgeError):
    """The client stopped sending in the middle of its body."""
