# SPDX-License-Identifier: Apache-2.0
"""All settings of the bridge: one frozen object, each field an environment variable."""

import dataclasses
import datetime as dt
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bridge.config.action_modes import ActionModes, action_modes
from bridge.config.network import CaBundle, Network, Proxies, ca_bundle_in, proxies_in
from bridge.config.parsers import (
    auth_kinds,
    count,
    duration,
    duration_or_zero,
    encryption_keys,
    host_name,
    hosts,
    is_loopback_name,
    label,
    log_level,
    metric_namespace,
    port,
    public_url,
    rate,
    role_session,
    roles,
    secret_arn,
    size,
    upstream,
    url,
    version,
)
from schemas.client import Scope
from schemas.write import Op

PREFIX = "BRIDGE_"
#: Calls with bodies of many megabytes, which MLflow itself accepts.
LONG_CALLS = frozenset({Op.LOG_BATCH, Op.LOG_INPUTS, Op.EXPORT_TRACES})
#: The sustained calls a second of a tracking server of size Small. Its burst is twice that.
_SMALL_SERVER_CALLS_PER_SECOND = 25.0
_BROKER_SCHEMES = ("redis", "rediss", "unix")
_CLUSTER_SCHEMES = ("redis+cluster", "rediss+cluster")
_SECRETS = {"encryption_keys", "oidc_client_secret"}
#: Settings that are secrets or hold passwords; each may be given as a file (`bridge.config.environment`).
CREDENTIALS = frozenset({*_SECRETS, "store_url", "broker_url", "proxy"})
#: The bounds of the lease margin, which is half of the longest call.
_MIN_LEASE_MARGIN = dt.timedelta(seconds=1)
_MAX_LEASE_MARGIN = dt.timedelta(seconds=5)


