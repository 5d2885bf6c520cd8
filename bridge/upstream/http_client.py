# SPDX-License-Identifier: Apache-2.0
"""HTTP client of upstream: SageMaker MLflow by ARN, signed, or any MLflow server by URL, unsigned."""

import datetime as dt
import hashlib
import re
from collections.abc import Mapping

import requests
import urllib3

from bridge.config.network import DIRECT, Network
from bridge.errors import CredentialsUnavailable
from bridge.process.clock import Clock
from bridge.upstream import Call, Denied, Headers, Outcome, Refused, Unavailable, Unknown
from bridge.upstream.aws.endpoint import Endpoint
from bridge.upstream.aws.signing import EMPTY_SHA256, Signer, canonical_target
from bridge.upstream.connections import Adapter
from bridge.upstream.loop_detection import InstanceId, format_via
from bridge.upstream.responses import classify
from schemas.endpoints import is_read_only

#: Connections that are kept open. More threads than that open further ones for a time.
_MAX_IDLE_CONNECTIONS = 32
#: The cheapest call of every MLflow version that needs a working database.
_PROBE_TARGET = "/api/2.0/mlflow/experiments/search?max_results=1"
_PROBE_TIMEOUT = dt.timedelta(seconds=2)
_PROBE_TTL = dt.timedelta(seconds=2)
_MAX_VERSION_LENGTH = 40


