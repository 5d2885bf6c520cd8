# SPDX-License-Identifier: Apache-2.0
"""Upstream over HTTP: SageMaker MLflow by ARN, signed, or any MLflow server by URL, unsigned."""

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
from schemas.endpoints import only_reads

#: Connections that are kept open; more are made when more threads than that send at a time.
_POOL = 32
#: The cheapest call that every MLflow version has and that needs a working database behind it.
_PROBE_TARGET = "/api/2.0/mlflow/experiments/search?max_results=1"
_PROBE_TIMEOUT = dt.timedelta(seconds=2)
_PROBE_LASTS = dt.timedelta(seconds=2)
_LONGEST_VERSION = 40


class HttpUpstream:
    """See `bridge.upstream.Upstream` for every promise."""

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
        self._adapter = Adapter(network, endpoint.url, pool=_POOL, upstream=True)
        self._probed: tuple[dt.timedelta, Mapping[str, object]] | None = None

    def send(self, call: Call, followed_by: Headers = ()) -> Outcome:
        """Send a call and return what it came to."""
        prepared = self._prepared(call, followed_by)
        return self._sent(prepared, call) if isinstance(prepared, requests.PreparedRequest) else prepared

    def _prepared(self, call: Call, followed_by: Headers) -> requests.PreparedRequest | Outcome:
        """Return the request, signed now, or what it comes to that there can be none."""
        headers = dict(followed_by)
        headers |= dict(call.headers) if call.headers else {"Content-Type": "application/json"}
        headers["Accept"] = "*/*" if call.headers else "application/json"
        if call.workspace is not None:
            headers["X-MLFLOW-WORKSPACE"] = call.workspace
        try:
            return self._prepare(call.method, call.path, headers, call.body, client=call.client)
        except CredentialsUnavailable as error:
            if call.client is not None and error.denied:
                # The session of this client alone; those of others may be had.
                return Denied(reason=str(error), action="sts:AssumeRole", error_code="AccessDenied")
            return Unavailable(reason=str(error), ours=True)
        except (requests.exceptions.InvalidHeader, requests.exceptions.InvalidURL) as error:
            # A header or a path that can't be sent, today or ever.
            return Refused(status=400, error_code="BAD_REQUEST", message=f"it can't be sent: {type(error).__name__}")

    def _sent(self, prepared: requests.PreparedRequest, call: Call) -> Outcome:
        try:
            response = self._sender(prepared, self._timeouts)
            body = response.content
        except (requests.ConnectTimeout, requests.exceptions.SSLError) as error:
            return Unavailable(reason=f"no connection to upstream: {type(error).__name__}")
        except requests.RequestException as error:
            if reason := _never_sent(error):
                return Unavailable(reason=f"no connection to upstream: {reason}")
            return Unknown(reason=f"no answer from upstream: {type(error).__name__}")
        outcome = classify(response.status_code, response.headers, body, now=self._clock.now(), call=call)
        if isinstance(outcome, Unavailable) and outcome.ours and self._signer:
            self._signer.of(call.client).refused()
        return outcome

    def version(self) -> str | None:
        """Ask upstream for its version. SageMaker's door may not pass the question on."""
        try:
            response = self.ask("/version", timeout=_PROBE_TIMEOUT)
            text = response.content[:_LONGEST_VERSION].decode(errors="replace").strip()
        except (CredentialsUnavailable, requests.RequestException):
            return None
        return text if response.status_code == 200 and re.fullmatch(r"\d+\.\d+[\w.+-]*", text) else ""

    def probe(self) -> Mapping[str, object]:
        """Ask upstream for one experiment; whoever asks again soon is told the same.

        Only MLflow's JSON counts as an answer: SageMaker's door answers for a stopped server, too, with plain text.
        """
        now = self._clock.monotonic()
        if self._probed is None or now - self._probed[0] > _PROBE_LASTS:
            self._probed = (now, self._probe())
        return self._probed[1]

    def _probe(self) -> Mapping[str, object]:
        try:
            response = self.ask(_PROBE_TARGET, timeout=_PROBE_TIMEOUT)
            answered = response.content.lstrip().startswith(b"{") and response.status_code == 200
        except CredentialsUnavailable as error:
            return {"reachable": False, "reason": str(error)}
        except requests.RequestException as error:
            return {"reachable": False, "reason": type(error).__name__}
        if answered:
            return {"reachable": True, "reason": None}
        aws_error = response.headers.get("x-amzn-ErrorType", "").split(":")[0]
        return {"reachable": False, "reason": f"status {response.status_code} {aws_error}".strip()}

    def ask(self, target: str, *, timeout: dt.timedelta) -> requests.Response:
        """Return upstream's answer to a signed GET, its body not yet read; ``timeout`` is for each step of it.

        Raises ``CredentialsUnavailable`` and what requests raises.
        """
        seconds = timeout.total_seconds()
        return self._sender(self._prepare("GET", target, {}, None), (seconds, seconds))

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
        # requests would quote the URL once more; what is signed must be what is sent.
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
            signer = self._signer.of(client)
            signed = signer.sign(method, url, headers, host=self._endpoint.host, body_sha256=sha256)
            prepared.headers.update(signed)
        return prepared

    def _sender(self, prepared: requests.PreparedRequest, timeouts: tuple[float, float]) -> requests.Response:
        """Send a request over a pooled connection and return the answer as soon as its head is there.

        The adapter is used without a session: that one would follow `Location` headers far enough to read the body
        away, keep cookies, and let proxies and netrc files of the environment have their way.

        A write that gets no answer is not repeated here: its lane does that, and knows of old servers that take a
        repetition otherwise.
        """
        path = str(prepared.url).removeprefix(self._endpoint.url).partition("?")[0]
        repeats = only_reads(str(prepared.method), path)
        return self._adapter.send_prepared(prepared, timeouts=timeouts, proxies=self._proxies, repeats=repeats)


def _sha256(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def _never_sent(error: requests.RequestException) -> str | None:
    """Return why the connection could not even be made, so that upstream can't have the request; None if it could."""
    cause: object = error.args[0] if error.args else None
    if isinstance(cause, urllib3.exceptions.MaxRetryError):
        cause = cause.reason
    if isinstance(cause, urllib3.exceptions.ProxyError):
        # A status is all that is shown of what the proxy says.
        status = re.search(r"Tunnel connection failed: (\d{3})", str(cause.original_error))
        return f"the proxy answers with status {status[1]}" if status else "the proxy can't be reached"
    is_new = isinstance(cause, urllib3.exceptions.NewConnectionError)
    return "refused, or its name is not known" if is_new else None
