# SPDX-License-Identifier: Apache-2.0
"""The one composition root: settings in, a bridge out. Nothing is connected before it is used."""

import datetime as dt
import threading
from collections.abc import Callable
from dataclasses import dataclass

from redis import Redis

from bridge.celery_dispatch import CeleryDispatch
from bridge.clock import Clock, SystemClock
from bridge.delivery import Delivery, Timing
from bridge.dispatch import Dispatch
from bridge.draining import Draining
from bridge.errors import CannotStart, StoreUnavailable
from bridge.events import Observer
from bridge.exchange import Exchange
from bridge.experiments import Experiments
from bridge.forwarding import Forwarding
from bridge.gate import Gate
from bridge.intake import Intake
from bridge.keyring import Keyring
from bridge.outbox import Caps, Outbox
from bridge.redis_keyring import RedisKeyring
from bridge.redis_outbox import RedisOutbox, connect
from bridge.redis_outbox.dead_letters import RedisDeadLetters
from bridge.redis_outbox.drains import RedisDrainLog
from bridge.redis_outbox.experiments import RedisExperimentMemory
from bridge.redis_outbox.gate import RedisGate
from bridge.redis_outbox.run_names import RedisRunNames
from bridge.run_creation import RunCreation
from bridge.run_names import RunNames
from bridge.sagemaker import HttpUpstream
from bridge.sagemaker.credentials import AwsCredentials
from bridge.sagemaker.endpoint import Endpoint, endpoint_for
from bridge.sagemaker.forwarding import HttpForwarding
from bridge.sagemaker.signing import Signer
from bridge.settings import Settings
from bridge.sweep import Sweep
from bridge.telemetry.logs import log_event
from bridge.tokens import LoadBalancer, OpenId, load_balancer, open_id
from bridge.upstream import Upstream