class HttpUpstream:
    """An upstream over pooled connections, see `bridge.upstream.Upstream`."""

    def __init__(
        self,
        endpoint: Endpoint,
        signer: Signer | None,
        *,
        clock: Clock,
        connect_timeout: dt.timedelta,
        read_timeout: dt.timedelta,
        instance_id: InstanceId | None = None,
        network: Network = DIRECT,
    ) -> None:
        self._endpoint = endpoint
        self._signer = signer
        self._clock = clock
        self._instance_id = instance_id
        self._timeouts = (connect_timeout.total_seconds(), read_timeout.total_seconds())
        self._proxies = network.proxies_of(endpoint.url)
        self._adapter = Adapter(network, endpoint.url, pool=_MAX_IDLE_CONNECTIONS, upstream=True)
        self._last_probe: tuple[dt.timedelta, Mapping[str, object]] | None = None

    def send(self, call: Call, trace_headers: Headers = ()) -> Outcome:
        """Send a call and return its outcome."""
        prepared = self._sign_call(call, trace_headers)
        return self._send_call(prepared, call) if isinstance(prepared, requests.PreparedRequest) else prepared

    def _sign_call(self, call: Call, trace_headers: Headers) -> requests.PreparedRequest | Outcome:
        """Return the request, signed now, or the outcome if it can't be built."""
        headers = dict(trace_headers)
        headers |= dict(call.headers) if call.headers else {"Content-Type": "application/json"}
        headers["Accept"] = "*/*" if call.headers else "application/json"
        if call.workspace is not None:
            headers["X-MLFLOW-WORKSPACE"] = call.workspace
        try:
            return self._prepare(call.method, call.path, headers, call.body, client=call.client)
        except CredentialsUnavailable as error:
            if call.client is not None and error.denied:
                # Only this client's session is denied; others may be allowed.
                return Denied(reason=str(error), action="sts:AssumeRole", error_code="AccessDenied")
            return Unavailable(reason=str(error), identity_failed=True)
        except (requests.exceptions.InvalidHeader, requests.exceptions.InvalidURL) as error:
            # A header or a path that HTTP can't carry, so no retry helps.
            message = f"HTTP can't carry this call: {type(error).__name__}"
            return Refused(status=400, error_code="BAD_REQUEST", message=message)

    def _send_call(self, prepared: requests.PreparedRequest, call: Call) -> Outcome:
        try:
            response = self._send_prepared(prepared, self._timeouts)
            body = response.content
        except (requests.ConnectTimeout, requests.exceptions.SSLError) as error:
            return Unavailable(reason=f"no connection to upstream: {type(error).__name__}")
        except requests.RequestException as error:
            if reason := _connection_failure(error):
                return Unavailable(reason=f"no connection to upstream: {reason}")
            return Unknown(reason=f"no answer from upstream: {type(error).__name__}")
        outcome = classify(response.status_code, response.headers, body, now=self._clock.now(), call=call)
        if isinstance(outcome, Unavailable) and outcome.identity_failed and self._signer:
            self._signer.for_client(call.client).invalidate_credentials()
        return outcome

    def version(self) -> str | None:
        """Return MLflow's version. SageMaker's gateway may not forward this path."""
        try:
            response = self.get("/version", timeout=_PROBE_TIMEOUT)
            text = response.content[:_MAX_VERSION_LENGTH].decode(errors="replace").strip()
        except (CredentialsUnavailable, requests.RequestException):
            return None
        return text if response.status_code == 200 and re.fullmatch(r"\d+\.\d+[\w.+-]*", text) else ""

    def probe(self) -> Mapping[str, object]:
        """Search for one experiment. The result is cached for two seconds.

        Only MLflow's JSON shows that it is reachable. For a stopped server, SageMaker's gateway sends plain text.
        """
        now = self._clock.monotonic()
        if self._last_probe is not None:
            probed_at, result = self._last_probe
            if now - probed_at <= _PROBE_TTL:
                return result
        result = self._probe()
        self._last_probe = (now, result)
        return result

    def _probe(self) -> Mapping[str, object]:
        try:
            response = self.get(_PROBE_TARGET, timeout=_PROBE_TIMEOUT)
            is_from_mlflow = response.content.lstrip().startswith(b"{") and response.status_code == 200
        except CredentialsUnavailable as error:
            return {"reachable": False, "reason": str(error)}
        except requests.RequestException as error:
            return {"reachable": False, "reason": type(error).__name__}
        if is_from_mlflow:
            return {"reachable": True, "reason": None}
        aws_error = response.headers.get("x-amzn-ErrorType", "").split(":")[0]
        return {"reachable": False, "reason": f"status {response.status_code} {aws_error}".strip()}

    def get(self, target: str, *, timeout: dt.timedelta) -> requests.Response:
        """Return the response to a signed GET, its body not yet read. ``timeout`` bounds the connection and each read.

        Raises ``CredentialsUnavailable`` and ``requests.RequestException``.
        """
        seconds = timeout.total_seconds()
        return self._send_prepared(self._prepare("GET", target, {}, None), (seconds, seconds))

    def _prepare(
        self,
        method: str,
        target: str,
        headers: Mapping[str, str],
        body: bytes | None,
        *,
        client: str | None = None,
    ) -> requests.PreparedRequest:
        url = self._endpoint.url + canonical_target(target)
        prepared = requests.Request(method, self._endpoint.url, headers=headers).prepare()
        # requests would quote the URL once more, but the signed URL must be the sent one.
        prepared.url = url
        prepared.body = body
        if body is not None:
            prepared.headers["Content-Length"] = str(len(body))
        prepared.headers["Host"] = self._endpoint.host
        prepared.headers.setdefault("User-Agent", "mlflow-bridge")
        if self._instance_id and (name := self._instance_id.name()):
            prepared.headers["Via"] = format_via([name])
        if self._signer:
            sha256 = EMPTY_SHA256 if body is None else _sha256(body)
            signer = self._signer.for_client(client)
            signed = signer.sign(method, url, headers, host=self._endpoint.host, body_sha256=sha256)
            prepared.headers.update(signed)
        return prepared

    def _send_prepared(self, prepared: requests.PreparedRequest, timeouts: tuple[float, float]) -> requests.Response:
        """Send a request over a pooled connection and return the response as soon as its head has arrived.

        The adapter is used without a session. A session would consume the body to follow `Location`, keep cookies, and
        use the proxies and netrc files of the environment.

        A write without a response is not repeated here. Its lane repeats it, in smaller calls for old servers.
        """
        path = str(prepared.url).removeprefix(self._endpoint.url).partition("?")[0]
        is_repeatable = is_read_only(str(prepared.method), path)
        return self._adapter.send_prepared(
            prepared, timeouts=timeouts, proxies=self._proxies, is_repeatable=is_repeatable
        )


def _sha256(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def _connection_failure(error: requests.RequestException) -> str | None:
    """Return why no connection was made, so that upstream can't have the request; None if one was made."""
    cause: object = error.args[0] if error.args else None
    if isinstance(cause, urllib3.exceptions.MaxRetryError):
        cause = cause.reason
    if isinstance(cause, urllib3.exceptions.ProxyError):
        # Only the proxy's status is shown, not its text.
        status = re.search(r"Tunnel connection failed: (\d{3})", str(cause.original_error))
        return f"the proxy answers with status {status[1]}" if status else "the proxy can't be reached"
    is_new = isinstance(cause, urllib3.exceptions.NewConnectionError)
    return "refused, or the host name is unknown" if is_new else None