def _setting(default: str | None, read: Callable[[str], Any], about: str, **metadata: Any) -> Any:  # noqa: ANN401 - a dataclass field
    """Return a field: its default as text (None: required), parser, and text. ``read_all`` parses the environment."""
    return dataclasses.field(metadata={"default": default, "read": read, "about": about, **metadata})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings. Each field is the environment variable ``BRIDGE_`` + its name in capitals."""

    upstream: str = _setting(
        None,
        upstream,
        "The MLflow server behind the bridge: the ARN of a SageMaker tracking server or MLflow App, or the URL of any"
        " MLflow server. If it is not set, `mlflow-bridge up` starts a local `mlflow server`.",
    )
    upstream_endpoint: str | None = _setting(
        "", url("http", "https"), "The URL to use in place of the public endpoint of an ARN, such as a VPC endpoint."
    )
    assume_role_arn: str | None = _setting(
        "",
        str,
        "The IAM role to assume for calls to upstream. The environment's credentials need `sts:AssumeRole` on it.",
    )
    assume_role_session_name: str = _setting(
        "bridge",
        role_session,
        "The name of the role session: `bridge` (one session for all), `client` (one session per client with the"
        " client's name, which CloudTrail shows), or `source` (as `client`, with the name also as `SourceIdentity`; the"
        " role must allow `sts:SetSourceIdentity`). With `client` and `source`, a call never carries the writes of"
        " different clients.",
    )
    connect_timeout: dt.timedelta = _setting("3s", duration, "The timeout for connecting to upstream.")
    read_timeout: dt.timedelta = _setting(
        "20s",
        duration,
        "The timeout for upstream's response to one call. A lane's lease is a little longer than both timeouts, so the"
        " lanes of a killed worker continue after about this time.",
    )
    proxy_timeout: dt.timedelta = _setting(
        "120s",
        duration,
        "The timeout for upstream's response to a proxied request and for each pause within it, and for each pause of a"
        " client within its body.",
    )
    ca_bundle: CaBundle | None = _setting(
        "",
        str,
        "A file (PEM) with the certificate authorities that outgoing connections trust, in place of the public ones."
        " Default: the first that is set of `AWS_CA_BUNDLE`, `REQUESTS_CA_BUNDLE` and `SSL_CERT_FILE`.",
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
        "The client certificate (PEM) for mutual TLS with upstream. A renewed file is loaded without a restart.",
    )
    upstream_client_key: Path | None = _setting(
        "", Path, "The private key (PEM) of that certificate, without a password."
    )
    store_url: str = _setting(
        None,
        url(*_BROKER_SCHEMES, *_CLUSTER_SCHEMES),
        "The Redis that stores accepted writes: `redis://`, `rediss://`, `unix://`, or in cluster mode"
        " `redis+cluster://`, `rediss+cluster://`. It must be persistent and must not evict. If it is not set,"
        " `mlflow-bridge up` starts one.",
    )
    broker_url: str | None = _setting(
        "",
        url(*_BROKER_SCHEMES),
        "The Redis that carries hints to the workers. It may lose all data. Default: the store; required if that is in"
        " cluster mode, which Celery can't use.",
    )
    upstream_rate: float | None = _setting(
        "",
        rate,
        "The limit on calls to upstream a second, for all workers together; 0 for no limit."
        " Default: 25 for an ARN, the limit of the smallest tracking server; no limit for a URL.",
    )
    upstream_burst: int = _setting("50", count, "The number of calls that may be sent at once after a pause.")
    host: str = _setting("127.0.0.1", str, "The address that the api listens on.")
    port: int = _setting("8080", port, "The port that the api listens on; with `mlflow-bridge up`, 0 is any free one.")
    auth: tuple[str, ...] | None = _setting(
        "",
        auth_kinds,
        "The accepted credentials of clients, separated by commas: `keys` (API keys, see `mlflow-bridge keys`), `jwt`"
        " (tokens of an OpenID provider), `alb` (user claims of an AWS load balancer), `sigv4` (requests signed with an"
        " access key of `mlflow-bridge keys create --sigv4`). `none` is allowed on a loopback address only, and the"
        " default there.",
    )
    jwt_issuer: str | None = _setting("", url("https", "http"), "The issuer of tokens (their `iss` claim).")
    jwt_audience: str | None = _setting("", str, "The required audience of tokens (their `aud` claim).")
    jwt_jwks_url: str | None = _setting(
        "",
        url("https", "http"),
        "The URL of the issuer's public keys (JWKS). Default: `/.well-known/jwks.json` below the issuer.",
    )
    alb_arn: str | None = _setting("", str, "The ARN of the load balancer that authenticates users.")
    alb_issuer: str | None = _setting("", str, "The OpenID provider of the load balancer (its `iss` header field).")
    alb_client_id: str | None = _setting(
        "", str, "The load balancer's client id at that provider (its `client` header field)."
    )
    alb_keys_url: str | None = _setting(
        "", url("https", "http"), "The URL of the load balancer's public keys. Default: that of AWS for its region."
    )
    public_url: str | None = _setting(
        "", public_url, "Where browsers find the bridge, such as `https://bridge.example`; an OpenID sign-in needs it."
    )
    console_host: str | None = _setting(
        "",
        host_name,
        "A second name of the bridge, for operators alone: with it, browsers that sign in under another name never act"
        " as `admin`, and under this one MLflow is not shown.",
    )
    label: str | None = _setting("", label, "The name of this environment, such as `staging`, for the portal's header.")
    oidc_client_id: str | None = _setting(
        "", str, "The bridge's client id at the OpenID provider (`BRIDGE_JWT_ISSUER`), where browsers sign in then."
    )
    oidc_client_secret: str | None = _setting(
        "", str, "The secret to that client id. Default: none, for a public client, which PKCE alone protects."
    )
    oidc_roles: tuple[tuple[str, Scope], ...] | None = _setting(
        "",
        roles,
        "What the provider's roles allow, such as `ml-ops:admin,ml:read`. Who has none of them, and no permission of"
        " `mlflow-bridge keys update`, can't sign in.",
    )
    oidc_roles_claim: str = _setting("groups", str, "The claim of the ID token that holds the roles.")
    session_idle_timeout: dt.timedelta = _setting(
        "8h", duration, "After how long without a request a browser session ends."
    )
    session_max_age: dt.timedelta = _setting("24h", duration, "After how long a browser session ends in any case.")
    encryption_keys: tuple[bytes, ...] | None = _setting(
        "",
        encryption_keys,
        "The keys that encrypt the secrets of access keys (`sigv4`) in the store: 32 random bytes in base64"
        " (`openssl rand -base64 32`). Of several, separated by commas, the first encrypts and all decrypt.",
    )
    encryption_keys_secret_arn: str | None = _setting(
        "",
        secret_arn,
        "The ARN of a secret in AWS Secrets Manager that holds these keys instead. Each process reads it at its start.",
    )
    tls_cert_file: Path | None = _setting(
        "", Path, "The certificate chain (PEM) for TLS at the api itself. A renewed file is loaded without a restart."
    )
    tls_key_file: Path | None = _setting("", Path, "The private key (PEM) of that certificate, without a password.")
    trusted_proxies: int | None = _setting(
        "",
        count,
        "The number of proxies before the api, the first of which terminates TLS. The client's address is that many"
        " entries from the end of `X-Forwarded-For`. Without it and without a certificate, the api listens on a"
        " loopback address only.",
    )
    allowed_hosts: tuple[str, ...] | None = _setting(
        "",
        hosts,
        "The accepted host names of requests, separated by commas; `*` for any. Default: any, but on a loopback"
        " address, or with `BRIDGE_PUBLIC_URL`, only `localhost`, IP addresses and the names of those settings, which"
        " prevents DNS rebinding by web pages.",
    )
    idle_timeout: dt.timedelta = _setting(
        "75s",
        duration,
        "The timeout for an idle connection, for the head of a request, and for a client that takes nothing of its"
        " response. It must be longer than the idle timeout of a load balancer before the api (60 s at AWS). Otherwise"
        " the load balancer sends requests over closed connections.",
    )
    api_processes: int = _setting("1", count, "The number of server processes of the api.")
    api_threads: int = _setting(
        "16", count, "Threads per server process for the bridge's own routes. Writes and proxied requests need none."
    )
    worker_processes: int = _setting("2", count, "The number of worker processes that `mlflow-bridge up` starts.")
    worker_concurrency: int = _setting("8", count, "The number of lanes that one worker process delivers at a time.")
    action_modes: ActionModes | None = _setting(
        "",
        action_modes,
        "Actions or groups (`writes`, `reads`) that are handled otherwise than by default, separated by commas:"
        " `queued`, `proxied` or `refused`, such as `writes:proxied,LogMetric:queued,DeleteRun:refused`.",
    )
    max_write_age: dt.timedelta = _setting(
        "72h",
        duration,
        "The age at which an undelivered write becomes a dead letter, after one more attempt.",
    )
    upstream_version: str | None = _setting(
        "",
        version,
        "The version of upstream's MLflow, such as `2.16.2`, if upstream does not report it at `/version`. It decides"
        " the limits on writes.",
    )
    denial_grace: dt.timedelta = _setting(
        "15m",
        duration,
        "The time after which a write that upstream denies becomes a dead letter, while upstream accepts others.",
    )
    job_retention: dt.timedelta = _setting(
        "24h", duration, "How long the status of a delivered job is kept after its lane has drained."
    )
    run_name_retention: dt.timedelta = _setting(
        "720h", duration, "How long the run id of a named run is kept after its last use."
    )
    dead_letter_retention: dt.timedelta | None = _setting(
        "",
        duration,
        "How long a dead letter is kept; an older one is discarded and logged. Default: until it is drained.",
    )
    max_pending_run: int = _setting(
        "256MiB", size, "The limit on pending bytes of one run; beyond it, clients get 429."
    )
    max_pending_client: int = _setting(
        "1GiB", size, "The limit on pending bytes of one client; beyond it, the client gets 429."
    )
    max_store: int = _setting(
        "2GiB",
        size,
        "The limit on bytes of pending writes and dead letters in the store; beyond it, clients get 503. They also do"
        " when the store has used 80 % of its own `maxmemory`. Keep the limit well below the store's memory.",
    )
    quota_requests: float | None = _setting(
        "", rate, "The limit on requests a second of one client. Default of all quotas: no limit."
    )
    quota_writes: float | None = _setting("", rate, "The limit on writes a second of one client.")
    quota_bytes: int | None = _setting("", size, "The limit on bytes of bodies a second of one client, such as `1MiB`.")
    max_body_size: int = _setting(
        "10MiB",
        size,
        "The limit on the decompressed body of a queued write, or of a request to the bridge's own routes.",
    )
    max_long_body_size: int = _setting(
        "40MiB",
        size,
        "The same limit for `log-batch`, `log-inputs` (a dataset's profile may have 16 MiB) and `/v1/traces`; never"
        " less than `BRIDGE_MAX_BODY_SIZE`. Parsing takes up to thirty times the body's length in memory. So a server"
        " process parses one body over 4 MiB at a time, and one smaller one beside it.",
    )
    read_your_writes_timeout: dt.timedelta = _setting(
        "2s",
        duration,
        "How long a read of a run waits for the delivery of earlier writes to this run, unless the request says"
        " otherwise.",
    )
    shutdown_delay: dt.timedelta = _setting(
        "1s",
        duration_or_zero,
        "How long the api still responds after a stop signal, to new writes with 503, so that a load balancer redirects"
        " them. `0s` for none, where another api listens on the same port.",
    )
    shutdown_timeout: dt.timedelta = _setting(
        "30s",
        duration,
        "The timeout of each shutdown step (api, workers, the rest), after which remaining processes are killed.",
    )
    log_level: str = _setting(
        "info",
        log_level,
        "The lowest level that is logged: `debug` (includes each call to upstream), `info`, `warning` (no requests and"
        " deliveries, so no audit log), or `error`.",
    )
    tracing: str | None = _setting(
        "",
        url("http", "https"),
        "The OpenTelemetry collector for traces (OTLP over HTTP), such as `http://localhost:4318`. It needs the extra"
        " `tracing`. Default: no traces.",
    )
    emf_namespace: str | None = _setting(
        "",
        metric_namespace,
        "The CloudWatch namespace of metrics that the api writes to its log, a line a minute in the Embedded Metric"
        " Format. Default: none.",
    )
    data_dir: Path = _setting(
        ".data", Path, "The directory of `mlflow-bridge up` for its store, its local MLflow and its logs."
    )

    @property
    def listens_on_loopback(self) -> bool:
        """Whether only programs on this machine can reach the api."""
        return is_loopback_name(self.host)

    @property
    def broker(self) -> str:
        """The URL of the broker in force."""
        return self.broker_url or self.store_url

    def longest_body(self, op: Op | None) -> int:
        """Return the limit in bytes on the body of a queued call; None is a request to the bridge's own routes."""
        return max(self.max_body_size, self.max_long_body_size) if op in LONG_CALLS else self.max_body_size

    @property
    def network(self) -> Network:
        """The network settings of outgoing connections."""
        return Network(
            ca_bundle=self.ca_bundle,
            proxies=self.proxy,
            client_certificate=self.upstream_client_certificate,
            client_key=self.upstream_client_key,
        )

    @property
    def calls_per_second(self) -> float | None:
        """The limit on calls to upstream a second, None if there is none."""
        if self.upstream_rate is not None:
            return self.upstream_rate or None
        return _SMALL_SERVER_CALLS_PER_SECOND if self.upstream.startswith("arn:") else None

    @property
    def uses_client_sessions(self) -> bool:
        """Whether each call to upstream is signed with its client's own session of the role."""
        return self.assume_role_session_name != "bridge" and self.upstream.startswith("arn:")

    @property
    def lease(self) -> dt.timedelta:
        """The lease of a claim on a lane: longer than the longest upstream call, with a margin to settle it."""
        call = self.connect_timeout + self.read_timeout
        return call + max(_MIN_LEASE_MARGIN, min(call / 2, _MAX_LEASE_MARGIN))

    def __repr__(self) -> str:
        """Show the settings with secrets and passwords masked."""
        values = {field.name: masked_setting(field, getattr(self, field.name)) for field in dataclasses.fields(self)}
        return f"Settings({', '.join(f'{name}={value!r}' for name, value in values.items())})"


def masked_setting(field: "dataclasses.Field[Any]", value: object) -> object:
    """Return the value of a setting: ``***`` for a secret, and with the password of a URL masked."""
    return "***" if value and field.name in _SECRETS else masked(value)


def masked(value: object) -> object:
    """Mask possible passwords in a URL: everything before its last ``@``, and a parameter ``password``."""
    if not isinstance(value, str):
        return value
    return re.sub(r"(password=)[^&]*", r"\1***", re.sub(r"://.*@", "://***@", value))


def variable(field: "dataclasses.Field[Any]") -> str:
    """Return the environment variable of a field."""
    return PREFIX + field.name.upper()
