# SPDX-License-Identifier: Apache-2.0
"""The composition root: builds the parts of an api or worker process. Connections are opened on first use."""

import datetime as dt
import threading
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from typing import NamedTuple

from redis import Redis

from bridge.auth.api_keys import ApiKeyStore
from bridge.auth.experiment_scope import ExperimentLookup
from bridge.auth.rate_limits import RateLimits
from bridge.bootstrap.auth import (
    BrowserSignIn,
    ClientStores,
    TokenVerifiers,
    build_browser_sign_in,
    build_client_stores,
    build_token_verifiers,
)
from bridge.bootstrap.operations import Operations, build_flow_control, build_operations
from bridge.config.settings import Settings
from bridge.delivery.deliverer import Deliverer, Timing
from bridge.delivery.fault_isolation import OutcomePolicy
from bridge.delivery.replay_conflicts import ReplayConflicts
from bridge.delivery.run_creation import RunCreation
from bridge.delivery.run_order import RunOrder
from bridge.delivery.sweeper import SWEEP_INTERVAL, Sweeper
from bridge.dispatch import Dispatch
from bridge.dispatch.celery_dispatch import CeleryDispatch
from bridge.errors import CannotStart
from bridge.events import Observer
from bridge.operations.workers import WorkerActivity, WorkerReports
from bridge.outbox import Caps, Outbox, RunNames
from bridge.outbox.dead_letters import DeadLetterService
from bridge.outbox.intake import Intake
from bridge.outbox.job_search import JobSearch
from bridge.outbox.read_marks import ReadMarkStore
from bridge.process.clock import Clock, SystemClock
from bridge.redis_store.client import disconnect
from bridge.redis_store.dead_letters import RedisDeadLetters
from bridge.redis_store.drain_log import RedisDrainLog
from bridge.redis_store.instance_key import RedisInstanceId
from bridge.redis_store.job_search import RedisJobSearch
from bridge.redis_store.outbox import RedisOutbox, connect
from bridge.redis_store.rate_limits import RedisRateLimitStore
from bridge.redis_store.read_marks import RedisReadMarks
from bridge.redis_store.run_lookups import RedisExperimentMemory, RedisRunNames
from bridge.redis_store.worker_reports import RedisWorkerReports
from bridge.telemetry.observers import Observers, Records
from bridge.upstream import Upstream
from bridge.upstream.capabilities import UpstreamCapabilities
from bridge.upstream.factory import build_forwarding, build_upstream
from bridge.upstream.flow_control import FlowControl
from bridge.upstream.forwarding import Forwarding
from bridge.upstream.loop_detection import InstanceId
from bridge.upstream.sender import UpstreamSender
from bridge.upstream.tracing import Tracer
from schemas.client import Quota

#: Clients wait for intake, so an unavailable store must be noticed soon. A worker can wait longer.
_INTAKE_STORE_TIMEOUT = dt.timedelta(seconds=1)
#: The event loop may block for this long. A thread then repeats the operation with a longer timeout.
_FAST_STORE_TIMEOUT = dt.timedelta(milliseconds=100)
#: For writes of many megabytes, which the store writes to disk before it responds.
_BULK_STORE_TIMEOUT = dt.timedelta(seconds=5)
_WORKER_STORE_TIMEOUT = dt.timedelta(seconds=5)
#: For lookups in upstream, during which a client waits.
_LOOKUP_TIMEOUT = dt.timedelta(seconds=5)
_BROKER_TIMEOUT = dt.timedelta(seconds=1)
#: Connections of a process for its background threads.
_SPARE_CONNECTIONS = 8
_MIN_IDEMPOTENCY_TTL = dt.timedelta(hours=24)


@dataclass(frozen=True, slots=True, kw_only=True)
class Investigation:
    """The look-ups of single writes, for operators."""

    job_search: JobSearch
    replay_conflicts: ReplayConflicts


