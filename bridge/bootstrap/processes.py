# SPDX-License-Identifier: Apache-2.0
"""The one composition root: settings in, a bridge out. Nothing is connected before it is used."""

import datetime as dt
import threading
from collections.abc import Callable
from dataclasses import dataclass

from redis import Redis

from bridge.auth.api_keys import Keyring
from bridge.auth.experiment_scope import Experiments
from bridge.auth.rate_limits import Quotas
from bridge.auth.sigv4 import Signatures
from bridge.bootstrap.auth import Tokens, cipher_of, tokens_of
from bridge.config.settings import Settings
from bridge.delivery.deliverer import Delivery, Timing
from bridge.delivery.fault_isolation import Judgement
from bridge.delivery.run_creation import RunCreation
from bridge.delivery.run_order import RunOrder
from bridge.delivery.sweeper import Sweep
from bridge.dispatch import Dispatch
from bridge.dispatch.celery_dispatch import CeleryDispatch
from bridge.errors import CannotStart
from bridge.events import Observer
from bridge.outbox import Caps, Outbox, RunNames
from bridge.outbox.dead_letters import Draining
from bridge.outbox.intake import Intake
from bridge.process.clock import Clock, SystemClock
from bridge.redis_store.api_keys import RedisKeyring
from bridge.redis_store.client import disconnect
from bridge.redis_store.dead_letters import RedisDeadLetters, RedisDrainLog
from bridge.redis_store.flow_control import RedisGate
from bridge.redis_store.instance_key import RedisHop
from bridge.redis_store.metrics import RedisTotals
from bridge.redis_store.outbox import RedisOutbox, connect
from bridge.redis_store.rate_limits import RedisLedger
from bridge.redis_store.replay_cache import RedisSignatures
from bridge.redis_store.run_lookups import RedisExperimentMemory, RedisRunNames
from bridge.telemetry.metrics import Totals
from bridge.telemetry.observers import Observers
from bridge.upstream import Upstream
from bridge.upstream.capabilities import Abilities
from bridge.upstream.factory import forwarding_of, upstream_of
from bridge.upstream.flow_control import Gate
from bridge.upstream.forwarding import Forwarding
from bridge.upstream.loop_detection import Hop
from bridge.upstream.sender import Exchange
from bridge.upstream.tracing import Tracer
from schemas.client import Quota

