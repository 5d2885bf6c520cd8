# SPDX-License-Identifier: Apache-2.0
"""Sign-in with a browser at an OpenID provider: the authorization code flow with PKCE.

A sign-in begins with a redirect to the provider and ends with the browser's return. In between the store keeps its
nonce, its verifier and where to go afterwards, under a random ``state`` that is good for one return. The sign-in is
bound to the browser by a cookie. The client's name is ``oidc:`` and the subject, as for tokens of the same provider.

https://openid.net/specs/openid-connect-core-1_0.html#CodeFlowAuth, RFC 7636 (PKCE), RFC 9207 (``iss`` in the answer)
"""

import base64
import datetime as dt
import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import urlencode, urlsplit

import msgspec

from bridge.auth.oidc import IssuerUnavailable
from bridge.auth.oidc_provider import ExchangeFailed, ProviderClient
from bridge.auth.sessions import Identity
from bridge.process.clock import Clock
from schemas.client import Scope, is_client_name

HOME = "/app"
CALLBACK_PATH = f"{HOME}/callback"
#: How long a person may take at the provider.
LOGIN_LIFETIME = dt.timedelta(minutes=10)
_MAX_DISPLAY_CHARS = 200
_MAX_TARGET_CHARS = 2048
_MAX_ERROR_CHARS = 64
#: Pages that would lead back to a sign-in.
_SIGN_IN_PATHS = (f"{HOME}/sign-in", CALLBACK_PATH)
#: A path below ``/app`` of printable ASCII, without a backslash, which browsers read as a slash.
_TARGET = re.compile(r"/app(?:[/?#][!-\[\]-~]*)?")
#: What no error code of OAuth holds (RFC 6749, section 4.1.2.1).
_NO_ERROR_CODE = re.compile(r"[^\w .-]")


