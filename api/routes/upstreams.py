# SPDX-License-Identifier: Apache-2.0
"""``/v1/upstreams``: the upstream, its failed calls, a probe, and the pause of its deliveries."""

from collections.abc import Callable
from itertools import islice

from flask import Response, abort

from api.http.routing import Route
from api.routes.context import client, request_id
from api.routes.json_bodies import json_body, json_response, query_of
from bridge.events import DeliveriesPaused, DeliveriesResumed, Observer
from bridge.process.clock import Clock
from bridge.telemetry.call_log import CallLog
from bridge.upstream.flow_control import FlowControl
from bridge.upstream.identity import UpstreamIdentity
from schemas.endpoints import ExperimentRule
from schemas.upstream import FailurePage, FailureQuery, PauseOrder, ProbeDocument, UpstreamDocument, Upstreams

_PATH = "/v1/upstreams"
_EXPECTED = 'a JSON body such as {"paused": true, "why": "MLflow is upgraded"}'


class UpstreamRoutes:
    """Serves the upstream of this bridge."""

    def __init__(
        self,
        identity: UpstreamIdentity,
        flow_control: FlowControl,
        call_log: CallLog,
        probe: Callable[[], ProbeDocument],
        clock: Clock,
        observe: Observer,
    ) -> None:
        """``probe`` returns within a bounded time."""
        self._identity = identity
        self._flow_control = flow_control
        self._call_log = call_log
        self._probe = probe
        self._clock = clock
        self._observe = observe

    @Route(
        "GET",
        _PATH,
        summary="The upstreams, and how their calls go",
        action="GetUpstream",
        experiments=ExperimentRule.HARMLESS,
        is_polled=True,
        answers={200: Upstreams, 304: None},
    )
    def list_upstreams(self) -> Response:
        """Return the one upstream of this bridge."""
        return json_response(Upstreams([self._document()]))

    @Route(
        "GET",
        f"{_PATH}/<upstream_id>/failures",
        summary="The latest failed calls to an upstream, the newest first",
        action="GetUpstream",
        query=("cursor", "limit"),
        is_polled=True,
        answers={200: FailurePage, 304: None},
        problems=(404,),
    )
    def failures(self, upstream_id: str) -> Response:
        """Return a page of the latest failed calls."""
        self._check(upstream_id)
        query = query_of(FailureQuery)
        older = (each for each in self._call_log.failures() if not query.cursor or each.id < query.cursor)
        # Read one more than a page holds, to know whether another page follows.
        failures = list(islice(older, query.limit + 1))
        page = failures[: query.limit]
        return json_response(FailurePage(failures=page, next=page[-1].id if len(failures) > len(page) else None))

    @Route(
        "POST",
        f"{_PATH}/<upstream_id>/probe",
        summary="Check the way to an upstream, step by step",
        action="ManageUpstream",
        answers={200: ProbeDocument},
        problems=(404,),
    )
    def probe(self, upstream_id: str) -> Response:
        """Return the result of each check. A pause or an open breaker withholds none of them."""
        self._check(upstream_id)
        return json_response(self._probe())

    @Route(
        "PUT",
        f"{_PATH}/<upstream_id>/pause",
        summary="Pause the deliveries to an upstream, or resume them",
        action="ManageUpstream",
        body=PauseOrder,
        answers={200: UpstreamDocument},
        problems=(404, 413, 415),
    )
    def pause(self, upstream_id: str) -> Response:
        """Pause or resume. A call that is in flight is completed."""
        self._check(upstream_id)
        order = json_body(PauseOrder, expected=_EXPECTED)
        if order.paused:
            self._pause(order)
        else:
            self._flow_control.resume()
            self._observe(DeliveriesResumed(client=client().name, request_id=request_id()))
        return json_response(self._document())

    def _pause(self, order: PauseOrder) -> None:
        why, until = " ".join(order.why.split()), order.until
        if not why:
            abort(400, "A pause needs a reason in `why`, for those who wonder why nothing arrives.")
        if until and until <= self._clock.now():
            abort(400, "`until` must lie in the future.")
        self._flow_control.pause(why=why, by=client().name, until=until)
        self._observe(DeliveriesPaused(client=client().name, why=why, until=until, request_id=request_id()))

    def _document(self) -> UpstreamDocument:
        state = self._flow_control.state()
        return UpstreamDocument(
            id=self._identity.id,
            name=self._identity.name,
            kind=self._identity.kind,
            region=self._identity.region,
            gate=state.document(),
            trips=state.trips,
            failures=state.failures,
            outcomes=self._call_log.outcomes(),
        )

    def _check(self, upstream_id: str) -> None:
        if upstream_id != self._identity.id:
            abort(404, f"There is no such upstream. `GET {_PATH}` lists them.")
