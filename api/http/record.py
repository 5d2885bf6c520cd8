# SPDX-License-Identifier: Apache-2.0
"""The record of a request for the access log. The stages of the api fill it in."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from api.http.exceptions import CrossSiteRequest, Forbidden, NotForwarded, NotOnConsoleHost
from bridge.errors import ExperimentUnknown, OverQuota
from bridge.events import GatewayUse
from bridge.outbox import Accepted

RequestRoute = Literal["queued", "api", "proxied", "rejected"]


@dataclass(slots=True)
class RequestRecord:
    """One request: its route, permission and outcome. Intake adds the writes that it has stored."""

    #: What responds: the queue, a route of the bridge's own, upstream, or none of them.
    route: RequestRoute = "rejected"
    #: The action that the client needs; None for an open path.
    action: str | None = None
    #: Whether authentication and authorization have let the request in.
    is_admitted: bool = False
    #: The error that it ended with.
    error: Exception | None = None
    #: A single write that was accepted, and how many new writes were.
    accepted: Accepted | None = None
    writes: int = 0
    #: Returns what a call of MLflow's AI Gateway has used, once its response has been sent.
    gateway_use: Callable[[], GatewayUse | None] | None = None

    @property
    def decision(self) -> str:
        """``allowed``, ``denied``, ``rate_limited`` or ``unauthenticated``."""
        match self.error:
            case OverQuota():
                return "rate_limited"
            case Forbidden() | NotForwarded() | NotOnConsoleHost() | CrossSiteRequest() | ExperimentUnknown():
                return "denied"
        return "allowed" if self.is_admitted else "unauthenticated"

    def fail(self, error: Exception) -> None:
        """Note the error that the request ends with."""
        self.error = error
        if isinstance(error, Forbidden):
            self.action = error.action