@dataclass(frozen=True, slots=True, kw_only=True)
class Api:
    """The collaborators of the api. Setting ``stopping`` makes it reject new writes and stop waiting."""

    settings: Settings
    clock: Clock
    outbox: Outbox
    #: The same outbox with a timeout that is short enough for use on an event loop.
    fast_outbox: Outbox
    upstream: Upstream
    forwarding: Forwarding
    instance_id: InstanceId
    flow_control: FlowControl
    dispatch: Dispatch
    intake: Intake
    dead_letters: DeadLetterService
    investigation: Investigation
    names: RunNames
    experiments: ExperimentLookup
    capabilities: UpstreamCapabilities
    clients: ClientStores
    rate_limits: RateLimits
    tokens: TokenVerifiers
    browsers: BrowserSignIn
    operations: Operations
    read_marks: ReadMarkStore
    observe: Observer
    #: Reports the background threads of this process from now on. Called once per process.
    report_threads: Callable[[], None]
    #: None if tracing is off.
    tracer: Tracer | None
    stopping: threading.Event
    #: Flushes buffered events and closes the connections to the store. Called at the end of the process; may block.
    close: Callable[[], None]

    @property
    def api_keys(self) -> ApiKeyStore:
        """The clients and their keys."""
        return self.clients.api_keys


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """The parts of a worker process. Setting ``stopping`` ends deliveries after the current call."""

    settings: Settings
    outbox: Outbox
    delivery: Deliverer
    sweep: Sweeper
    dead_letters: DeadLetterService
    activity: WorkerActivity
    worker_reports: WorkerReports
    operations: Operations
    observe: Observer
    #: Reports the background threads of this process from now on. Called once per process.
    report_threads: Callable[[], None]
    stopping: threading.Event
    #: Flushes buffered events and closes the connections to the store, as that of `Api`.
    close: Callable[[], None]


def build_api(settings: Settings) -> Api:
    """Return the parts of an api process, or raise ``CannotStart``."""
    settings.network.check()
    clock, stopping, connections = SystemClock(), threading.Event(), _api_connections(settings)
    client = connections.default
    client_stores, operations = build_client_stores(settings, client), build_operations(settings, client, clock)
    observe = _observers(settings, client_stores, operations)
    outbox, fast, bulk = (_outbox(settings, connection, observe) for connection in connections)
    dispatch = CeleryDispatch(settings.broker, observe=observe, timeout=_BROKER_TIMEOUT)
    lookup_sender = _lookup_sender(settings, client, clock, observe, stopping)
    instance_id, tracer = RedisInstanceId(client), _tracer(settings, "api")
    upstream = build_upstream(settings, clock, instance_id)
    return Api(
        settings=settings,
        clock=clock,
        outbox=outbox,
        fast_outbox=fast,
        upstream=upstream,
        forwarding=build_forwarding(settings, clock, instance_id),
        instance_id=instance_id,
        flow_control=build_flow_control(settings, client),
        dispatch=dispatch,
        intake=Intake(fast_outbox=fast, outbox=outbox, bulk_outbox=bulk, dispatch=dispatch, observe=observe),
        dead_letters=_dead_letter_service(settings, client, dispatch, clock, observe),
        investigation=_investigation(settings, client, outbox, lookup_sender),
        names=_run_names(settings, client),
        experiments=_experiments(settings, client, clock, lookup_sender),
        capabilities=_capabilities(settings, upstream, observe, stopping),
        clients=client_stores,
        rate_limits=_rate_limits(settings, client, observe),
        tokens=build_token_verifiers(settings),
        browsers=build_browser_sign_in(settings, client, clock),
        operations=operations,
        read_marks=RedisReadMarks(client, connections.fast),
        observe=observe,
        report_threads=observe.report_threads,
        tracer=tracer,
        stopping=stopping,
        close=_close_function(observe, tracer, *connections),
    )


