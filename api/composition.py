# SPDX-License-Identifier: Apache-2.0
"""Composition of the api: `create_app` builds the ASGI application and all that it uses, for a server process."""

import datetime as dt
from pathlib import Path

from api.action_modes import ActionSwitch
from api.admission import Admission
from api.app import BridgeApp, Lifecycle
from api.auth.experiment_scope import ExperimentScope
from api.handler import RequestHandler
from api.http.polling import BlockingPoll
from api.http.request import ReadTimeout
from api.http.routing import views_of
from api.intake.batching import WriteBatcher
from api.intake.bulk import BulkReader, BulkWrites
from api.intake.reading import WriteReader
from api.intake.runs import RunCreations
from api.intake.writes import Jobs, WriteResponses, Writes
from api.middleware.rate_limit import RejectionDelay
from api.middleware.replay_protection import ReplayProtection
from api.middleware.trusted_hosts import TrustedHosts
from api.portal.composition import Portal
from api.portal.console_files import CONSOLE_DIRECTORY, ConsoleFiles
from api.proxy.answers import BoundedForwarding
from api.proxy.bodies import Bodies
from api.proxy.overlay import OverlaidReads
from api.proxy.proxy import Proxy
from api.proxy.read_your_writes import ReadYourWrites
from api.proxy.shared_reads import SharedReads
from api.proxy.static_files import StaticFiles
from api.proxy.write_order import WriteOrder
from api.routes.app import RoutesApp, create_flask_app
from api.routes.audit import AuditRoutes
from api.routes.backlog import BacklogRoutes
from api.routes.client_keys import KeyRoutes
from api.routes.clients import ClientRoutes
from api.routes.dead_letters import DeadLetterRoutes
from api.routes.drains import DrainRoutes
from api.routes.jobs import JobRoutes
from api.routes.monitoring import HealthRoutes, MetricsRoutes, ReadinessCheck
from api.routes.openapi import OpenApiRoutes
from api.routes.operations import LaneRoutes, OverviewRoutes
from api.routes.own import PersonalRoutes
from api.routes.runs import RunRoutes
from api.routes.sessions import OperatorSessionRoutes
from api.routes.table import ROUTES
from api.routes.upstreams import UpstreamRoutes
from api.routes.usage import UsageRoutes
from bridge.auth.administration import Administration
from bridge.auth.permissions import Actions
from bridge.auth.token_budgets import TokenBudgets
from bridge.bootstrap.processes import Api
from bridge.doctor.probe import UpstreamProbe
from bridge.operations.overview import Limits
from bridge.operations.recent_state import RecentState
from bridge.outbox.recent_totals import RecentTotals
from bridge.process.garbage_collection import exempt_existing_objects
from bridge.upstream.identity import identity_of

#: How long a client may send nothing in the middle of a body. A proxied body has BRIDGE_PROXY_TIMEOUT.
_READ_TIMEOUT_S = 30.0
#: How long a proxied write waits for the queued ones before it. MLflow's client waits for two minutes.
_WRITE_ORDER_TIMEOUT = dt.timedelta(seconds=20)


def create_app(bridge: Api, *, console_directory: Path = CONSOLE_DIRECTORY) -> BridgeApp:
    """Return the ASGI application of this bridge, with the build of the console in this directory."""
    settings, trusted_proxies = bridge.settings, bridge.settings.trusted_proxies or 0
    experiments = ExperimentScope(bridge.experiments)
    portal = Portal(bridge, ROUTES, console=ConsoleFiles(console_directory))
    handler = _handler(bridge, experiments, portal)
    return BridgeApp(
        routes=ROUTES,
        admission=Admission(
            instance_id=bridge.instance_id,
            trusted_hosts=TrustedHosts(settings),
            authentication=portal.authentication,
            experiments=experiments,
            token_budgets=TokenBudgets(bridge.clients.usage, bridge.clock),
        ),
        replay_protection=ReplayProtection(
            bridge.clients.replay_cache,
            bridge.outbox,
            bridge.clock,
            bridge.observe,
            max_body_bytes=settings.longest_body,
            respond_to_repeat=handler.write_responses.respond,
        ),
        handler=handler,
        rate_limits=bridge.rate_limits,
        rejection_delay=RejectionDelay(bridge.stopping, trusted_proxies=trusted_proxies),
        read_timeout=ReadTimeout(seconds=_READ_TIMEOUT_S),
        early_response_timeout_s=settings.proxy_timeout.total_seconds(),
        trusted_proxies=trusted_proxies,
        unauthenticated=portal.unauthenticated,
        observe=bridge.observe,
        tracer=bridge.tracer,
        # The start reads upstream's version in a thread. All else is read when it is needed.
        lifecycle=Lifecycle(start=(bridge.capabilities.start, exempt_existing_objects), close=bridge.close),
    )


