# SPDX-License-Identifier: Apache-2.0
"""Handles an admitted request: the queue, a route of the bridge's own, or upstream responds to it."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from api.action_modes import ActionSwitch
from api.auth.experiment_scope import ExperimentScope
from api.http.error_responses import FailedRequest, error_response
from api.http.exceptions import NotForwarded, NotOnConsoleHost
from api.http.record import RequestRecord, RequestRoute
from api.http.request import Request
from api.http.response import Response, SendableResponse
from api.http.routing import Route
from api.intake.writes import WriteResponses, Writes
from api.portal.browser_origins import BrowserOrigins
from api.portal.security_headers import check_not_loaded_as_code
from api.proxy.proxy import Proxy
from api.proxy.write_order import WriteOrder
from api.routes.app import RoutesApp
from bridge.upstream.capabilities import UpstreamCapabilities
from schemas.endpoints import EndpointMatch, is_refused
from schemas.upstream_limits import check_has_call
from schemas.write import Op

#: Serves a route of the bridge's own on the event loop.
LoopView = Callable[[Request, RequestRecord], Awaitable[SendableResponse]]


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestHandler:
    """Chooses what responds to a request."""

    writes: Writes
    write_responses: WriteResponses
    #: The views of routes that queue writes, and of all other routes that Flask does not serve.
    loop_views: Mapping[Route, LoopView]
    origins: BrowserOrigins
    routes_app: RoutesApp
    proxy: Proxy
    capabilities: UpstreamCapabilities
    experiments: ExperimentScope
    switch: ActionSwitch
    write_order: WriteOrder

    async def handle(self, request: Request, record: RequestRecord) -> SendableResponse:
        """Return the response, also for an error. Never raises."""
        try:
            self.switch.check(request)
            record.route = self._route(request)
            match record.route:
                case "queued":
                    return await self._queue(request, record)
                case "api":
                    return await self._serve(request, record)
            return await self._forward(request, record)
        except Exception as error:  # noqa: BLE001 - each has its response
            return respond_to_error(error, request, record)

    def _route(self, request: Request) -> RequestRoute:
        if request.is_own:
            return "queued" if request.is_write else "api"
        if self.origins.is_console(request):
            raise NotOnConsoleHost
        check_not_loaded_as_code(request)
        match = request.endpoint_match
        if match and match.op and self._is_queued(request, match.op):
            return "queued"
        if is_refused(match, request.path):
            raise NotForwarded
        return "proxied"

    def _is_queued(self, request: Request, op: Op) -> bool:
        """Return whether a write is queued. A call that upstream lacks is not: upstream's own error is forwarded.

        A client that is limited to experiments gets an error here instead: a forwarded write would not be checked, and
        upstream may have the call by now.
        """
        if request.client.experiments is not None:
            check_has_call(op, self.capabilities.lacks, self.capabilities.limits)
        return op not in self.capabilities.lacks

    async def _serve(self, request: Request, record: RequestRecord) -> SendableResponse:
        view = self.loop_views.get(request.own_route) if request.own_route else None
        return await (view(request, record) if view else self.routes_app.respond(request))

    async def _queue(self, request: Request, record: RequestRecord) -> SendableResponse:
        if request.own_route:
            return await self.loop_views[request.own_route](request, record)
        match request.endpoint_match:
            case EndpointMatch(op=Op() as op, path_parameter=path_parameter):
                accepted, write = await self.writes.accept(op, request, record, path_parameter)
                return await self.write_responses.respond(op, request, accepted, write)
        raise AssertionError(request.path)

    async def _forward(self, request: Request, record: RequestRecord) -> SendableResponse:
        if request.switched_op:
            # A setting makes this write a proxied one. It goes after the queued writes of its lane.
            await self.write_order.wait(request.switched_op, request)
        response = await self.proxy.forward(request)
        if response.gateway_call:
            record.gateway_use = response.gateway_call.use
        if request.client.experiments is not None:
            # The response to a creation of a run names its experiment, which saves a look-up.
            self.experiments.learn(request.endpoint_match, response.first)
        return response


def respond_to_error(error: Exception, request: Request, record: RequestRecord) -> Response:
    """Note the error that a request ends with, and return the response to it."""
    record.fail(error)
    failed = FailedRequest(
        method=request.method,
        path=request.path,
        is_own=request.is_own,
        request_id=request.request_id,
        client=request.client.name,
    )
    return error_response(error, failed)