class SignInRefused(Exception):
    """A sign-in did not succeed. ``reason`` is one of the codes that the sign-in page knows."""

    def __init__(self, reason: str, *, to: str = HOME, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.to = to
        self.detail = detail


class PendingLogin(msgspec.Struct, frozen=True, kw_only=True):
    """A sign-in that is under way."""

    nonce: str
    verifier: str
    to: str
    redirect_uri: str
    #: Hash of the value of the browser's cookie.
    browser: str

    def __repr__(self) -> str:
        return f"PendingLogin(to={self.to!r})"


class PendingLoginStore(Protocol):
    """All methods raise ``StoreUnavailable``."""

    def put(self, state: str, login: PendingLogin, *, lasts: dt.timedelta) -> None:
        """Keep a sign-in that is under way."""
        ...

    def take(self, state: str) -> PendingLogin | None:
        """Return a sign-in that is under way and forget it: only the first return of a browser gets it."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleMapping:
    """What the provider's roles mean here."""

    scopes: tuple[tuple[str, Scope], ...] = ()
    #: The claim of the ID token that holds the roles.
    claim: str = "groups"

    def scopes_of(self, claims: Mapping[str, Any]) -> tuple[Scope, ...]:
        """Return what the roles in these claims allow; the claim is a list, or a text with spaces."""
        claim = claims.get(self.claim)
        held = claim.split() if isinstance(claim, str) else claim if isinstance(claim, list) else []
        granted = {scope for role, scope in self.scopes if role in held}
        return tuple(scope for scope in Scope if scope in granted)


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorizationResponse:
    """What a browser brings back from the provider."""

    state: str = ""
    code: str = field(default="", repr=False)
    iss: str | None = None
    error: str | None = None


class OidcLogin:
    """Signs browsers in at one provider. Its methods raise ``IssuerUnavailable`` and ``StoreUnavailable``."""

    def __init__(self, provider: ProviderClient, store: PendingLoginStore, roles: RoleMapping, clock: Clock) -> None:
        self._provider = provider
        self._store = store
        self._roles = roles
        self._clock = clock

    def begin(self, *, to: str, browser: str, origin: str, again: bool = False) -> str:
        """Return the URL at the provider to send a browser to.

        ``browser`` is the value of its sign-in cookie. ``origin`` is where it finds the bridge, one of the settings'
        and never a request's ``Host``: the provider sends it back there. With ``again``, the person gives proof even if
        the provider still knows the browser.
        """
        endpoint = self._provider.metadata().authorization_endpoint
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        login = PendingLogin(
            nonce=nonce,
            verifier=verifier,
            to=local_target(to),
            redirect_uri=origin + CALLBACK_PATH,
            browser=_digest(browser),
        )
        self._store.put(state, login, lasts=LOGIN_LIFETIME)
        return _with_query(
            endpoint,
            {
                "response_type": "code",
                "client_id": self._provider.client_id,
                "redirect_uri": login.redirect_uri,
                "scope": "openid profile email",
                "state": state,
                "nonce": nonce,
                "code_challenge": _challenge(verifier),
                "code_challenge_method": "S256",
                # Some providers know one of the two only. With `max_age`, `auth_time` is in the ID token.
                **({"prompt": "login", "max_age": "0"} if again else {}),
            },
        )

    def finish(self, response: AuthorizationResponse, *, browser: str) -> tuple[Identity, str]:
        """Return who has signed in and the path to go on to, or raise ``SignInRefused``."""
        login = self._store.take(response.state) if response.state else None
        if login is None or not browser or not hmac.compare_digest(login.browser, _digest(browser)):
            raise SignInRefused("expired_state")
        try:
            return self._identity(self._claims(response, login)), login.to
        except SignInRefused as refused:
            refused.to = login.to
            raise
        except IssuerUnavailable as error:
            raise SignInRefused("provider_error", to=login.to, detail=str(error)) from error

    def end_session_url(self, origin: str) -> str | None:
        """Return where a browser also ends its session at the provider, None where the provider has no such page."""
        try:
            endpoint = self._provider.metadata().end_session_endpoint
        except IssuerUnavailable:
            return None
        if endpoint is None:
            return None
        # No token is kept that could be the hint, so the provider may ask the person.
        back = f"{origin}{HOME}/sign-in"
        return _with_query(endpoint, {"client_id": self._provider.client_id, "post_logout_redirect_uri": back})

    def _claims(self, response: AuthorizationResponse, login: PendingLogin) -> dict[str, Any]:
        metadata = self._provider.metadata()
        is_missing = response.iss is None and metadata.authorization_response_iss_parameter_supported
        if is_missing or response.iss not in (None, metadata.issuer):
            raise SignInRefused("wrong_issuer")
        if response.error or not response.code:
            detail = _NO_ERROR_CODE.sub("", response.error or "no code")[:_MAX_ERROR_CHARS]
            raise SignInRefused("provider_error", detail=detail)
        try:
            return self._provider.exchange(
                response.code, redirect_uri=login.redirect_uri, verifier=login.verifier, nonce=login.nonce
            )
        except ExchangeFailed as error:
            raise SignInRefused("exchange_failed", detail=str(error)) from error

    def _identity(self, claims: Mapping[str, Any]) -> Identity:
        name = f"oidc:{claims['sub']}"
        if not is_client_name(name):
            raise SignInRefused("not_permitted", detail="the subject can't be a client's name")
        return Identity(
            client=name,
            display=_display(claims),
            via="oidc",
            auth_time=_auth_time(claims, self._clock.now()),
            scopes=self._roles.scopes_of(claims),
        )


def local_target(to: str) -> str:
    """Return the path of the portal that ``to`` is, or the portal's first page if it is anything else."""
    is_ours = len(to) <= _MAX_TARGET_CHARS and _TARGET.fullmatch(to)
    return to if is_ours and not to.startswith(_SIGN_IN_PATHS) else HOME


def _display(claims: Mapping[str, Any]) -> str:
    names = (claims.get(name) for name in ("name", "preferred_username", "email", "sub"))
    name = next(str(each) for each in names if each)
    return "".join(each for each in name if each.isprintable())[:_MAX_DISPLAY_CHARS]


def _auth_time(claims: Mapping[str, Any], now: dt.datetime) -> dt.datetime:
    seconds = claims.get("auth_time", claims["iat"])
    if not isinstance(seconds, int | float):
        return now
    try:
        return min(now, dt.datetime.fromtimestamp(seconds, dt.UTC))
    except (ValueError, OverflowError, OSError):
        return now


def _challenge(verifier: str) -> str:
    digest = hashlib.sha256(verifier.encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def _digest(value: str) -> str:
    return hashlib.sha256(value.encode()).hexdigest()


def _with_query(url: str, query: Mapping[str, str]) -> str:
    return f"{url}{'&' if urlsplit(url).query else '?'}{urlencode(query)}"
