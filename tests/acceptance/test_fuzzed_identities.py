# SPDX-License-Identifier: Apache-2.0
"""Whoever asks for whatever: a stranger learns nothing, a reader changes nothing, and nobody breaks anything."""

import datetime as dt
import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from requests.structures import CaseInsensitiveDict
from schemathesis import Case, GenerationMode

from api.openapi.document import openapi_document
from api.routes.table import ROUTES
from bridge.auth.api_keys import new_key
from bridge.bootstrap.processes import build_api
from bridge.config.environment import read_settings
from schemas.client import Client, Scope
from schemas.endpoints import ENDPOINTS, OTLP_PATH
from tests.amounts import amount
from tests.asgi_client import client_of
from tests.recording_upstream import RecordingUpstream
from tests.servers import Server

#: Generated requests.
pytestmark = pytest.mark.full


DOCUMENT = openapi_document(ROUTES)
#: Each call, asked for as described and otherwise; of a GET little can be otherwise but its path.
OPERATIONS = [
    (method, path, mode)
    for path, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
    for mode in GenerationMode
    if mode is GenerationMode.POSITIVE or "requestBody" in operation or (method != "get" and "{" in path)
]
OPEN = ("/healthz", "/readyz", "/openapi.json", "/docs", "/v1/session")
OURS = (
    *("/v1/writes", "/v1/jobs", "/v1/runs", "/v1/backlog", "/v1/dead-letters", "/v1/keys", "/v1/sessions"),
    *("/v1/clients", "/v1/actions", "/v1/audit", "/v1/upstreams", "/v1/usage"),
    *("/v1/overview", "/v1/series", "/v1/lanes", "/v1/workers", "/metrics", "/app", *OPEN),
)
STRANGERS = ("nobody", "revoked")
KNOWN = ("reader", "default", "admin")
#: Calls that change nothing although they are no GET; said here once more, by hand.
READS = ("/search", "/get-metric-history-bulk", "/jobs/lookup", "graphql", "/query", "/batchGet", "calculate", "/get")
QUICKLY = settings(max_examples=amount(1, 3), deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
WIDELY = settings(QUICKLY, max_examples=amount(100, 400))


@dataclass
class Fuzzed:
    """The api in this process, its clients, and what strangers were told so far."""

    schema: Any
    http: Any
    upstream: RecordingUpstream
    logins: dict[str, dict[str, str]]
    #: All the answers to strangers, by who is expected to read them.
    refusals: dict[str, set[tuple[object, ...]]] = field(default_factory=dict)
    _addresses: Iterator[int] = field(default_factory=itertools.count)

    def headers(self, who: str) -> dict[str, str]:
        """Each from an address of its own, or strangers were soon kept waiting."""
        number = next(self._addresses)
        return self.logins[who] | {"X-Forwarded-For": f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"}

    def check(self, who: str, method: str, path: str, answer: Any) -> None:
        """See that this one was told what he may be told."""
        assert answer.status_code != 500, (who, method, path)
        assert "Traceback" not in answer.text
        assert not any(key in answer.text for login in self.logins.values() for key in login.values())
        if who == "reader" and method not in ("GET", "HEAD", "OPTIONS") and answer.status_code < 300:
            # A client may end its own session, which is none here.
            assert path == "/v1/session" or any(word in path for word in READS), (method, path)
        if who in STRANGERS and not _is_open(path) and answer.status_code != 400:
            self._check_refusal(path, answer)

    def _check_refusal(self, path: str, answer: Any) -> None:
        # Each path is answered in the form that its callers read, whether there is such a one or not.
        ours = any(path == each or path.startswith(f"{each}/") for each in OURS)
        form = "OpenTelemetry's" if path == OTLP_PATH else "ours" if ours else "MLflow's"
        refusals = self.refusals.setdefault(form, set())
        # To a HEAD there is no body.
        if answer.request_method != "HEAD":
            names = {name.lower() for name in answer.headers} - {"date"}
            refusals.add((answer.status_code, answer.text, tuple(sorted(names))))
        assert answer.status_code == 401, path
        assert len(refusals) <= 1, refusals


def _is_open(path: str) -> bool:
    return path in OPEN or path == "/app" or path.startswith("/app/")


@dataclass
class Told:
    """An answer of either way of asking."""

    status_code: int
    text: str
    #: Their names.
    headers: Iterable[str]
    request_method: str


@pytest.fixture(scope="module")
def fuzzed(redis_server: tuple[Server, str]) -> Iterator[Fuzzed]:
    with RecordingUpstream() as upstream:
        environ = {
            "BRIDGE_STORE_URL": redis_server[1],
            "BRIDGE_UPSTREAM": upstream.url,
            "BRIDGE_AUTH": "keys",
            "BRIDGE_TRUSTED_PROXIES": "1",
            "BRIDGE_READ_YOUR_WRITES_TIMEOUT": "1ms",
            "BRIDGE_ALLOWED_HOSTS": "*",
        }
        bridge = build_api(read_settings(environ))
        scopes = {"revoked": (Scope.ADMIN,), "reader": (Scope.READ,), "default": (), "admin": (Scope.ADMIN,)}
        logins: dict[str, dict[str, str]] = {"nobody": {}}
        for name, granted in scopes.items():
            key, owner = new_key(), f"fuzzed-{name}"
            bridge.api_keys.put_client(Client(name=owner, scopes=granted) if granted else Client(name=owner))
            bridge.api_keys.add_key(owner, key, now=dt.datetime.now(dt.UTC), expires_at=None)
            logins[name] = {"Authorization": f"Bearer {key.text}"}
        assert bridge.api_keys.revoke(client="fuzzed-revoked") == 1
        with client_of(bridge) as client:
            yield Fuzzed(schemathesis.openapi.from_wsgi("/openapi.json", client.application), client, upstream, logins)
        bridge.api_keys.revoke(client="fuzzed-admin")


@pytest.mark.parametrize(("method", "path", "mode"), OPERATIONS)
def test_what_is_described_is_told_only_to_whom_it_concerns(
    fuzzed: Fuzzed, method: str, path: str, mode: GenerationMode
) -> None:
    @QUICKLY
    @given(fuzzed.schema[path][method.upper()].as_strategy(mode))
    def ask(case: Case[Any]) -> None:
        said = {name: value for name, value in (case.headers or {}).items() if name.lower() not in _WHO}
        for who in (*STRANGERS, *KNOWN):
            case.headers = CaseInsensitiveDict(said | fuzzed.headers(who))
            answer = case.call()
            told = Told(answer.status_code, answer.text, list(answer.headers), case.method)
            fuzzed.check(who, case.method, case.formatted_path, told)

    ask()


_WHO = ("authorization", "x-api-key", "x-forwarded-for")

_METHODS = st.sampled_from(["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "TRACE", "get", "post", "X"])
_PART = st.text(st.characters(min_codepoint=33, max_codepoint=0x2FF, exclude_characters="?#%{}\x7f"), max_size=8)
_KNOWN = st.sampled_from(sorted({each.path for each in ENDPOINTS} | set(OURS) | {OTLP_PATH}))
_PATHS = st.one_of(
    _KNOWN,
    st.builds(lambda known, part: f"{known}/{part}", _KNOWN, _PART),
    st.builds(lambda known, part: known + part, _KNOWN, _PART),
    # The test client takes a bracket behind two slashes for an address, and does not send the request.
    st.builds(lambda parts: "/" + "/".join(parts), st.lists(_PART, max_size=4)).filter(
        lambda path: not path.startswith("//") or {"[", "]"}.isdisjoint(path)
    ),
)


def test_what_is_not_described_is_told_to_no_stranger_either(fuzzed: Fuzzed) -> None:
    @WIDELY
    @given(_METHODS, _PATHS, st.sampled_from([*STRANGERS, *KNOWN]), st.binary(max_size=20))
    def ask(method: str, path: str, who: str, body: bytes) -> None:
        fuzzed.upstream.expect()

        answer = fuzzed.http.open(path, method=method, headers=fuzzed.headers(who), data=body)

        # As it is decided by: several slashes are one.
        asked = "/" + "/".join(part for part in path.split("/")[1:-1] if part)
        asked = f"{asked.rstrip('/')}/{path.rsplit('/', 1)[1]}"
        fuzzed.check(who, method, asked, Told(answer.status_code, answer.text, answer.headers.keys(), method))
        assert who not in STRANGERS or fuzzed.upstream.requests == []

    ask()


def test_strangers_hear_one_thing_in_each_of_three_forms(fuzzed: Fuzzed) -> None:
    for path in ("/v1/jobs", "/v1/jobs/x", "/v1/runs/none/at/all", "/api/2.0/mlflow/runs/get", "/nothing", OTLP_PATH):
        for who in STRANGERS:
            for method in ("GET", "POST", "DELETE", "TRACE"):
                answer = fuzzed.http.open(path, method=method, headers=fuzzed.headers(who))
                fuzzed.check(who, method, path, Told(answer.status_code, answer.text, answer.headers.keys(), method))

    assert sorted(fuzzed.refusals) == ["MLflow's", "OpenTelemetry's", "ours"]
