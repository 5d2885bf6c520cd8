# SPDX-License-Identifier: Apache-2.0
"""The ASGI application: the order of the stages that each request passes, nothing else."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from api.admission import Admission
from api.handler import RequestHandler, respond_to_error
from api.http.early_response import EarlyResponse
from api.http.exceptions import TooManyFailures, Unauthenticated
from api.http.record import RequestRecord
from api.http.request import ReadTimeout, Request
from api.http.response import Response, SendableResponse, with_hsts
from api.http.routing import RouteTable
from api.http.types import Receive, Scope, Send
from api.middleware.access_log import AccessLog
from api.middleware.rate_limit import RejectionDelay, RequestCharge
from api.middleware.replay_protection import ReplayProtection
from bridge.auth.rate_limits import RateLimits
from bridge.errors import OverQuota
from bridge.events import Observer
from bridge.upstream.tracing import Tracer


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifecycle:
    """The callbacks at the start and at the end of the process. All may block."""

    start: tuple[Callable[[], None], ...]
    close: Callable[[], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class BridgeApp:
    """The ASGI application (https://asgi.readthedocs.io/en/latest/specs/www.html)."""

    routes: RouteTable
    admission: Admission
    replay_protection: ReplayProtection
    handler: RequestHandler
    rate_limits: RateLimits
    rejection_delay: RejectionDelay
    read_timeout: ReadTimeout
    #: How long the connection of an early response stays open.
    early_response_timeout_s: float
    #: The number of trusted proxies in front.
    trusted_proxies: int
    #: Replaces a 401 by a response that browsers understand, such as a redirect to the sign-in page.
    unauthenticated: Callable[[Request, Response], Response]
    observe: Observer
    tracer: Tracer | None
    lifecycle: Lifecycle

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        await self._serve(scope, receive, send)

    def start(self) -> None:
        """Run what comes before the first request."""
        for start in self.lifecycle.start:
            start()

    async def close(self) -> None:
        """Release all connections, on the event loop of the application."""
        await self.handler.proxy.close()
        await asyncio.to_thread(self.lifecycle.close)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive, routes=self.routes, read_timeout=self.read_timeout)
        record, charge = RequestRecord(), RequestCharge(request, self.rate_limits)
        log = AccessLog(request, with_hsts(send) if scope["scheme"] == "https" else send)
        if self.tracer:
            request.start_span(self.tracer)
        response = await self._respond(request, record, charge)
        charge.charge(record.writes)
        if request.is_sending:
            response = EarlyResponse(response, request, timeout_s=self.early_response_timeout_s)
        try:
            await response.send_to(charge.with_rate_limit_fields(log.send))
        finally:
            charge.charge_late_bytes()
            event = log.event(record, trusted_proxies=self.trusted_proxies)
            self.observe(event)
            if request.span:
                request.span.end(event)

    async def _respond(self, request: Request, record: RequestRecord, charge: RequestCharge) -> SendableResponse:
        try:
            self.handler.switch.switch(request)
            await self.admission.admit(request, record, charge)
            return await self.replay_protection.run(request, record, self.handler.handle)
        except Exception as error:  # noqa: BLE001 - each has its response
            if isinstance(error, (OverQuota, TooManyFailures)):
                await self.rejection_delay.wait(request)
            response = respond_to_error(error, request, record)
            return self.unauthenticated(request, response) if isinstance(error, Unauthenticated) else response