#: A client waits for intake, so it must learn soon that the store is gone; a worker can afford to wait.
_INTAKE_STORE_TIMEOUT = dt.timedelta(seconds=1)
#: For as long may the event loop stand still, before a thread goes on to wait.
_PROMPT_STORE_TIMEOUT = dt.timedelta(milliseconds=100)
#: What writes of many megabytes may take, which the store writes to disk before it answers.
_LONG_STORE_TIMEOUT = dt.timedelta(seconds=5)
_WORKER_STORE_TIMEOUT = dt.timedelta(seconds=5)
#: While it is asked what is in which experiment, a client waits.
_LONGEST_LOOK_UP = dt.timedelta(seconds=5)
_BROKER_TIMEOUT = dt.timedelta(seconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Api:
    """What the HTTP side works with. Setting ``stopping`` makes it refuse new writes and wait for nothing."""

    settings: Settings
    clock: Clock
    outbox: Outbox
    #: The same outbox; it gives up on the store after a moment, so that an event loop may ask it.
    prompt: Outbox
    upstream: Upstream
    forwarding: Forwarding
    hop: Hop
    gate: Gate
    dispatch: Dispatch
    intake: Intake
    draining: Draining
    names: RunNames
    experiments: Experiments
    abilities: Abilities
    keyring: Keyring
    quotas: Quotas
    tokens: Tokens
    totals: Totals
    signatures: Signatures
    observe: Observer
    #: Reports the background threads of this process from now on; for the process that owns this.
    report_threads: Callable[[], None]
    #: None where nobody records traces.
    tracer: Tracer | None
    stopping: threading.Event
    #: Tells what the process has not told yet, and lets go of the store. To be called at its end; it may take a moment.
    close: Callable[[], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """What a worker process works with. Setting ``stopping`` makes deliveries end after the call in flight."""

    settings: Settings
    outbox: Outbox
    delivery: Delivery
    sweep: Sweep
    draining: Draining
    observe: Observer
    #: Reports the background threads of this process from now on; for the process that owns this.
    report_threads: Callable[[], None]
    stopping: threading.Event
    #: As that of `Api`.
    close: Callable[[], None]


def build_api(settings: Settings) -> Api:
    """Return the parts that take writes in and proxy reads, or raise ``CannotStart``."""
    settings.network.check()
    clock, stopping = SystemClock(), threading.Event()
    client = _store(settings, timeout=_INTAKE_STORE_TIMEOUT, threads=settings.api_threads)
    observe = Observers(totals := RedisTotals(client), logs_requests=bool(settings.auth))
    outbox = _outbox(settings, client, observe)
    prompt_client = _store(settings, timeout=_PROMPT_STORE_TIMEOUT, threads=1)
    prompt = _outbox(settings, prompt_client, observe)
    lenient_client = _store(settings, timeout=_LONG_STORE_TIMEOUT, threads=settings.api_threads)
    lenient = _outbox(settings, lenient_client, observe)
    dispatch = CeleryDispatch(settings.broker, observe=observe, timeout=_BROKER_TIMEOUT)
    tracer, hop = _tracer(settings, "api"), RedisHop(client)
    upstream = upstream_of(settings, clock, hop)
    return Api(
        settings=settings,
        clock=clock,
        outbox=outbox,
        prompt=prompt,
        upstream=upstream,
        forwarding=forwarding_of(settings, clock, hop),
        hop=hop,
        gate=_gate(settings, client),
        dispatch=dispatch,
        intake=Intake(prompt=prompt, patient=outbox, lenient=lenient, dispatch=dispatch, observe=observe),
        draining=_draining(settings, client, dispatch, clock, observe),
        names=_names(settings, client),
        experiments=_experiments(settings, client, clock, observe, stopping),
        abilities=Abilities(upstream, stated=settings.upstream_version, observe=observe, stopping=stopping),
        keyring=RedisKeyring(client, cipher=cipher_of(settings)),
        quotas=_quotas(settings, client, observe),
        tokens=tokens_of(settings),
        totals=totals,
        signatures=RedisSignatures(client),
        observe=observe,
        report_threads=observe.report_threads,
        tracer=tracer,
        stopping=stopping,
        close=_closing(observe, tracer, client, prompt_client, lenient_client),
    )


def build_worker(settings: Settings) -> Worker:
    """Return the parts that deliver writes, or raise ``CannotStart``."""
    settings.network.check()
    clock, stopping = SystemClock(), threading.Event()
    client = _store(settings, timeout=_WORKER_STORE_TIMEOUT, threads=settings.worker_concurrency)
    observe = Observers(RedisTotals(client))
    outbox = _outbox(settings, client, observe)
    dispatch = CeleryDispatch(settings.broker, observe=observe, timeout=_BROKER_TIMEOUT)
    tracer = _tracer(settings, "worker")
    delivery = _delivery(settings, client, outbox, dispatch, observe, stopping, tracer)
    return Worker(
        settings=settings,
        outbox=outbox,
        delivery=delivery,
        sweep=Sweep(outbox, dispatch, observe=observe, period=settings.sweep_period),
        draining=_draining(settings, client, dispatch, clock, observe),
        observe=observe,
        report_threads=observe.report_threads,
        stopping=stopping,
        close=_closing(observe, tracer, client),
    )


def _delivery(
    settings: Settings,
    client: Redis,
    outbox: Outbox,
    dispatch: Dispatch,
    observe: Observer,
    stopping: threading.Event,
    tracer: Tracer | None,
) -> Delivery:
    clock, gate, names = SystemClock(), _gate(settings, client), _names(settings, client)
    upstream = upstream_of(settings, clock, RedisHop(client))
    exchange = Exchange(
        upstream=upstream,
        gate=gate,
        observe=observe,
        clock=clock,
        stopping=stopping,
        in_clients_names=settings.speaks_for_clients,
        tracer=tracer,
    )
    return Delivery(
        outbox=outbox,
        exchange=exchange,
        judgement=Judgement(gate=gate, upstream=upstream, clock=clock, denial_grace=settings.denial_grace),
        run_creation=RunCreation(exchange=exchange, names=names),
        run_order=RunOrder(outbox=outbox, names=names, clock=clock),
        dispatch=dispatch,
        observe=observe,
        clock=clock,
        timing=Timing(lease=settings.lease, horizon=settings.delivery_horizon),
    )


def _closing(observe: Observers, tracer: Tracer | None, *clients: Redis) -> Callable[[], None]:
    def close() -> None:
        observe.close()
        if tracer:
            tracer.close()
        for client in clients:
            disconnect(client, in_use=True)

    return close


def _store(settings: Settings, *, timeout: dt.timedelta, threads: int) -> Redis:
    # A few more than threads, for what works beside them.
    return connect(settings.store_url, timeout=timeout, connections=threads + 8)


def _outbox(settings: Settings, client: Redis, observe: Observer) -> RedisOutbox:
    # A key that is forgotten while its write may still wait would let a repeat in.
    idempotency_ttl = max(settings.idempotency_ttl, settings.delivery_horizon)
    caps = Caps(lane=settings.max_pending_run, client=settings.max_pending_client, store=settings.max_store)
    return RedisOutbox(
        client, retention=settings.job_retention, idempotency_ttl=idempotency_ttl, caps=caps, observe=observe
    )


def _draining(settings: Settings, client: Redis, dispatch: Dispatch, clock: Clock, observe: Observer) -> Draining:
    # Long enough for a replay to be delivered or to die again, and to be asked for after that.
    fate_ttl = settings.delivery_horizon + settings.job_retention
    return Draining(
        letters=RedisDeadLetters(client, fate_ttl=fate_ttl),
        log=RedisDrainLog(client),
        dispatch=dispatch,
        observe=observe,
        clock=clock,
        period=settings.sweep_period,
        retention=settings.dead_letter_retention,
    )


def _quotas(settings: Settings, client: Redis, observe: Observer) -> Quotas:
    default = Quota(requests=settings.quota_requests, writes=settings.quota_writes, bytes=settings.quota_bytes)
    return Quotas(RedisLedger(client), default, observe=observe)


def _names(settings: Settings, client: Redis) -> RedisRunNames:
    return RedisRunNames(client, retention=settings.run_name_retention)


def _experiments(
    settings: Settings, client: Redis, clock: Clock, observe: Observer, stopping: threading.Event
) -> Experiments:
    upstream = upstream_of(settings, clock, RedisHop(client), longest=_LONGEST_LOOK_UP)
    return Experiments(
        memory=RedisExperimentMemory(client),
        names=_names(settings, client),
        exchange=Exchange(
            upstream=upstream,
            gate=_gate(settings, client),
            observe=observe,
            clock=clock,
            stopping=stopping,
        ),
        clock=clock,
    )


def _gate(settings: Settings, client: Redis) -> RedisGate:
    return RedisGate(
        client,
        settings.upstream,
        rate=settings.calls_per_second,
        burst=settings.upstream_burst,
        probe=settings.lease,
    )


def _tracer(settings: Settings, service: str) -> Tracer | None:
    """Return who records traces, if anybody does. Only then is OpenTelemetry imported, which need not be installed."""
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
