# SPDX-License-Identifier: Apache-2.0
"""Requests of browsers: by cookie, without one and from another site; what a 401 is, and which headers go out."""

import pytest
from werkzeug.test import Client as Http

from api.portal.security_headers import ARTIFACT_CSP, CONSOLE_CSP, PROXIED_CSP
from api.routes.table import ROUTES
from bridge.bootstrap.processes import Api
from schemas.client import Scope
from schemas.endpoints import ENDPOINTS, Handling
from tests.integration.test_api_access import OWN, filled, key_for
from tests.integration.test_portal_sign_in import (  # noqa: F401 - fixtures
    HOST,
    ORIGIN,
    SESSION,
    Browser,
    console,
    http,
    portal,
    portal_environ,
    provider,
)
from tests.signature_front import SignatureFront
from tests.upstream_faults import Answer

FOREIGN = "https://evil.example"
DOCUMENT = {"Sec-Fetch-Dest": "document", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Site": "none"}
FETCH = {"Sec-Fetch-Dest": "empty", "Sec-Fetch-Mode": "cors", "Sec-Fetch-Site": "same-origin"}
MLFLOW = sorted({(each.method, filled(each.paths[0])) for each in ENDPOINTS if each.answer is not Handling.REFUSED})
SAFE = ("GET", "HEAD")


@pytest.fixture
def upstream(front: SignatureFront) -> SignatureFront:
    front.set_fault(Answer(200, {"Content-Type": "application/json"}, b"{}"))
    return front


@pytest.fixture
def operator(http: Http, portal: Api, upstream: SignatureFront) -> Browser:  # noqa: F811, ARG001
    browser = Browser(http)
    assert browser.sign_in_with(key_for(portal, "ops", scopes=(Scope.ADMIN,))).status_code == 200
    return browser


@pytest.mark.parametrize("calls", [OWN, MLFLOW], ids=["own", "mlflow"])
def test_each_call_is_allowed_by_cookie_and_refused_without_and_from_another_site(
    operator: Browser,
    http: Http,  # noqa: F811
    calls: list[tuple[str, str]],
) -> None:
    for method, path in calls:
        by_cookie = operator.ask(method, path)
        without = Browser(http).ask(method, path)
        foreign = operator.ask(method, path, headers={"Origin": FOREIGN, "Sec-Fetch-Site": "cross-site"})
        unmarked = operator.ask(method, path, headers={"Origin": ""})

        assert by_cookie.status_code not in (401, 403), (method, path, by_cookie.data)
        assert without.status_code == 401, (method, path)
        assert foreign.status_code == 403, (method, path, foreign.data)
        assert unmarked.status_code == 403 or method in SAFE, (method, path)


@pytest.mark.parametrize("site", ["cross-site", "same-site", "none"])
def test_a_change_from_another_site_is_refused_also_where_origin_is_ours(operator: Browser, site: str) -> None:
    answer = operator.ask("POST", "/v1/jobs/lookup", json={"job_ids": []}, headers={"Sec-Fetch-Site": site})

    assert answer.status_code == 403
    assert operator.ask("POST", "/v1/jobs/lookup", json={"job_ids": []}, headers=FETCH).status_code == 200


def test_a_change_without_origin_and_without_fetch_metadata_is_refused(http: Http, operator: Browser) -> None:  # noqa: F811
    headers = {"Host": HOST, "Cookie": f"{SESSION}={operator.cookies[SESSION]}"}

    assert http.post("/v1/jobs/lookup", json={"job_ids": []}, headers=headers).status_code == 403
    fetched = headers | {"Sec-Fetch-Site": "same-origin"}
    assert http.post("/v1/jobs/lookup", json={"job_ids": []}, headers=fetched).status_code == 200


def test_a_link_from_another_site_opens_and_a_fetch_from_there_does_not(operator: Browser) -> None:
    link = DOCUMENT | {"Sec-Fetch-Site": "cross-site"}

    assert operator.ask("GET", "/v1/backlog", headers=link).status_code == 200
    for dest in ("image", "iframe", "script", "empty"):
        headers = {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Dest": dest, "Sec-Fetch-Mode": "no-cors"}
        assert operator.ask("GET", "/v1/backlog", headers=headers).status_code == 403, dest


def test_another_sites_page_can_not_sign_a_person_in(http: Http, portal: Api) -> None:  # noqa: F811
    key = key_for(portal, "mallory")
    for headers in ({"Sec-Fetch-Site": "cross-site"}, {"Origin": FOREIGN}):
        answer = Browser(http).ask("POST", "/v1/session", json={"key": key}, headers=headers)
        assert answer.status_code == 403
        assert "Set-Cookie" not in answer.headers


def test_programs_with_keys_need_none_of_this(http: Http, portal: Api, upstream: SignatureFront) -> None:  # noqa: F811, ARG001
    headers = {"Host": HOST, "Authorization": f"Bearer {key_for(portal)}"}

    assert http.post("/v1/jobs/lookup", json={"job_ids": []}, headers=headers).status_code == 200


def test_a_document_is_led_to_the_sign_in_and_back(http: Http) -> None:  # noqa: F811
    browser = Browser(http)

    page = browser.ask("GET", "/", headers=DOCUMENT)
    own = browser.ask("GET", "/v1/backlog", headers=DOCUMENT)

    assert (page.status_code, page.headers["Location"]) == (303, "/app/sign-in?to=%2Fapp")
    assert own.status_code == 303
    assert "WWW-Authenticate" not in page.headers
    assert page.headers["Cache-Control"] == "no-store"


def test_a_frame_gets_a_page_that_tells_its_parent(http: Http) -> None:  # noqa: F811
    answer = Browser(http).ask("GET", "/", headers={"Sec-Fetch-Dest": "iframe", "Sec-Fetch-Mode": "navigate"})

    assert answer.status_code == 401
    assert answer.mimetype == "text/html"
    assert b"parent.postMessage" in answer.data
    assert "script-src 'sha256-" in answer.headers["Content-Security-Policy"]
    assert "WWW-Authenticate" not in answer.headers


@pytest.mark.parametrize("path", ["/v1/backlog", "/ajax-api/2.0/mlflow/experiments/search"])
def test_a_fetch_gets_json_that_opens_no_password_dialog(http: Http, path: str) -> None:  # noqa: F811
    expired = Browser(http)
    expired.cookies[SESSION] = "x" * 43
    for answer in (Browser(http).ask("GET", path, headers=FETCH), expired.ask("GET", path)):
        assert answer.status_code == 401
        assert answer.is_json or answer.mimetype == "application/problem+json"
        assert answer.headers.getlist("WWW-Authenticate") == ["Bearer"]


def test_a_program_is_asked_for_a_password_as_before(http: Http) -> None:  # noqa: F811
    challenges = Browser(http).ask("GET", "/v1/backlog").headers.getlist("WWW-Authenticate")

    assert [challenge.partition(" ")[0] for challenge in challenges] == ["Basic", "Bearer"]


def test_the_console_is_served_for_each_of_its_paths(http: Http) -> None:  # noqa: F811
    browser = Browser(http)

    pages = [browser.ask("GET", path) for path in ("/app", "/app/", "/app/ops/runs/a%2Fb", "/app/sign-in")]

    assert {page.status_code for page in pages} == {200}
    assert len({page.data for page in pages}) == 1
    for page in pages:
        assert page.mimetype == "text/html"
        assert page.headers["Cache-Control"] == "no-cache"
        assert page.headers["Content-Security-Policy"] == CONSOLE_CSP
        assert page.headers["Referrer-Policy"] == "same-origin"
        assert page.headers["Cross-Origin-Opener-Policy"] == "same-origin"
        assert page.headers["X-Content-Type-Options"] == "nosniff"


def test_the_policy_of_the_console_runs_nothing_that_is_not_a_file_of_it() -> None:
    directives = dict(part.strip().split(" ", 1) for part in CONSOLE_CSP.split(";"))

    assert directives["script-src"] == "'self'"
    assert directives["default-src"] == "'none'"
    assert directives["require-trusted-types-for"] == "'script'"
    assert directives["frame-ancestors"] == "'none'"


def test_assets_are_kept_for_good_and_a_missing_one_is_no_page(http: Http) -> None:  # noqa: F811
    browser = Browser(http)

    asset, missing = (browser.ask("GET", f"/app/assets/{name}") for name in ("index-1a2b.js", "index-gone.js"))

    assert asset.headers["Cache-Control"] == "public, max-age=31536000, immutable"
    assert asset.mimetype == "text/javascript"
    assert missing.status_code == 404
    assert missing.mimetype == "text/plain"


def test_files_are_compressed_where_the_browser_takes_it_and_known_by_their_etags(http: Http) -> None:  # noqa: F811
    browser = Browser(http)

    plain, packed = (
        browser.ask("GET", "/app", headers={"Accept-Encoding": coding}) for coding in ("gzip;q=0", "br, gzip")
    )

    assert "Content-Encoding" not in plain.headers
    assert packed.headers["Content-Encoding"] == "gzip"
    assert len(packed.data) < len(plain.data)
    assert plain.headers["ETag"] != packed.headers["ETag"]
    assert packed.headers["Vary"] == "Accept-Encoding"
    again = browser.ask("GET", "/app", headers={"Accept-Encoding": "gzip", "If-None-Match": packed.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")


def test_a_path_can_not_lead_out_of_the_build(http: Http) -> None:  # noqa: F811
    answers = [
        Browser(http).ask("GET", path) for path in ("/app/../api/app.py", "/app/%2e%2e/app.py", "/app/assets/..%2f")
    ]

    assert all(b"SPDX" not in answer.data for answer in answers)


def test_without_a_build_one_page_says_how_to_get_it(environ: dict[str, str]) -> None:
    from bridge.bootstrap.processes import build_api  # noqa: PLC0415 - for this test alone
    from bridge.config.environment import read_settings  # noqa: PLC0415
    from tests.asgi_client import client_of  # noqa: PLC0415

    with client_of(build_api(read_settings(environ | {"BRIDGE_AUTH": "keys"}))) as bare:
        page, docs = bare.get("/app"), bare.get("/docs")
        challenged = bare.get("/", headers=DOCUMENT)

    assert page.status_code == 404
    assert b"make console" in page.data
    assert docs.status_code == 200
    # No page to sign in on, so the browser asks for the password, as before.
    assert challenged.status_code == 401
    assert challenged.headers["WWW-Authenticate"].startswith("Basic")


def test_the_reference_is_the_consoles_where_there_is_one(http: Http) -> None:  # noqa: F811
    answer = Browser(http).ask("GET", "/docs")

    assert (answer.status_code, answer.headers["Location"]) == (302, "/app/api")


def test_pages_of_upstream_get_the_bridges_policy(operator: Browser, front: SignatureFront) -> None:
    sent = {
        "Content-Type": "text/html; charset=utf-8",
        "Content-Security-Policy": "script-src 'unsafe-eval'",
        "X-Frame-Options": "DENY",
    }
    front.set_fault(Answer(200, sent, b"<title>MLflow</title>"))

    answer = operator.ask("GET", "/")

    assert answer.headers.getlist("Content-Security-Policy") == [PROXIED_CSP]
    assert "X-Frame-Options" not in answer.headers
    assert "unsafe-eval" not in PROXIED_CSP
    assert "frame-ancestors 'self'" in PROXIED_CSP


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("text/html", b"<script>document.title='run'</script>"),
        ("image/svg+xml", b"<svg xmlns='http://www.w3.org/2000/svg'><script>document.title='run'</script></svg>"),
        ("text/yaml", b"!!js/function 'function () { document.title = 1 }'"),
    ],
)
@pytest.mark.parametrize(
    "path", ["/get-artifact?path=x&run_uuid=r", "/ajax-api/2.0/mlflow-artifacts/artifacts/0/r/artifacts/x"]
)
def test_an_artifact_runs_nothing_on_our_origin(
    operator: Browser, front: SignatureFront, path: str, kind: str, body: bytes
) -> None:
    front.set_fault(Answer(200, {"Content-Type": kind}, body))

    opened = operator.ask("GET", path, headers=DOCUMENT)
    as_script = operator.ask("GET", path, headers=FETCH | {"Sec-Fetch-Dest": "script", "Sec-Fetch-Mode": "no-cors"})

    assert opened.headers["Content-Security-Policy"] == ARTIFACT_CSP
    assert ARTIFACT_CSP.startswith("sandbox; default-src 'none'")
    assert "allow-scripts" not in ARTIFACT_CSP
    assert opened.headers["X-Content-Type-Options"] == "nosniff"
    assert as_script.status_code == 403


def test_other_answers_of_upstream_keep_their_headers(operator: Browser, front: SignatureFront) -> None:
    front.set_fault(Answer(200, {"Content-Type": "application/json", "X-Frame-Options": "DENY"}, b"{}"))

    answer = operator.ask("GET", "/api/2.0/mlflow/experiments/search?max_results=1")

    assert "Content-Security-Policy" not in answer.headers
    assert answer.headers["X-Frame-Options"] == "DENY"


def test_each_route_that_is_open_or_personal_is_meant_to_be() -> None:
    assert {route.path for route in ROUTES if route.is_personal} == {
        *("/v1/backlog/mine", "/v1/keys/mine", "/v1/usage/mine"),
    }
    assert {route.path for route in ROUTES if route.is_static} == {"/app", "/app/", "/app/<path:page>"}
    assert {route.path for route in ROUTES if route.is_open and not route.is_static} == {
        *("/healthz", "/readyz", "/openapi.json", "/docs"),
        *("/v1/session", "/app/sign-in/oidc", "/app/callback"),
    }
