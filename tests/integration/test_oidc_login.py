# SPDX-License-Identifier: Apache-2.0
"""Signing in at an OpenID provider: what is sent there, and each return that is refused."""

import datetime as dt
from collections.abc import Iterator
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from bridge.auth.oidc import IssuerUnavailable
from bridge.auth.oidc_login import (
    AuthorizationResponse,
    OidcLogin,
    RoleMapping,
    SignInRefused,
    local_target,
)
from bridge.auth.oidc_provider import ClientRegistration, ProviderClient
from bridge.auth.sessions import Identity
from bridge.process.clock import SystemClock
from bridge.redis_store.sessions import RedisPendingLoginStore
from schemas.client import Scope
from tests.fakes import FakeStore
from tests.openid_provider import CLIENT_ID, CLIENT_SECRET, Provider, openid_provider

ORIGIN = "https://bridge.example"
ROLES = (("ml-ops", Scope.ADMIN), ("ml", Scope.READ))


@pytest.fixture(scope="module")
def running_provider() -> Iterator[Provider]:
    with openid_provider() as provider:
        yield provider


@pytest.fixture
def provider(running_provider: Provider) -> Provider:
    honest = Provider(url=running_provider.url)
    running_provider.__dict__.update(honest.__dict__)
    return running_provider


def login_at(provider: Provider, *, secret: str | None = CLIENT_SECRET, issuer: str | None = None) -> OidcLogin:
    registration = ClientRegistration(issuer=issuer or provider.url, client_id=CLIENT_ID, client_secret=secret)
    clock = SystemClock()
    client = ProviderClient(registration, clock)
    return OidcLogin(client, RedisPendingLoginStore(FakeStore()), RoleMapping(scopes=ROLES), clock)


@pytest.fixture
def login(provider: Provider) -> OidcLogin:
    return login_at(provider)


def response_in(url: str) -> AuthorizationResponse:
    query = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
    return AuthorizationResponse(
        state=query.get("state", ""), code=query.get("code", ""), iss=query.get("iss"), error=query.get("error")
    )


def begun(login: OidcLogin, provider: Provider, *, to: str = "/app/jobs") -> AuthorizationResponse:
    """What the browser brings back from the provider."""
    return response_in(provider.sign_in(login.begin(to=to, browser="b", origin=ORIGIN)))


def refused(login: OidcLogin, response: AuthorizationResponse, *, browser: str = "b") -> SignInRefused:
    with pytest.raises(SignInRefused) as caught:
        login.finish(response, browser=browser)
    return caught.value


def test_a_person_is_signed_in_under_the_subject_with_the_scopes_of_its_roles(
    login: OidcLogin, provider: Provider
) -> None:
    provider.person = {"sub": "anna", "name": "Anna B.", "groups": ["ml-ops", "ml", "others"]}

    identity, to = login.finish(begun(login, provider), browser="b")

    assert to == "/app/jobs"
    assert (identity.client, identity.display, identity.via) == ("oidc:anna", "Anna B.", "oidc")
    assert set(identity.scopes) == {Scope.ADMIN, Scope.READ}
    assert dt.datetime.now(dt.UTC) - identity.auth_time < dt.timedelta(minutes=1)


def test_the_provider_is_asked_with_pkce_a_state_a_nonce_and_our_own_address(
    login: OidcLogin, provider: Provider
) -> None:
    urls = [login.begin(to="/app", browser="b", origin=ORIGIN) for _ in range(2)]

    first, second = (parse_qs(urlsplit(url).query) for url in urls)
    assert urls[0].startswith(f"{provider.url}/authorize?")
    assert first["redirect_uri"] == [f"{ORIGIN}/app/callback"]
    assert first["code_challenge_method"] == ["S256"]
    assert len(first["code_challenge"][0]) == 43
    assert all(first[name] != second[name] for name in ("state", "nonce", "code_challenge"))
    assert CLIENT_SECRET not in urls[0]


def test_a_public_client_proves_itself_by_pkce_alone(provider: Provider) -> None:
    provider.is_public_client = True
    login = login_at(provider, secret=None)

    assert login.finish(begun(login, provider), browser="b")[0].client == "oidc:anna"


def test_a_provider_that_does_not_take_basic_gets_the_secret_in_the_form(provider: Provider) -> None:
    provider.metadata = {"token_endpoint_auth_methods_supported": ["client_secret_post"]}
    login = login_at(provider)

    assert login.finish(begun(login, provider), browser="b")[0].client == "oidc:anna"


def test_another_verifier_than_that_of_the_sign_in_is_refused(login: OidcLogin, provider: Provider) -> None:
    """A code that was stolen from another sign-in brings its own challenge."""
    stolen = begun(login, provider)
    own = begun(login, provider)

    mixed = AuthorizationResponse(state=own.state, code=stolen.code, iss=own.iss)

    assert refused(login, mixed).reason == "exchange_failed"


def test_a_state_is_good_for_one_return(login: OidcLogin, provider: Provider) -> None:
    response = begun(login, provider)
    login.finish(response, browser="b")

    assert refused(login, response).reason == "expired_state"


def test_a_state_that_was_made_up_is_refused(login: OidcLogin, provider: Provider) -> None:
    response = begun(login, provider)

    for state in ("", "x" * 43):
        other = AuthorizationResponse(state=state, code=response.code, iss=response.iss)
        assert refused(login, other).reason == "expired_state"