#: A client waits for intake, so it must learn soon that the store is gone; a worker can afford to wait.
_INTAKE_STORE_TIMEOUT = dt.timedelta(seconds=1)
#: For as long may the event loop stand still, before a thread goes on to wait.
_PROMPT_STORE_TIMEOUT = dt.timedelta(milliseconds=100)
_WORKER_STORE_TIMEOUT = dt.timedelta(seconds=5)
#: While it is asked what is in which experiment, a client waits.
_LONGEST_LOOK_UP = dt.timedelta(seconds=5)
_BROKER_TIMEOUT = dt.timedelta(seconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tokens:
    """Who reads tokens of others, if they count."""

    bearer: OpenId | None
    of_alb: LoadBalancer | None


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
    gate: Gate
    dispatch: Dispatch
    intake: Intake
    draining: Draining
    names: RunNames
    experiments: Experiments
    keyring: Keyring
    tokens: Tokens
    observe: Observer
    stopping: threading.Event


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """What a worker process works with. Setting ``stopping`` makes deliveries end after the call in flight."""

    settings: Settings
    outbox: Outbox
    delivery: Delivery
    sweep: Sweep
    draining: Draining
    stopping: threading.Event


def build_api(settings: Settings) -> Api:
    """Return the parts that take writes in and proxy reads."""
    clock, observe, stopping = SystemClock(), log_event, threading.Event()
    client = _store(settings, timeout=_INTAKE_STORE_TIMEOUT, threads=settings.api_threads)
    outbox = _outbox(settings, client)
    prompt = _outbox(settings, _store(settings, timeout=_PROMPT_STORE_TIMEOUT, threads=1))
    dispatch = CeleryDispatch(settings.broker, observe=observe, timeout=_BROKER_TIMEOUT)
    return Api(
        settings=settings,
        clock=clock,
        outbox=outbox,
        prompt=prompt,
        upstream=_upstream(settings, clock),
        forwarding=_forwarding(settings, clock),
        gate=_gate(settings, client),
        dispatch=dispatch,
        intake=Intake(prompt=prompt, patient=outbox, dispatch=dispatch),
        draining=_draining(settings, client, dispatch, clock, observe),
        names=_names(settings, client),
        experiments=_experiments(settings, client, clock, stopping),
        keyring=RedisKeyring(client),
        tokens=_tokens(settings),
        observe=observe,
        stopping=stopping,
    )


def build_worker(settings: Settings) -> Worker:
    """Return the parts that deliver writes."""
    clock, stopping = SystemClock(), threading.Event()
    observe: Observer = log_event
    client = _store(settings, timeout=_WORKER_STORE_TIMEOUT, threads=settings.worker_concurrency)
    outbox = _outbox(settings, client)
    dispatch = CeleryDispatch(settings.broker, observe=observe, timeout=_BROKER_TIMEOUT)
    exchange = Exchange(upstream=_upstream(settings, clock), gate=_gate(settings, client), stopping=stopping)
    delivery = Delivery(
        outbox=outbox,
        exchange=exchange,
        run_creation=RunCreation(exchange=exchange, names=_names(settings, client)),
        dispatch=dispatch,
        observe=observe,
        clock=clock,
        timing=Timing(lease=settings.lease, horizon=settings.delivery_horizon),
    )
    sweep = Sweep(outbox, dispatch, observe=observe, period=settings.sweep_period)
    draining = _draining(settings, client, dispatch, clock, observe)
    return Worker(
        settings=settings,
        outbox=outbox,
        delivery=delivery,
        sweep=sweep,
        draining=draining,
        stopping=stopping,
    )


def check_store(outbox: Outbox, warn: Callable[[str], None]) -> None:
    """Raise ``CannotStart`` if the store would lose accepted writes. Warn of less, or if it does not answer yet."""
    try:
        durability = outbox.durability()
    except StoreUnavailable as error:
        warn(f"the store does not answer; no write is accepted until it does ({error})")
        return
    if durability.faults:
        raise CannotStart("the store can't be trusted with accepted writes: " + "; ".join(durability.faults))
    for warning in durability.warnings:
        warn(f"the store: {warning}")


def check_exposure(settings: Settings) -> None:
    """Raise ``CannotStart`` where strangers could reach the api, or listen to those who use it."""
    if (settings.tls_certificate is None) != (settings.tls_key is None):
        raise CannotStart("BRIDGE_TLS_CERTIFICATE and BRIDGE_TLS_KEY belong together: set both, or none")
    if settings.listens_on_loopback and (settings.auth or settings.trusted_proxies is None):
        return
    if settings.listens_on_loopback:
        raise CannotStart("BRIDGE_TRUSTED_PROXIES says that others come through a proxy: set BRIDGE_AUTH")
    if not settings.auth:
        raise CannotStart(
            f"BRIDGE_HOST={settings.host} can be reached from other machines, and clients need not say who they are:"
            " set BRIDGE_AUTH=keys, and make the first key with `mlflow-bridge keys create NAME --admin`"
        )
    if settings.tls_certificate is None and settings.trusted_proxies is None:
        raise CannotStart(
            f"BRIDGE_HOST={settings.host} can be reached from other machines, without TLS: set BRIDGE_TLS_CERTIFICATE"
            " and BRIDGE_TLS_KEY, or BRIDGE_TRUSTED_PROXIES=1 if a proxy before the api ends TLS"
        )


def keyring_at(store_url: str) -> Keyring:
    """Return the clients and keys alone, for whoever manages them on the host."""
    return RedisKeyring(connect(store_url, timeout=_WORKER_STORE_TIMEOUT, connections=2))


def _store(settings: Settings, *, timeout: dt.timedelta, threads: int) -> Redis:
    # A few more than threads, for what works beside them.
    return connect(settings.store_url, timeout=timeout, connections=threads + 8)


def _outbox(settings: Settings, client: Redis) -> RedisOutbox:
    # A key that is forgotten while its write may still wait would let a repeat in.
    idempotency_ttl = max(settings.idempotency_ttl, settings.delivery_horizon)
    caps = Caps(lane=settings.max_pending_run, client=settings.max_pending_client, store=settings.max_store)
    return RedisOutbox(client, retention=settings.job_retention, idempotency_ttl=idempotency_ttl, caps=caps)


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


def _tokens(settings: Settings) -> Tokens:
    kinds = settings.auth or ()
    issuer, audience, arn = settings.jwt_issuer, settings.jwt_audience, settings.alb_arn
    bearer = None
    if "jwt" in kinds and issuer and audience:
        keys_url = settings.jwt_keys_url or f"{issuer.rstrip('/')}/.well-known/jwks.json"
        bearer = open_id(issuer, audience, keys_url)
    of_alb = None
    if "alb" in kinds and arn:
        said = {"signer": arn, "iss": settings.alb_issuer or "", "client": settings.alb_client or ""}
        of_alb = load_balancer(said, settings.alb_keys_url)
    return Tokens(bearer=bearer, of_alb=of_alb)


def _names(settings: Settings, client: Redis) -> RedisRunNames:
    return RedisRunNames(client, retention=settings.run_name_retention)


def _experiments(settings: Settings, client: Redis, clock: Clock, stopping: threading.Event) -> Experiments:
    upstream = _upstream(settings, clock, longest=_LONGEST_LOOK_UP)
    return Experiments(
        memory=RedisExperimentMemory(client),
        names=_names(settings, client),
        exchange=Exchange(upstream=upstream, gate=_gate(settings, client), stopping=stopping),
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


def _upstream(settings: Settings, clock: Clock, *, longest: dt.timedelta = dt.timedelta.max) -> HttpUpstream:
    endpoint, signer = _door(settings, clock)
    return HttpUpstream(
        endpoint,
        signer,
        clock=clock,
        connect_timeout=min(settings.connect_timeout, longest),
        read_timeout=min(settings.read_timeout, longest),
    )


def _forwarding(settings: Settings, clock: Clock) -> HttpForwarding:
    endpoint, signer = _door(settings, clock)
    return HttpForwarding(
        endpoint, signer, connect_timeout=settings.connect_timeout, read_timeout=settings.proxy_timeout
    )


def _door(settings: Settings, clock: Clock) -> tuple[Endpoint, Signer | None]:
    endpoint = endpoint_for(settings.upstream, settings.upstream_endpoint)
    signer = Signer(endpoint.scope, AwsCredentials(clock, settings.assume_role_arn)) if endpoint.scope else None
    return endpoint, signer
