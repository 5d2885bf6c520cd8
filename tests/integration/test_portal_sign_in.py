# SPDX-License-Identifier: Apache-2.0
"""Signing browsers in and out over HTTP: what gets a session, what does not, and how long it lasts."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from werkzeug.test import Client as Http
from werkzeug.test import TestResponse

from api.auth.sigv4 import KEY_CACHE_TTL_S
from bridge import events
from bridge.bootstrap.processes import Api, build_api
from bridge.config.environment import read_settings
from schemas.client import Client, Scope
from tests.asgi_client import client_of
from tests.integration.test_api_access import key_for
from tests.openid_provider import CLIENT_ID, CLIENT_SECRET, Provider, openid_provider
from tests.servers import wait_until

ORIGIN, HOST = "https://bridge.example", "bridge.example"
CONSOLE_HOST = "ops.example"
SESSION, SIGN_IN = "__Host-bridge-session", "__Host-bridge-sign-in"


@pytest.fixture
def provider() -> Iterator[Provider]:
    with openid_provider() as provider:
        yield provider


@pytest.fixture
def portal_environ(environ: dict[str, str], provider: Provider) -> dict[str, str]:
    return environ | {
        "BRIDGE_AUTH": "keys",
        "BRIDGE_PUBLIC_URL": ORIGIN,
        "BRIDGE_JWT_ISSUER": provider.url,
        "BRIDGE_OIDC_CLIENT_ID": CLIENT_ID,
        "BRIDGE_OIDC_CLIENT_SECRET": CLIENT_SECRET,
        "BRIDGE_OIDC_ROLES": "ml-ops:admin,ml:read",
        "BRIDGE_LABEL": "staging",
    }


@pytest.fixture
def console(tmp_path: Path) -> Path:
    """A build of the console."""
    (tmp_path / "assets").mkdir()
    (tmp_path / "index.html").write_text("<!doctype html><title>Console</title>" + " " * 2000)
    (tmp_path / "assets" / "index-1a2b.js").write_text("console.log(1);" * 200)
    return tmp_path


@pytest.fixture
def portal(portal_environ: dict[str, str]) -> Api:
    return build_api(read_settings(portal_environ))


@pytest.fixture
def http(portal: Api, console: Path) -> Iterator[Http]:
    with client_of(portal, console=console) as client:
        yield client


class Browser:
    """Sends what a browser sends: its cookies, and where a request comes from."""

    def __init__(self, http: Http, *, host: str = HOST) -> None:
        self.http = http
        self.host = host
        self.cookies: dict[str, str] = {}

    def ask(self, method: str, path: str, *, headers: dict[str, str] | None = None, **options: Any) -> TestResponse:
        sent = {"Host": self.host}
        if method not in ("GET", "HEAD"):
            sent["Origin"] = f"https://{self.host}"
        if self.cookies:
            sent["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        answer = self.http.open(path, method=method, headers=sent | (headers or {}), **options)
        for line in answer.headers.getlist("Set-Cookie"):
            name, _, value = line.partition(";")[0].partition("=")
            if value:
                self.cookies[name] = value
            else:
                self.cookies.pop(name, None)
        return answer

    def sign_in_with(self, key: str) -> TestResponse:
        return self.ask("POST", "/v1/session", json={"key": key})

    def sign_in_at(self, provider: Provider, *, to: str = "/app/jobs") -> TestResponse:
        """Follow the redirects of a sign-in at the provider, up to the last."""
        begun = self.ask("GET", "/app/sign-in/oidc", query_string={"to": to})
        assert begun.status_code == 303, begun.data
        return self.come_back(provider.sign_in(begun.headers["Location"]))

    def come_back(self, url: str) -> TestResponse:
        parts = urlsplit(url)
        return self.ask("GET", f"{parts.path}?{parts.query}")

    def session(self) -> Any:
        return self.ask("GET", "/v1/session").get_json()


def refused_because(answer: TestResponse) -> str:
    assert answer.status_code == 303
    parts = urlsplit(answer.headers["Location"])
    assert parts.path == "/app/sign-in"
    return parse_qs(parts.query)["error"][0]


def test_without_a_session_the_ways_to_sign_in_are_told(http: Http) -> None:
    answer = Browser(http).ask("GET", "/v1/session")

    document = answer.get_json()
    assert answer.status_code == 200
    assert document["signed_in"] is False
    assert document["sign_in"] == {"key": True, "oidc": True}
    assert document["label"] == "staging"
    assert document["client"] is None


def test_without_auth_on_loopback_everybody_is_signed_in(environ: dict[str, str], console: Path) -> None:
    with client_of(build_api(read_settings(environ)), console=console) as http:
        document = http.get("/v1/session").get_json()
        page = http.get("/", headers={"Sec-Fetch-Dest": "document", "Sec-Fetch-Mode": "navigate"})

    assert (document["signed_in"], document["via"]) == (True, "none")
    assert document["sign_in"] == {"key": False, "oidc": False}
    assert page.status_code == 200


def test_a_key_signs_a_browser_in_by_a_cookie_that_no_script_reads(http: Http, portal: Api) -> None:
    browser = Browser(http)

    answer = browser.sign_in_with(key_for(portal, "anna", scopes=(Scope.READ, Scope.WRITE)))

    document = answer.get_json()
    assert answer.status_code == 200
    assert (document["client"], document["via"], document["read_only"]) == ("anna", "key", False)
    assert "GetJob" in document["actions"]
    assert "GetBacklog" not in document["actions"]
    cookie = answer.headers["Set-Cookie"]
    assert cookie.startswith(f"{SESSION}=")
    assert {"Secure", "HttpOnly", "SameSite=Lax", "Path=/"} <= {part.strip() for part in cookie.split(";")}
    assert "Domain" not in cookie
    assert browser.session() == document
    assert browser.ask("GET", "/api/2.0/mlflow/experiments/search?max_results=1").status_code == 200


@pytest.mark.parametrize("text", ["", "x", "mbk_unknown000_" + "x" * 43])
def test_a_wrong_key_signs_no_browser_in(http: Http, text: str) -> None:
    browser = Browser(http)

    answer = browser.sign_in_with(text)

    assert answer.status_code == 401
    assert answer.get_json()["type"] == "urn:mlflow-bridge:problem:invalid-credentials"
    assert "WWW-Authenticate" not in answer.headers
    assert browser.cookies == {}


def test_after_many_wrong_keys_of_an_address_a_right_one_has_to_wait(http: Http, portal: Api) -> None:
    right = key_for(portal, "anna")
    browser = Browser(http)

    statuses = [browser.sign_in_with(f"mbk_unknown{number:03}_" + "x" * 43).status_code for number in range(20)]

    assert set(statuses) == {401}
    assert browser.sign_in_with(right).status_code == 429


def test_the_body_of_a_sign_in_is_json_with_a_key(http: Http, portal: Api) -> None:
    key = key_for(portal, "anna")
    browser = Browser(http)

    form = browser.ask("POST", "/v1/session", data=f'{{"key": "{key}"}}', content_type="text/plain")
    other = browser.ask("POST", "/v1/session", json={"key": key, "to": "/app"})

    assert (form.status_code, other.status_code) == (415, 400)
    assert key.encode() not in other.data
    assert browser.cookies == {}


def test_a_session_ends_within_five_seconds_after_its_key_is_revoked(http: Http, portal: Api) -> None:
    assert KEY_CACHE_TTL_S <= 5
    browser = Browser(http)
    browser.sign_in_with(key_for(portal, "anna"))
    assert browser.ask("GET", "/v1/keys/mine").status_code == 200

    portal.api_keys.revoke(client="anna")

    wait_until(lambda: browser.ask("GET", "/v1/keys/mine").status_code == 401, timeout=KEY_CACHE_TTL_S + 2)


def test_a_sign_in_never_goes_on_with_a_session_that_was_there_before(http: Http, portal: Api) -> None:
    """Session fixation: a value that somebody has planted stands for nothing afterwards."""
    planted = Browser(http)
    planted.sign_in_with(key_for(portal, "mallory"))
    victim = Browser(http)
    victim.cookies[SESSION] = planted.cookies[SESSION]

    victim.sign_in_with(key_for(portal, "anna"))

    assert victim.cookies[SESSION] != planted.cookies[SESSION]
    assert victim.session()["client"] == "anna"
    assert planted.session()["signed_in"] is False


def test_a_sign_out_ends_the_session_for_whoever_has_its_cookie(http: Http, portal: Api) -> None:
    browser, copy = Browser(http), Browser(http)
    browser.sign_in_with(key_for(portal, "anna"))
    copy.cookies = dict(browser.cookies)

    answer = browser.ask("DELETE", "/v1/session")

    assert answer.get_json() == {"end_session_url": None}
    assert browser.cookies == {}
    assert copy.session()["signed_in"] is False
    assert copy.ask("GET", "/v1/keys/mine").status_code == 401


def test_authorization_counts_before_the_cookie(http: Http, portal: Api) -> None:
    browser = Browser(http)
    browser.sign_in_with(key_for(portal, "anna"))

    with_key = browser.ask("GET", "/v1/session", headers={"Authorization": f"Bearer {key_for(portal, 'robot')}"})
    with_wrong_key = browser.ask("GET", "/v1/keys/mine", headers={"Authorization": "Bearer mbk_wrong"})

    assert with_key.get_json()["client"] == "robot"
    assert with_wrong_key.status_code == 401


def test_a_sign_in_at_the_provider_leads_back_to_the_page(http: Http, provider: Provider) -> None:
    browser = Browser(http)

    answer = browser.sign_in_at(provider, to="/app/jobs?status=dead")

    assert (answer.status_code, answer.headers["Location"]) == (303, "/app/jobs?status=dead")
    session = browser.session()
    assert (session["client"], session["display"], session["via"]) == ("oidc:anna", "Anna", "oidc")
    assert (session["scopes"], session["read_only"]) == (["read"], True)
    assert SIGN_IN not in browser.cookies


@pytest.mark.parametrize(("query", "asked"), [({}, (None, None)), ({"again": "1"}, ("login", "0"))])
def test_a_person_who_signs_in_again_gives_proof_again(
    http: Http, query: dict[str, str], asked: tuple[str | None, str | None]
) -> None:
    begun = Browser(http).ask("GET", "/app/sign-in/oidc", query_string=query)

    sent = parse_qs(urlsplit(begun.headers["Location"]).query)
    assert (sent.get("prompt", [None])[0], sent.get("max_age", [None])[0]) == asked


def test_permissions_by_name_count_more_than_roles(http: Http, portal: Api, provider: Provider) -> None:
    portal.api_keys.put_client(Client(name="oidc:anna", scopes=(Scope.ADMIN,)))
    browser = Browser(http)
    browser.sign_in_at(provider)

    assert browser.session()["scopes"] == ["admin"]


def test_a_person_without_role_and_permission_is_not_signed_in(http: Http, provider: Provider) -> None:
    provider.person = {"sub": "bob"}
    browser = Browser(http)

    assert refused_because(browser.sign_in_at(provider)) == "not_permitted"
    assert SESSION not in browser.cookies


def test_a_return_is_taken_once_and_from_the_browser_that_began(http: Http, provider: Provider) -> None:
    browser, other = Browser(http), Browser(http)
    begun = browser.ask("GET", "/app/sign-in/oidc")
    other.ask("GET", "/app/sign-in/oidc")
    back = provider.sign_in(begun.headers["Location"])

    assert refused_because(other.come_back(back)) == "expired_state"
    assert refused_because(browser.come_back(back)) == "expired_state"
    assert refused_because(browser.come_back("/app/callback?state=x&code=y")) == "expired_state"


def test_two_tabs_of_a_browser_can_sign_in_at_the_same_time(http: Http, provider: Provider) -> None:
    browser = Browser(http)
    urls = [browser.ask("GET", "/app/sign-in/oidc").headers["Location"] for _ in range(2)]

    assert browser.come_back(provider.sign_in(urls[0])).headers["Location"] == "/app"


def test_an_address_can_not_begin_any_number_of_sign_ins(http: Http, provider: Provider) -> None:
    """Each takes room in the store, and needs no credentials."""
    for _ in range(25):
        assert Browser(http).sign_in_at(provider).headers["Location"] == "/app/jobs"

    begun = [Browser(http).ask("GET", "/app/sign-in/oidc").headers["Location"] for _ in range(21)]

    assert all(url.startswith(provider.url) for url in begun[:20])
    assert begun[20] == "/app/sign-in?error=too_many_failures&to=%2Fapp"


def test_a_foreign_issuer_and_an_error_of_the_provider_are_told(http: Http, provider: Provider) -> None:
    provider.answer = {"iss": "https://evil.example"}
    assert refused_because(Browser(http).sign_in_at(provider)) == "wrong_issuer"

    provider.answer = {"error": "access_denied", "code": ""}
    answer = Browser(http).sign_in_at(provider)
    assert refused_because(answer) == "provider_error"
    assert parse_qs(urlsplit(answer.headers["Location"]).query)["to"] == ["/app/jobs"]


def test_a_wrong_secret_and_a_token_for_somebody_else_are_refused(http: Http, provider: Provider) -> None:
    provider.claims = {"aud": "another"}
    assert refused_because(Browser(http).sign_in_at(provider)) == "exchange_failed"


@pytest.mark.parametrize(
    "to", ["https://evil.example", "//evil.example", "/\\evil.example", "/app/../..//evil.example\\"]
)
def test_no_sign_in_leads_to_another_site(http: Http, provider: Provider, to: str) -> None:
    answer = Browser(http).sign_in_at(provider, to=to)

    assert answer.headers["Location"] == "/app"


def test_the_provider_sends_back_to_the_address_of_the_settings_whatever_host_says(
    http: Http, provider: Provider
) -> None:
    answer = Browser(http, host="127.0.0.1").ask("GET", "/app/sign-in/oidc")

    redirect_uri = parse_qs(urlsplit(answer.headers["Location"]).query)["redirect_uri"]
    assert redirect_uri == [f"{ORIGIN}/app/callback"]
    assert provider.codes == {}


def test_a_sign_out_of_a_person_also_leads_to_the_providers(http: Http, provider: Provider) -> None:
    browser = Browser(http)
    browser.sign_in_at(provider)

    url = browser.ask("DELETE", "/v1/session").get_json()["end_session_url"]

    assert url.startswith(f"{provider.url}/logout?")
    assert browser.session()["signed_in"] is False


def test_operators_list_sessions_and_end_them(http: Http, portal: Api) -> None:
    admin, anna = Browser(http), Browser(http)
    admin.sign_in_with(key_for(portal, "ops", scopes=(Scope.ADMIN,)))
    anna.sign_in_with(key_for(portal, "anna"))

    assert anna.ask("GET", "/v1/sessions").status_code == 403
    listed = admin.ask("GET", "/v1/sessions").get_json()
    session = next(each for each in listed["sessions"] if each["client"] == "anna")
    assert session["session_id"] != anna.cookies[SESSION]
    assert admin.ask("DELETE", f"/v1/sessions/{session['session_id']}").status_code == 204

    assert anna.session()["signed_in"] is False
    assert admin.ask("DELETE", f"/v1/sessions/{session['session_id']}").status_code == 404
    assert admin.ask("GET", "/v1/sessions?limit=0").status_code == 400


def test_under_the_portals_name_no_session_acts_as_an_operator(portal_environ: dict[str, str], console: Path) -> None:
    bridge = build_api(read_settings(portal_environ | {"BRIDGE_CONSOLE_HOST": CONSOLE_HOST}))
    with client_of(bridge, console=console) as http:
        key = key_for(bridge, "ops", scopes=(Scope.ADMIN,))
        portal, ops = Browser(http), Browser(http, host=CONSOLE_HOST)
        scopes = portal.sign_in_with(key).get_json()["scopes"], ops.sign_in_with(key).get_json()["scopes"]

        assert scopes == (["write", "read"], ["admin"])
        assert (portal.ask("GET", "/v1/backlog").status_code, ops.ask("GET", "/v1/backlog").status_code) == (403, 200)
        assert portal.ask("GET", "/").status_code == 200
        assert ops.ask("GET", "/").status_code == 404
        assert ops.ask("GET", "/api/2.0/mlflow/experiments/search?max_results=1").status_code == 404
        assert ops.ask("GET", "/app/ops").status_code == 200
        begun = ops.ask("GET", "/app/sign-in/oidc")
        redirect_uri = parse_qs(urlsplit(begun.headers["Location"]).query)["redirect_uri"]
        assert redirect_uri == [f"https://{CONSOLE_HOST}/app/callback"]


def test_sign_ins_are_told_and_counted_without_any_secret(
    portal_environ: dict[str, str], provider: Provider, console: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bridge = build_api(read_settings(portal_environ))
    with client_of(bridge, console=console) as http:
        browser = Browser(http)
        key = key_for(bridge, "anna")
        browser.sign_in_with(key)
        browser.sign_in_with("mbk_wrong")
        token = browser.cookies[SESSION]
        browser.ask("DELETE", "/v1/session")
        Browser(http).sign_in_at(provider)

    counted = {count[0:3]: number for count, number in bridge.operations.counters.read().items() if "sign" in count[0]}
    assert counted["mlflow_bridge_sign_ins_total", "key", "ok"] == 1
    assert counted["mlflow_bridge_sign_ins_total", "key", "invalid_credentials"] == 1
    assert counted["mlflow_bridge_sign_ins_total", "oidc", "ok"] == 1
    assert counted["mlflow_bridge_sign_outs_total", "key"] == 1
    told = capsys.readouterr()
    assert not any(secret in told.err + told.out for secret in (key, token, CLIENT_SECRET))
    assert events.SignedIn.__struct_fields__ == ("client", "via", "session_id", "address", "request_id")