@pytest.mark.parametrize("browser", ["", "another"])
def test_a_return_of_another_browser_is_refused(login: OidcLogin, provider: Provider, browser: str) -> None:
    """Whoever is sent an attacker's return is not signed in as the attacker."""
    response = begun(login, provider)

    assert refused(login, response, browser=browser).reason == "expired_state"
    # And whoever had begun it can't go on either.
    assert refused(login, response).reason == "expired_state"


def test_a_foreign_issuer_is_refused_before_the_code_is_sent_anywhere(login: OidcLogin, provider: Provider) -> None:
    provider.answer = {"iss": "https://evil.example"}
    response = begun(login, provider)
    provider.asked.clear()

    assert refused(login, response).reason == "wrong_issuer"
    assert provider.asked == []


def test_a_missing_issuer_is_refused_where_the_provider_says_that_it_sends_it(provider: Provider) -> None:
    provider.answer = {"iss": ""}
    login = login_at(provider)
    assert refused(login, begun(login, provider)).reason == "wrong_issuer"

    provider.metadata = {"authorization_response_iss_parameter_supported": False}
    login = login_at(provider)
    assert login.finish(begun(login, provider), browser="b")[0].client == "oidc:anna"


def test_what_the_provider_refuses_is_told_and_goes_on_to_the_same_page(login: OidcLogin, provider: Provider) -> None:
    provider.answer = {"code": "", "error": "access_denied\n<b>"}

    error = refused(login, begun(login, provider))

    assert (error.reason, error.to) == ("provider_error", "/app/jobs")
    assert str(error) == "provider_error: access_deniedb"


@pytest.mark.parametrize(
    "claims",
    [
        {"nonce": "another"},
        {"nonce": None},
        {"aud": "another"},
        {"aud": ["bridge", "another"], "azp": "another"},
        {"iss": "https://evil.example"},
        {"exp": dt.datetime(2026, 1, 1, tzinfo=dt.UTC)},
        {"sub": None},
    ],
    ids=str,
)
def test_an_id_token_that_is_not_for_this_sign_in_is_refused(
    login: OidcLogin, provider: Provider, claims: dict[str, object]
) -> None:
    provider.claims = claims

    assert refused(login, begun(login, provider)).reason == "exchange_failed"


def test_an_id_token_of_another_key_is_refused(login: OidcLogin, provider: Provider) -> None:
    provider.signs_with_other_key = True

    assert refused(login, begun(login, provider)).reason == "exchange_failed"


@pytest.mark.parametrize("subject", ["a b", "a\nb", "x" * 200])
def test_a_subject_that_can_be_no_clients_name_is_not_permitted(
    login: OidcLogin, provider: Provider, subject: str
) -> None:
    provider.person = {"sub": subject}

    assert refused(login, begun(login, provider)).reason == "not_permitted"


def test_a_person_without_a_role_holds_nothing(login: OidcLogin, provider: Provider) -> None:
    provider.person = {"sub": "bob", "groups": "others"}

    identity, _ = login.finish(begun(login, provider), browser="b")

    assert isinstance(identity, Identity)
    assert identity.scopes == ()
    assert identity.display == "bob"


def test_metadata_that_speaks_for_another_issuer_is_not_used(provider: Provider) -> None:
    provider.metadata = {"issuer": "https://evil.example"}

    with pytest.raises(IssuerUnavailable, match="speaks for"):
        login_at(provider).begin(to="/app", browser="b", origin=ORIGIN)


def test_a_provider_that_is_away_is_said_to_be_and_metadata_that_is_known_is_used(
    login: OidcLogin, provider: Provider
) -> None:
    with pytest.raises(IssuerUnavailable):
        login_at(provider, issuer="http://127.0.0.1:9").begin(to="/app", browser="b", origin=ORIGIN)

    login.begin(to="/app", browser="b", origin=ORIGIN)
    provider.asked.clear()
    login.begin(to="/app", browser="b", origin=ORIGIN)
    assert provider.asked == []


def test_a_sign_out_also_leads_to_the_providers(login: OidcLogin, provider: Provider) -> None:
    url = login.end_session_url(ORIGIN)

    query = urlencode({"client_id": CLIENT_ID, "post_logout_redirect_uri": f"{ORIGIN}/app/sign-in"})
    assert url == f"{provider.url}/logout?{query}"


def test_a_provider_without_such_a_page_has_none(provider: Provider) -> None:
    provider.metadata = {"end_session_endpoint": None}

    assert login_at(provider).end_session_url(ORIGIN) is None


@pytest.mark.parametrize(
    "to",
    [
        "",
        "/",
        "app",
        "/apple",
        "//evil.example",
        "https://evil.example",
        "/app\\@evil.example",
        "/\\evil.example",
        "/app/\r\nSet-Cookie: x",
        "/app/ x",
        "javascript:alert(1)",
        "/app/é",
        "/app/" + "x" * 3000,
        "/app/sign-in?to=/app",
        "/app/callback?state=x",
    ],
)
def test_no_target_leads_away_from_the_portal(to: str) -> None:
    assert local_target(to) == "/app"


@pytest.mark.parametrize("to", ["/app", "/app/", "/app/ops/runs/x?state=failing", "/app#/experiments/1", "/app?q=%20"])
def test_a_target_in_the_portal_is_kept(to: str) -> None:
    assert local_target(to) == to
