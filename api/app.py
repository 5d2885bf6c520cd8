# SPDX-License-Identifier: Apache-2.0
"""Decides who answers a request: the queue, the bridge's own routes, or upstream."""

import asyncio

from api.auth.authentication import Authentication
from api.auth.authorization import OPEN, check_allowed
from api.auth.experiment_scope import ExperimentScope
from api.http.early_response import EarlyResponse
from api.http.error_responses import error_response
from api.http.exceptions import LoopDetected, NotForwarded, TooManyFailures, Unauthenticated
from api.http.paths import check_method, is_own_path
from api.http.request import ReadTimeout, Request
from api.http.response import SendableResponse, with_hsts
from api.http.types import Receive, Scope, Send
from api.intake import bulk, runs
from api.intake.bulk import Bulk
from api.intake.runs import Runs
from api.intake.writes import Writes
from api.middleware.access_log import AccessLog
from api.middleware.rate_limit import RateLimitMiddleware, RejectionDelay
from api.middleware.replay_protection import ReplayProtection
from api.middleware.trusted_hosts import TrustedHosts
from api.proxy.proxy import Proxy
from api.proxy.read_your_writes import ReadYourWrites
from api.routes.app import RoutesApp
from bridge.auth.oidc import IssuerUnavailable
from bridge.bootstrap.processes import Api
from bridge.errors import OverQuota, StoreUnavailable
from schemas.client import UNAUTHENTICATED
from schemas.endpoints import EndpointMatch, is_refused
from schemas.upstream_limits import check_has_call
from schemas.write import Op

#: How long, in seconds, a client may send nothing while its body is not complete; one that is proxied has longer.
_PATIENCE = 30.0


class BridgeApp:
    """The ASGI application (https://asgi.readthedocs.io/en/latest/specs/www.html)."""

    def __init__(self, bridge: Api) -> None:
        self._observe = bridge.observe
        self._tracer = bridge.tracer
        self._instance_id = bridge.instance_id
        self._close = bridge.close
        self._proxies = bridge.settings.trusted_proxies or 0
        self._authentication = Authentication(bridge)
        self._origins = TrustedHosts(bridge.settings)
        self._spending = RateLimitMiddleware(bridge.rate_limits)
        self._restraint = RejectionDelay(bridge.stopping, proxies=self._proxies)
        self._patience = ReadTimeout(seconds=_PATIENCE)
        self._linger = bridge.settings.proxy_timeout.total_seconds()
        self._limits = ExperimentScope(bridge.experiments)
        self._abilities = bridge.abilities
        self._writes = Writes(bridge, self._limits)
        self._once = ReplayProtection(bridge, self._writes)
        self._bulk = Bulk(bridge, self._limits)
        self._runs = Runs(bridge, self._writes, self._limits)
        self._native = RoutesApp(bridge)
        self._proxy = Proxy(bridge, ReadYourWrites(bridge))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        match scope["type"]:
            case "http":
                request = Request(scope, receive, self._patience)
                send = with_hsts(send) if scope["scheme"] == "https" else send
                audit = AccessLog(request, send)
                if self._tracer:
                    request.follow(self._tracer)
                response = await self._respond(request)
                self._spending.leave(request)
                if request.is_sending:
                    response = EarlyResponse(response, request, seconds=self._linger)
                try:
                    await response.send_to(self._spending.telling(request, audit.send))
                finally:
                    self._spending.leave_late(request)
                    told = audit.told(proxies=self._proxies)
                    self._observe(told)
                    if request.span:
                        request.span.end(told)
            case "lifespan":
                await self._live(receive, send)

    async def _respond(self, request: Request) -> SendableResponse:
        try:
            request.check_framing()
            request.check_path()
            if request.bridges:
                await self._check_way(request)
            self._origins.check(request)
            await self._admit(request)
            check_method(request.method)
            if request.client.experiments is not None:
                await self._limits.check(request, request.found)
            return await self._once.answer(request, request.found, self._carry_out)
        except Exception as error:  # noqa: BLE001 - each has its answer
            if isinstance(error, (OverQuota, TooManyFailures)):
                await self._restraint.wait(request)
            return _refusal(error, request)

    async def _carry_out(self, request: Request, found: EndpointMatch | None) -> SendableResponse:
        try:
            if found and found.op and self._is_queued(request, found.op):
                request.route = "queued"
                return await self._writes.accept(found.op, request, found.subject)
            if is_refused(found, request.path):
                request.decision = "denied"
                return _refusal(NotForwarded(), request)
            if request.method == "POST" and request.path in (bulk.PATH, runs.PATH):
                request.route = "queued"
                return await (self._bulk if request.path == bulk.PATH else self._runs).accept(request)
            if is_own_path(request.path):
                request.route = "api"
                return await self._native.respond(request)
            request.route = "proxied"
            return await self._proxied(request, found)
        except Exception as error:  # noqa: BLE001 - each has its answer
            return _refusal(error, request)

    def _is_queued(self, request: Request, op: Op) -> bool:
        """Return whether a write is queued, False for a call that upstream lacks and so has to refuse itself.

        A client who is limited to experiments gets the refusal here: where a write goes is checked as it is queued, and
        upstream may have come to have the call since it was asked.
        """
        abilities = self._abilities
        if request.client.experiments is not None:
            check_has_call(op, abilities.lacks, abilities.limits)
        return op not in abilities.lacks

    async def _proxied(self, request: Request, found: EndpointMatch | None) -> SendableResponse:
        answer = await self._proxy.forward(request)
        if request.client.experiments is not None:
            self._limits.learn(found, answer.beginning)
        return answer

    async def _check_way(self, request: Request) -> None:
        """Raise ``LoopDetected`` for a request that the bridge has sent itself."""
        if (self._instance_id.known or await asyncio.to_thread(self._instance_id.name)) in request.bridges:
            raise LoopDetected

    async def _admit(self, request: Request) -> None:
        """Note who asks, or raise if nobody knows or he may not. What is open is told to strangers, too."""
        try:
            request.client = await self._authentication.client_of(request)
        except (Unauthenticated, TooManyFailures, IssuerUnavailable, StoreUnavailable):
            if request.path not in OPEN:
                raise
        if request.client is not UNAUTHENTICATED:
            request.decision = "rate_limited"
        # Refusals are counted, too.
        self._spending.enter(request)
        check_allowed(request.client, request)

    async def close(self) -> None:
        """Let go of what it holds, on the loop that it has run on."""
        await self._proxy.close()
        await asyncio.to_thread(self._close)

    async def _live(self, receive: Receive, send: Send) -> None:
        """Start and stop with the server. Only upstream is asked before it is used, in a thread."""
        await receive()
        self._abilities.start()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self.close()
        await send({"type": "lifespan.shutdown.complete"})


def _refusal(error: Exception, request: Request) -> SendableResponse:
    client = request.client.name
    return error_response(error, method=request.method, path=request.path, request_id=request.request_id, client=client)