def build_worker(settings: Settings) -> Worker:
    """Return the parts of a worker process, or raise ``CannotStart``."""
    settings.network.check()
    clock, stopping = SystemClock(), threading.Event()
    client = _connect(settings, timeout=_WORKER_STORE_TIMEOUT, threads=settings.worker_concurrency)
    activity = WorkerActivity(clock, version=version("mlflow-bridge"), concurrency=settings.worker_concurrency)
    operations = build_operations(settings, client, clock)
    observe = Observers(operations.counters, activity, records=Records(calls=operations.call_log))
    outbox = _outbox(settings, client, observe)
    dispatch = CeleryDispatch(settings.broker, observe=observe, timeout=_BROKER_TIMEOUT)
    tracer = _tracer(settings, "worker")
    delivery = _delivery(settings, client, outbox, dispatch, observe, stopping, tracer)
    return Worker(
        settings=settings,
        outbox=outbox,
        delivery=delivery,
        sweep=Sweeper(outbox, dispatch, observe=observe, is_paused=build_flow_control(settings, client).is_paused),
        dead_letters=_dead_letter_service(settings, client, dispatch, clock, observe),
        activity=activity,
        worker_reports=RedisWorkerReports(client),
        operations=operations,
        observe=observe,
        report_threads=observe.report_threads,
        stopping=stopping,
        close=_close_function(observe, tracer, client),
    )


def _delivery(
    settings: Settings,
    client: Redis,
    outbox: Outbox,
    dispatch: Dispatch,
    observe: Observer,
    stopping: threading.Event,
    tracer: Tracer | None,
) -> Deliverer:
    clock, flow_control, names = SystemClock(), build_flow_control(settings, client), _run_names(settings, client)
    upstream = build_upstream(settings, clock, RedisInstanceId(client))
    sender = UpstreamSender(
        upstream=upstream,
        flow_control=flow_control,
        observe=observe,
        clock=clock,
        stopping=stopping,
        uses_client_sessions=settings.uses_client_sessions,
        tracer=tracer,
    )
    return Deliverer(
        outbox=outbox,
        sender=sender,
        outcome_policy=OutcomePolicy(
            flow_control=flow_control, upstream=upstream, clock=clock, denial_grace=settings.denial_grace
        ),
        run_creation=RunCreation(sender=sender, names=names),
        run_order=RunOrder(outbox=outbox, names=names, clock=clock),
        dispatch=dispatch,
        observe=observe,
        clock=clock,
        timing=Timing(lease=settings.lease, horizon=settings.max_write_age),
    )


def _observers(settings: Settings, client_stores: ClientStores, operations: Operations) -> Observers:
    records = Records(calls=operations.call_log, audit=client_stores.audit, usage=client_stores.usage)
    return Observers(operations.counters, records=records, logs_requests=bool(settings.auth))


def _close_function(observe: Observers, tracer: Tracer | None, *clients: Redis) -> Callable[[], None]:
    def close() -> None:
        observe.close()
        if tracer:
            tracer.close()
        for client in clients:
            disconnect(client, in_use=True)

    return close


def _connect(settings: Settings, *, timeout: dt.timedelta, threads: int) -> Redis:
    return connect(settings.store_url, timeout=timeout, connections=threads + _SPARE_CONNECTIONS)


class _ApiConnections(NamedTuple):
    """The connection pools of an api process to the store, each with a timeout of its own."""

    default: Redis
    #: For the event loop.
    fast: Redis
    #: For writes of many megabytes.
    bulk: Redis


def _api_connections(settings: Settings) -> _ApiConnections:
    return _ApiConnections(
        default=_connect(settings, timeout=_INTAKE_STORE_TIMEOUT, threads=settings.api_threads),
        fast=_connect(settings, timeout=_FAST_STORE_TIMEOUT, threads=1),
        bulk=_connect(settings, timeout=_BULK_STORE_TIMEOUT, threads=settings.api_threads),
    )


