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
        "Where writes are delivered and reads are proxied: the ARN of a SageMaker tracking server or MLflow App,"
        " or the URL of any MLflow server. `mlflow-bridge up` starts a local `mlflow server` when it is not set.",
    )
    upstream_endpoint: str | None = _setting(
        "", url("http", "https"), "The URL to use instead of the one that an ARN stands for, such as a VPC endpoint."
    )
    assume_role_arn: str | None = _setting(
        "", str, "An IAM role to assume for upstream; the environment's credentials must be allowed to assume it."
    )
    assume_role_session_name: str = _setting(
        "bridge",
        role_session,
        "The session of the assumed role: `bridge` (one session for all), `client` (a session named after each"
        " client, so that CloudTrail distinguishes clients), or `source` (the same, with that name as"
        " `SourceIdentity` as well, for which the role must allow `sts:SetSourceIdentity`). With `client` and"
        " `source`, writes of different clients never share a call.",
    )
    connect_timeout: dt.timedelta = _setting("3s", duration, "How long connecting to upstream may take.")
    read_timeout: dt.timedelta = _setting(
        "20s",
        duration,
        "How long upstream may stay silent on one call. A lane's lease is a little longer than both timeouts, so"
        " a killed worker's lanes continue after about this long.",
    )
    proxy_timeout: dt.timedelta = _setting(
        "120s",
        duration,
        "How long upstream may stay silent on a proxied request, or in the middle of its response, and how long a"
        " client may pause in the middle of its body.",
    )
    ca_bundle: CaBundle | None = _setting(
        "",
        str,
        "A file (PEM) with the certificate authorities that outgoing connections trust, instead of the public"
        " ones. Default: the first of `AWS_CA_BUNDLE`, `REQUESTS_CA_BUNDLE` and `SSL_CERT_FILE` that is set.",
        read_all=ca_bundle_in,
    )
    proxy: Proxies = _setting(
        "",
        lambda text: proxies_in({"BRIDGE_PROXY": text}),
        "The egress proxy of outgoing connections, such as `http://user:password@proxy.example:3128`. Default:"
        " `HTTPS_PROXY`, and for `http` URLs `HTTP_PROXY`. Hosts in `NO_PROXY` and loopback are reached directly.",
        read_all=proxies_in,
    )
    upstream_client_certificate: Path | None = _setting(
        "",
        Path,
        "The certificate (PEM) that the bridge presents to an upstream that requests one (mutual TLS). A replaced"
        " file is loaded.",
    )
    upstream_client_key: Path | None = _setting(
        "", Path, "The private key of that certificate (PEM), without a password."
    )
    store_url: str = _setting(
        None,
        url(*_BROKER_SCHEMES, *_CLUSTER_SCHEMES),
        "The Redis or Valkey that holds accepted writes: `redis://`, `rediss://`, `unix://`, or in cluster mode"
        " `redis+cluster://`, `rediss+cluster://`. It must be persistent and must not evict. `mlflow-bridge up`"
        " starts one when it is not set.",
    )
    broker_url: str | None = _setting(
        "",
        url(*_BROKER_SCHEMES),
        "The Redis that carries dispatches to the workers; it may lose everything. Default: the store, unless"
        " that is in cluster mode, which Celery does not support.",
    )
    upstream_rate: float | None = _setting(
        "",
        rate,
        "Calls a second that all workers together send to upstream; 0 for no limit. Default: 25 for an ARN, which"
        " is what the smallest tracking server allows, no limit for a URL.",
    )
    upstream_burst: int = _setting("50", count, "Calls that may be sent at once after a pause.")
    host: str = _setting("127.0.0.1", str, "The address on which the api listens.")
    port: int = _setting(
        "8080", port, "The port on which the api listens; with `mlflow-bridge up`, 0 selects a free one."
    )
    auth: tuple[str, ...] | None = _setting(
        "",
        auth_kinds,
        "How clients authenticate, separated by commas: `keys` (API keys, see `mlflow-bridge keys`), `jwt`"
        " (tokens of an OpenID provider), `alb` (identities asserted by an AWS load balancer), `sigv4` (requests"
        " signed with a key of `mlflow-bridge keys create --sigv4`); or `none`, which is possible on a loopback"
        " address only, and the default there.",
    )
    jwt_issuer: str | None = _setting("", url("https", "http"), "The issuer of tokens, as in their `iss`.")
    jwt_audience: str | None = _setting("", str, "The required audience of tokens (`aud`).")
    jwt_jwks_url: str | None = _setting(
        "",
        url("https", "http"),
        "The URL of the issuer's keys (JWKS). Default: `/.well-known/jwks.json` below the issuer.",
    )
    alb_arn: str | None = _setting("", str, "The ARN of the trusted load balancer.")
    alb_issuer: str | None = _setting("", str, "The OpenID provider of the load balancer, as in its claim `iss`.")
    alb_client_id: str | None = _setting("", str, "The load balancer's client id at that provider (`client`).")
    alb_keys_url: str | None = _setting(
        "", url("https", "http"), "The URL of the load balancer's keys. Default: AWS's address for its region."
    )
    encryption_keys: tuple[bytes, ...] | None = _setting(
        "",
        encryption_keys,
        "The keys that encrypt signing secrets (`sigv4`) in the store: 32 random bytes in base64 (`openssl rand"
        " -base64 32`). Several, separated by commas, all decrypt; the first encrypts.",
    )
    encryption_keys_secret_arn: str | None = _setting(
        "",
        secret_arn,
        "The ARN of an AWS Secrets Manager secret that holds them instead; it is fetched when a process starts.",
    )
    tls_cert_file: Path | None = _setting(
        "", Path, "The certificate chain (PEM) with which the api terminates TLS. A replaced file is loaded."
    )
    tls_key_file: Path | None = _setting("", Path, "The certificate's private key (PEM, PKCS #8), without a password.")
    trusted_proxies: int | None = _setting(
        "",
        count,
        "The number of proxies before the api, the first of which terminates TLS. The client's address is taken"
        " from that many entries of `X-Forwarded-For`. Without it and without a certificate, the api listens on a"
        " loopback address only.",
    )
    allowed_hosts: tuple[str, ...] | None = _setting(
        "",
        hosts,
        "The host names, separated by commas, that the api accepts; `*` for any. Default: any, but on a loopback"
        " address only `localhost` and addresses, so that no web page reaches it under another name.",
    )
    idle_timeout: dt.timedelta = _setting(
        "75s",
        duration,
        "How long a connection may be idle, or take to send the head of a request. A load balancer before the api"
        " must have a shorter idle timeout (AWS: 60 s), or it sends requests into closing connections.",
    )
    api_processes: int = _setting("1", count, "The number of server processes of the api.")
    api_threads: int = _setting(
        "16", count, "Threads per server process for the bridge's own routes. Writes and proxied requests need none."
    )
    worker_processes: int = _setting("2", count, "The number of worker processes that `mlflow-bridge up` starts.")
    worker_concurrency: int = _setting("8", count, "Lanes that one worker process delivers at a time.")
    max_write_age: dt.timedelta = _setting(
        "72h",
        duration,
        "How long a write may be pending, while upstream is unavailable, before it becomes a dead letter.",
    )
    upstream_version: str | None = _setting(
        "",
        version,
        "Upstream's MLflow version, such as `2.16.2`, where `/version` does not report it; limits depend on it.",
    )
    denial_grace: dt.timedelta = _setting(
        "15m",
        duration,
        "How long a write that upstream denies stays pending, while upstream accepts others, before it becomes a"
        " dead letter.",
    )
    job_retention: dt.timedelta = _setting(
        "24h", duration, "How long a delivered job is available after its lane has drained."
    )
    run_name_retention: dt.timedelta = _setting(
        "720h", duration, "How long the run of a name is remembered after the name's last use."
    )
    dead_letter_retention: dt.timedelta | None = _setting(
        "",
        duration,
        "How long a dead letter is kept; older ones are discarded and logged. Default: until it is drained.",
    )
    max_pending_run: int = _setting(
        "256MiB", size, "Bytes of writes that may be pending for one run; beyond that its clients receive 429."
    )
    max_pending_client: int = _setting(
        "1GiB", size, "Bytes of writes that may be pending for one client; beyond that it receives 429."
    )
    max_store: int = _setting(
        "2GiB",
        size,
        "Bytes of pending writes and dead letters that the store may hold; beyond that clients receive 503, as"
        " they do when the store has used 80 % of its own `maxmemory`. Keep it well below the store's memory.",
    )
    quota_requests: float | None = _setting(
        "", rate, "Requests a second that one client may make. Default, here and below: no limit."
    )
    quota_writes: float | None = _setting("", rate, "Writes a second that are accepted from one client.")
    quota_bytes: int | None = _setting("", size, "Bytes of bodies a second that one client may send, such as `1MiB`.")
    max_body_size: int = _setting(
        "10MiB", size, "The longest body of a queued write, or of one of the bridge's own calls, uncompressed."
    )
    max_long_body_size: int = _setting(
        "40MiB",
        size,
        "The same for calls with long bodies: `log-batch`, `log-inputs` (a dataset's profile may have 16 MiB) and"
        " `/v1/traces`; never less than `BRIDGE_MAX_BODY_SIZE`. Reading a body takes up to thirty times its length"
        " of memory. A server process reads one at a time above 4 MiB, and one more of up to 4 MiB.",
    )
    read_your_writes_timeout: dt.timedelta = _setting(
        "2s",
        duration,
        "How long a read of a run waits by default until the writes logged to the run before it are delivered.",
    )
    shutdown_delay: dt.timedelta = _setting(
        "1s",
        duration,
        "How long the api still responds after a stop signal, to new writes with 503, so that a load balancer"
        " redirects them.",
    )
    shutdown_timeout: dt.timedelta = _setting(
        "30s",
        duration,
        "How long each step of a shutdown may take (the api, the workers, the rest) before the rest is killed.",
    )
    log_level: str = _setting(
        "info",
        log_level,
        "What is logged: `debug` (each upstream call as well), `info`, `warning` (no requests and no deliveries,"
        " so no access log), or `error`.",
    )
    tracing: str | None = _setting(
        "",
        url("http", "https"),
        "The OpenTelemetry collector for traces (OTLP over HTTP), such as `http://localhost:4318`; needs the"
        " extra `tracing`. Default: no spans are recorded.",
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