def _handler(bridge: Api, experiments: ExperimentScope, portal: Portal) -> RequestHandler:
    settings, stopping = bridge.settings, bridge.stopping
    jobs = Jobs(bridge.outbox, stopping)
    reader = WriteReader(bridge.clock, bridge.capabilities, max_body_bytes=settings.longest_body)
    writes = Writes(reader, WriteBatcher(bridge.intake), experiments, stopping)
    switch = ActionSwitch(settings.action_modes or {})
    bulk_reader = BulkReader(bridge.clock, bridge.capabilities, switch, max_body_bytes=settings.max_body_size)
    loop_views = views_of(
        BulkWrites(bulk_reader, bridge.intake, bridge.names, experiments, stopping),
        RunCreations(writes, jobs, bridge.names, experiments),
        *portal.loop_routes,
    )
    return RequestHandler(
        writes=writes,
        write_responses=WriteResponses(jobs, reader, bridge.forwarding),
        loop_views=dict(loop_views),
        origins=portal.origins,
        routes_app=_routes_app(bridge, portal),
        proxy=_proxy(bridge),
        capabilities=bridge.capabilities,
        experiments=experiments,
        switch=switch,
        write_order=WriteOrder(
            reader,
            bridge.outbox,
            experiments,
            stopping,
            max_body_bytes=settings.longest_body,
            timeout=_WRITE_ORDER_TIMEOUT,
        ),
    )


def _routes_app(bridge: Api, portal: Portal) -> RoutesApp:
    settings, letters, investigation = bridge.settings, bridge.dead_letters.letters, bridge.investigation
    # A quarter of the threads never waits for a job.
    poll = BlockingPoll(max_concurrent=max(1, settings.api_threads * 3 // 4), stopping=bridge.stopping)
    readiness = ReadinessCheck(
        outbox=bridge.outbox,
        flow_control=bridge.flow_control,
        dispatch=bridge.dispatch,
        upstream=bridge.upstream,
        stopping=bridge.stopping,
        action_modes=settings.action_modes or {},
    )
    recent = RecentState(bridge.operations.snapshots, bridge.operations.series, bridge.clock)
    flask = create_flask_app(
        JobRoutes(bridge.outbox, letters, investigation.job_search, poll),
        RunRoutes(bridge.outbox, bridge.names, letters, poll),
        BacklogRoutes(bridge.outbox, bridge.flow_control),
        OverviewRoutes(recent, bridge.operations.snapshots, _overview_limits(bridge)),
        LaneRoutes(bridge.operations.lanes, bridge.dispatch),
        DeadLetterRoutes(bridge.dead_letters, RecentTotals(letters, bridge.clock), investigation.replay_conflicts),
        DrainRoutes(bridge.dead_letters.log),
        HealthRoutes(readiness),
        MetricsRoutes(bridge.outbox, bridge.flow_control, bridge.operations.counters, bridge.clock),
        PersonalRoutes(bridge.outbox, bridge.flow_control, bridge.api_keys, calls_per_second=settings.calls_per_second),
        *_administration_routes(bridge),
        OperatorSessionRoutes(bridge.browsers.sessions, portal.session_authentication.end, bridge.observe),
        UpstreamRoutes(
            identity_of(settings.upstream),
            bridge.flow_control,
            bridge.operations.call_log,
            UpstreamProbe(settings, bridge.clock).run,
            bridge.clock,
            bridge.observe,
        ),
        UsageRoutes(bridge.clients.usage, bridge.clock),
        OpenApiRoutes(ROUTES, reference_page=portal.reference_page),
        on_change=recent.forget,
    )
    return RoutesApp(flask, threads=settings.api_threads, max_body_bytes=settings.max_body_size)


def _overview_limits(bridge: Api) -> Limits:
    settings = bridge.settings
    return Limits(
        calls_per_second=settings.calls_per_second,
        max_store=settings.max_store,
        max_write_age=settings.max_write_age,
        denial_grace=settings.denial_grace,
    )


def _administration_routes(bridge: Api) -> tuple[object, ...]:
    administration = Administration(bridge.api_keys, bridge.clock)
    actions = Actions((route.rule, route.experiments) for route in ROUTES if route.rule)
    return (
        ClientRoutes(
            administration=administration,
            actions=actions,
            activities=bridge.clients.activities,
            default_quota=bridge.rate_limits.default,
            max_pending=bridge.settings.max_pending_client,
            clock=bridge.clock,
        ),
        KeyRoutes(
            administration=administration,
            actions=actions,
            clock=bridge.clock,
            accepts_signatures="sigv4" in (bridge.settings.auth or ()),
        ),
        AuditRoutes(bridge.clients.audit),
    )


def _proxy(bridge: Api) -> Proxy:
    settings, forwarding = bridge.settings, BoundedForwarding(bridge.forwarding)
    shared_reads = SharedReads(forwarding, bridge.read_marks, bridge.observe)
    return Proxy(
        forwarding,
        Bodies(bridge.forwarding, read_timeout=settings.proxy_timeout),
        ReadYourWrites(
            bridge.outbox,
            bridge.fast_outbox,
            bridge.flow_control,
            bridge.stopping,
            timeout=settings.read_your_writes_timeout,
        ),
        shared_reads,
        OverlaidReads(shared_reads, bridge.outbox),
        StaticFiles(lambda: bridge.capabilities.version, bridge.observe),
        bridge.read_marks,
        uses_client_sessions=settings.uses_client_sessions,
    )