def _outbox(settings: Settings, client: Redis, observe: Observer) -> RedisOutbox:
    # A key must outlive its pending write, or a repeat would be accepted again.
    idempotency_ttl = max(_MIN_IDEMPOTENCY_TTL, settings.max_write_age)
    caps = Caps(lane=settings.max_pending_run, client=settings.max_pending_client, store=settings.max_store)
    return RedisOutbox(
        client, retention=settings.job_retention, idempotency_ttl=idempotency_ttl, caps=caps, observe=observe
    )


def _dead_letter_service(
    settings: Settings, client: Redis, dispatch: Dispatch, clock: Clock, observe: Observer
) -> DeadLetterService:
    return DeadLetterService(
        letters=_dead_letter_store(settings, client),
        log=RedisDrainLog(client),
        dispatch=dispatch,
        observe=observe,
        clock=clock,
        period=SWEEP_INTERVAL,
        retention=settings.dead_letter_retention,
    )


def _dead_letter_store(settings: Settings, client: Redis) -> RedisDeadLetters:
    # Long enough for a replay to be delivered or dead-lettered again, and for its status to be read after that.
    return RedisDeadLetters(client, fate_ttl=settings.max_write_age + settings.job_retention)


def _rate_limits(settings: Settings, client: Redis, observe: Observer) -> RateLimits:
    default = Quota(requests=settings.quota_requests, writes=settings.quota_writes, bytes=settings.quota_bytes)
    return RateLimits(RedisRateLimitStore(client), default, observe=observe)


def _run_names(settings: Settings, client: Redis) -> RedisRunNames:
    return RedisRunNames(client, retention=settings.run_name_retention)


def _capabilities(
    settings: Settings, upstream: Upstream, observe: Observer, stopping: threading.Event
) -> UpstreamCapabilities:
    return UpstreamCapabilities(upstream, stated=settings.upstream_version, observe=observe, stopping=stopping)


def _investigation(settings: Settings, client: Redis, outbox: Outbox, sender: UpstreamSender) -> Investigation:
    conflicts = ReplayConflicts(
        letters=_dead_letter_store(settings, client),
        outbox=outbox,
        names=_run_names(settings, client),
        sender=sender,
        uses_client_sessions=settings.uses_client_sessions,
    )
    return Investigation(job_search=RedisJobSearch(client), replay_conflicts=conflicts)


def _experiments(settings: Settings, client: Redis, clock: Clock, sender: UpstreamSender) -> ExperimentLookup:
    memory = RedisExperimentMemory(client)
    return ExperimentLookup(memory=memory, names=_run_names(settings, client), sender=sender, clock=clock)


def _lookup_sender(
    settings: Settings, client: Redis, clock: Clock, observe: Observer, stopping: threading.Event
) -> UpstreamSender:
    """Return the sender of calls for which a client waits."""
    return UpstreamSender(
        upstream=build_upstream(settings, clock, RedisInstanceId(client), max_timeout=_LOOKUP_TIMEOUT),
        flow_control=build_flow_control(settings, client),
        observe=observe,
        clock=clock,
        stopping=stopping,
    )


def _tracer(settings: Settings, service: str) -> Tracer | None:
    """Return the tracer if tracing is on. OpenTelemetry is imported only then, because it is an optional dependency."""
    if settings.tracing is None:
        return None
    try:
        from bridge.telemetry.opentelemetry import otlp_tracer  # noqa: PLC0415 - see above
    except ModuleNotFoundError as error:
        raise CannotStart(f"BRIDGE_TRACING needs {error.name}: install mlflow-bridge[tracing]") from error
    try:
        return otlp_tracer(settings.tracing, service=f"mlflow-bridge-{service}", network=settings.network)
    except ValueError as error:
        raise CannotStart(f"OpenTelemetry can't be set up: {error}") from error
