# SPDX-License-Identifier: Apache-2.0
"""All settings of the bridge: one frozen object, each field an environment variable."""

import dataclasses
import datetime as dt
import ipaddress
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bridge.config.network import CaBundle, Network, Proxies, ca_bundle_in, proxies_in
from bridge.config.parsers import (
    auth_kinds,
    count,
    duration,
    encryption_keys,
    hosts,
    log_level,
    port,
    rate,
    role_session,
    secret_arn,
    size,
    upstream,
    url,
    version,
)
from schemas.write import Op

PREFIX = "BRIDGE_"
#: Of these MLflow itself takes bodies of many megabytes.
LONG_CALLS = frozenset({Op.LOG_BATCH, Op.LOG_INPUTS, Op.EXPORT_TRACES})


def _setting(default: str | None, read: Callable[[str], Any], about: str, **further: Any) -> Any:  # noqa: ANN401 - a dataclass field
    """Return a field. ``read_all``: reads the whole environment, for variables of others stand in for this one."""
    return dataclasses.field(metadata={"default": default, "read": read, "about": about, **further})


#: Sustained transactions a second of a tracking server of size Small, whose burst is twice that.
_SMALLEST_SERVER = 25.0
_BROKER_SCHEMES = ("redis", "rediss", "unix")
_CLUSTER_SCHEMES = ("redis+cluster", "rediss+cluster")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the operator decided. Each field is the environment variable ``BRIDGE_`` + its name in capitals."""

    upstream: str = _setting(
        None,
        upstream,
        "Where writes go and reads come from: the ARN of a SageMaker tracking server or MLflow App,"
        " or the URL of any MLflow server. `mlflow-bridge up` starts a local `mlflow server` when it is not set.",
    )
    upstream_endpoint: str | None = _setting(
        "", url("http", "https"), "The URL to use instead of the one that an ARN stands for, such as a VPC endpoint."
    )
    assume_role_arn: str | None = _setting(
        "", str, "An IAM role to assume for upstream; it must be allowed to the credentials of the environment."
    )
    assume_role_session_name: str = _setting(
        "bridge",
        role_session,
        "In whose name the role is assumed: `bridge` (one session for all), `client` (a session for each client, called"
        " after him, so that CloudTrail tells clients apart), or `source` (the same, with that name as `SourceIdentity`"
        " as well, for which the role must allow `sts:SetSourceIdentity`). Writes of different clients then never share"
        " a call.",
    )
    connect_timeout: dt.timedelta = _setting("3s", duration, "How long connecting to upstream may take.")
    read_timeout: dt.timedelta = _setting(
        "20s",
        duration,
        "How long upstream may stay silent on one call. A lane's lease is a little longer than both timeouts, so a"
        " killed worker's lanes go on after about this long.",
    )
    proxy_timeout: dt.timedelta = _setting(
        "120s",
        duration,
        "How long upstream may stay silent on a proxied request, or in the middle of its answer, and how long a client"
        " may pause in the middle of its body.",
    )
    ca_bundle: CaBundle | None = _setting(
        "",
        str,
        "A file (PEM) with the certificates of the authorities that outgoing connections trust, instead of the public"
        " ones. Default: what `AWS_CA_BUNDLE`, `REQUESTS_CA_BUNDLE` or `SSL_CERT_FILE` names, the first that is set.",
        read_all=ca_bundle_in,
    )
    proxy: Proxies = _setting(
        "",
        lambda text: proxies_in({"BRIDGE_PROXY": text}),
        "The egress proxy of outgoing connections, such as `http://user:password@proxy.example:3128`. Default: what"
        " `HTTPS_PROXY` names, and for `http` URLs `HTTP_PROXY`. Hosts that `NO_PROXY` names are reached directly, as"
        " loopback always is.",
        read_all=proxies_in,
    )
    upstream_client_certificate: Path | None = _setting(
        "",
        Path,
        "The certificate (PEM) that the bridge shows to an upstream that asks for one (mutual TLS). A new one in its"
        " place is taken up.",
    )
    upstream_client_key: Path | None = _setting("", Path, "The key to that certificate (PEM), without a password.")
    store_url: str = _setting(
        None,
        url(*_BROKER_SCHEMES, *_CLUSTER_SCHEMES),
        "The Redis that holds accepted writes: `redis://`, `rediss://`, `unix://`, or for one in cluster mode"
        " `redis+cluster://`, `rediss+cluster://`. It must be persistent and must not evict. `mlflow-bridge up` starts"
        " one when it is not set.",
    )
    broker_url: str | None = _setting(
        "",
        url(*_BROKER_SCHEMES),
        "The Redis that carries hints to the workers; may lose everything. Default: the store, unless that is in"
        " cluster mode, which Celery can't use.",
    )
    upstream_rate: float | None = _setting(
        "",
        rate,
        "How many calls a second all workers together send to upstream; 0 for no limit."
        " Default: 25 for an ARN, which is what the smallest tracking server allows, no limit for a URL.",
    )
    upstream_burst: int = _setting("50", count, "How many calls may go at once after a pause.")
    host: str = _setting("127.0.0.1", str, "The address on which the api listens.")
    port: int = _setting("8080", port, "The port on which the api listens; with `mlflow-bridge up`, 0 is any free one.")
    auth: tuple[str, ...] | None = _setting(
        "",
        auth_kinds,
        "How clients say who they are, separated by commas: `keys` (API keys, see `mlflow-bridge keys`), `jwt` (tokens"
        " of an OpenID provider), `alb` (what a load balancer of AWS says of whom it has let in), `sigv4` (requests"
        " that they sign with a key of `mlflow-bridge keys create --sigv4`); or `none`, which is possible on a loopback"
        " address only, and the default there.",
    )
    jwt_issuer: str | None = _setting("", url("https", "http"), "The issuer of tokens, as it stands in them (`iss`).")
    jwt_audience: str | None = _setting("", str, "Whom the tokens must be meant for (`aud`).")
    jwt_jwks_url: str | None = _setting(
        "",
        url("https", "http"),
        "Where the issuer publishes its keys (JWKS). Default: below it, `/.well-known/jwks.json`.",
    )
    alb_arn: str | None = _setting("", str, "The ARN of the load balancer whose word counts.")
    alb_issuer: str | None = _setting("", str, "The OpenID provider that the load balancer asks, as it says (`iss`).")
    alb_client_id: str | None = _setting("", str, "The client id that the load balancer has there (`client`).")
    alb_keys_url: str | None = _setting(
        "", url("https", "http"), "Where the load balancer's keys are. Default: AWS's address for its region."
    )
    encryption_keys: tuple[bytes, ...] | None = _setting(
        "",
        encryption_keys,
        "What the secrets of clients that sign (`sigv4`) are encrypted with in the store: 32 random bytes in base64"
        " (`openssl rand -base64 32`). Several, separated by commas, all decrypt; the first encrypts.",
    )
    encryption_keys_secret_arn: str | None = _setting(
        "",
        secret_arn,
        "The ARN of a secret in AWS Secrets Manager that holds the same instead; it is fetched when a process starts.",
    )
    tls_cert_file: Path | None = _setting(
        "", Path, "The certificate chain (PEM) with which the api itself ends TLS. A new one in its place is taken up."
    )
    tls_key_file: Path | None = _setting("", Path, "The certificate's private key (PEM, PKCS #8), without a password.")
    trusted_proxies: int | None = _setting(
        "",
        count,
        "How many proxies stand before the api, the first of which ends TLS: the client's address is the one that so"
        " many of them have added to `X-Forwarded-For`. Without it and without a certificate, the api listens on a"
        " loopback address only.",
    )
    allowed_hosts: tuple[str, ...] | None = _setting(
        "",
        hosts,
        "The names, separated by commas, under which the api may be asked; `*` for any. Default: any, but on a loopback"
        " address only `localhost` and addresses, so that no web page reaches it under a name of its own.",
    )
    idle_timeout: dt.timedelta = _setting(
        "75s",
        duration,
        "How long a connection may be idle, or take to bring the head of a request. A load balancer before the api must"
        " wait for less long (one of AWS waits for 60 s), or it sends requests into connections that end.",
    )
    api_processes: int = _setting("1", count, "How many server processes the api runs.")
    api_threads: int = _setting(
        "16", count, "Threads per server process for the bridge's own routes. Writes and proxied requests need none."
    )
    worker_processes: int = _setting("2", count, "How many worker processes `mlflow-bridge up` starts.")
    worker_concurrency: int = _setting("8", count, "How many lanes one worker process delivers at a time.")
    max_write_age: dt.timedelta = _setting(
        "72h",
        duration,
        "How long a write may wait for an upstream that can't be reached before it becomes a dead letter.",
    )
    upstream_version: str | None = _setting(
        "",
        version,
        "MLflow's version upstream, such as `2.16.2`, where upstream does not say it at `/version`; limits follow it.",
    )
    denial_grace: dt.timedelta = _setting(
        "15m",
        duration,
        "How long a write waits that upstream denies, while it takes others, before it becomes a dead letter.",
    )
    job_retention: dt.timedelta = _setting(
        "24h", duration, "How long a delivered job can be asked for after its lane has drained."
    )
    run_name_retention: dt.timedelta = _setting(
        "720h", duration, "How long it is remembered, after its last use, which run a client's own name stands for."
    )
    dead_letter_retention: dt.timedelta | None = _setting(
        "",
        duration,
        "How long a dead letter is kept; what is older is discarded and logged. Default: until it is drained.",
    )
    max_pending_run: int = _setting(
        "256MiB", size, "How many bytes of writes may wait for one run; beyond that its clients get 429."
    )
    max_pending_client: int = _setting(
        "1GiB", size, "How many bytes of writes may wait for one client; beyond that it gets 429."
    )
    max_store: int = _setting(
        "2GiB",
        size,
        "How many bytes of pending writes and dead letters the store may hold; beyond that clients get 503, as they do"
        " when the store has used 80 % of its own `maxmemory`. Keep it well below the memory that the store has.",
    )
    quota_requests: float | None = _setting(
        "", rate, "How many requests a second one client may make. Default, here and below: as many as it likes."
    )
    quota_writes: float | None = _setting("", rate, "How many writes a second are accepted of one client.")
    quota_bytes: int | None = _setting(
        "", size, "How many bytes of bodies a second one client may send, such as `1MiB`."
    )
    max_body_size: int = _setting(
        "10MiB", size, "The longest body of a queued write, or of a call of the bridge's own, unpacked."
    )
    max_long_body_size: int = _setting(
        "40MiB",
        size,
        "The same for calls of which MLflow takes long ones: `log-batch`, `log-inputs` (a dataset's profile may have"
        " 16 MiB) and `/v1/traces`; never less than `BRIDGE_MAX_BODY_SIZE`. While a body is read it takes up to thirty"
        " times its length of memory: in a server process one at a time beyond 4 MiB, and one besides up to 4 MiB.",
    )
    read_your_writes_timeout: dt.timedelta = _setting(
        "2s",
        duration,
        "How long a read of a run waits, unless it says otherwise, until what was logged to the run before it is"
        " delivered.",
    )
    shutdown_delay: dt.timedelta = _setting(
        "1s",
        duration,
        "How long the api still answers when it is told to stop, new writes with 503, so that a load balancer sends"
        " them elsewhere.",
    )
    shutdown_timeout: dt.timedelta = _setting(
        "30s",
        duration,
        "How long each step of a stop may take (the api, the workers, the rest) before what is left is killed.",
    )
    log_level: str = _setting(
        "info",
        log_level,
        "What is logged: `debug` (each call that delivers as well), `info`, `warning` (neither requests nor deliveries,"
        " so nothing of who did what), or `error`.",
    )
    tracing: str | None = _setting(
        "",
        url("http", "https"),
        "The OpenTelemetry collector that traces are sent to (OTLP over HTTP), such as `http://localhost:4318`; needs"
        " the extra `tracing`. Default: none are recorded.",
    )
    data_dir: Path = _setting(".data", Path, "Where `mlflow-bridge up` keeps its store, its local MLflow and its logs.")

    @property
    def listens_on_loopback(self) -> bool:
        """Whether only programs on this machine can reach the api."""
        with suppress(ValueError):
            return ipaddress.ip_address(self.host).is_loopback
        return self.host == "localhost"

    @property
    def broker(self) -> str:
        """The URL of the broker in force."""
        return self.broker_url or self.store_url

    def longest_body(self, op: Op | None) -> int:
        """Return how long the body of a queued call may be; None for a call of the bridge's own."""
        return max(self.max_body_size, self.max_long_body_size) if op in LONG_CALLS else self.max_body_size

    @property
    def network(self) -> Network:
        """How outgoing connections are made."""
        return Network(
            ca_bundle=self.ca_bundle,
            proxies=self.proxy,
            client_certificate=self.upstream_client_certificate,
            client_key=self.upstream_client_key,
        )

    @property
    def calls_per_second(self) -> float | None:
        """The limit on calls to upstream in force, None if there is none."""
        if self.upstream_rate is not None:
            return self.upstream_rate or None
        return _SMALLEST_SERVER if self.upstream.startswith("arn:") else None

    @property
    def speaks_for_clients(self) -> bool:
        """Whether each call to upstream is signed in a session of its client's."""
        return self.assume_role_session_name != "bridge" and self.upstream.startswith("arn:")

    @property
    def lease(self) -> dt.timedelta:
        """How long a claim on a lane lasts: longer than one upstream call can take, with a margin to settle it in."""
        call = self.connect_timeout + self.read_timeout
        return call + max(_MIN_LEASE_MARGIN, min(call / 2, _MAX_LEASE_MARGIN))

    def __repr__(self) -> str:
        """Show the settings with the passwords in URLs masked."""
        parts = (f"{field.name}={shown(field, getattr(self, field.name))!r}" for field in dataclasses.fields(self))
        return f"Settings({', '.join(parts)})"


def shown(field: "dataclasses.Field[Any]", value: object) -> object:
    """Hide a value that is a secret, and the password in a URL."""
    return "***" if value and field.name in _SECRET else masked(value)


_SECRET = {"encryption_keys"}
#: Half of what a call may take, within these.
_MIN_LEASE_MARGIN = dt.timedelta(seconds=1)
_MAX_LEASE_MARGIN = dt.timedelta(seconds=5)


def masked(value: object) -> object:
    """Hide what could be a password in a URL: all that stands before its last ``@``, and a parameter of that name."""
    if not isinstance(value, str):
        return value
    return re.sub(r"(password=)[^&]*", r"\1***", re.sub(r"://.*@", "://***@", value))


def variable(field: "dataclasses.Field[Any]") -> str:
    """Return the environment variable of a field."""
    return PREFIX + field.name.upper()
