# SPDX-License-Identifier: Apache-2.0
"""Sign-in with a browser at an OpenID provider: the authorization code flow with PKCE.

A sign-in begins with a redirect to the provider and ends with the browser's return. In between the store keeps its
nonce, verifier and target page, under a random ``state``, which is valid for one return. A cookie binds the sign-in
to the browser. The client's name is ``oidc:`` and the subject, as for tokens of the same provider.

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
#: The characters that no error code of OAuth has (RFC 6749, section 4.1.2.1).
_NOT_IN_ERROR_CODES = re.compile(r"[^\w .-]")


class SignInRefused(Exception):
    """A sign-in did not succeed. ``reason`` is a code that the sign-in page explains, ``to`` its target page."""

    def __init__(self, reason: str, *, to: str = HOME, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.to = to
        self.detail = detail


class PendingLogin(msgspec.Struct, frozen=True, kw_only=True):
    """A sign-in that is under way."""

    nonce: str
    verifier: str
    #: The path of the page to show after the sign-in.
    to: str
    redirect_uri: str
    #: Hash of the value of the browser's cookie.
    browser: str

    def __repr__(self) -> str:
        return f"PendingLogin(to={self.to!r})"


class PendingLoginStore(Protocol):
    """The sign-ins that are under way. All methods raise ``StoreUnavailable``."""

    def put(self, state: str, login: PendingLogin, *, ttl: dt.timedelta) -> None:
        """Store a sign-in that has begun."""
        ...

    def take(self, state: str) -> PendingLogin | None:
        """Delete a sign-in and return it: only the first return of a browser gets it. None if there is none."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleMapping:
    """Maps roles of the provider to scopes of the bridge."""

    #: Pairs of a role and the scope that it grants.
    scopes: tuple[tuple[str, Scope], ...] = ()
    #: The claim of the ID token that holds the roles.
    claim: str = "groups"

    def scopes_of(self, claims: Mapping[str, Any]) -> tuple[Scope, ...]:
        """Return the scopes that the roles in these claims grant. The claim is a list, or a text with spaces."""
        claim = claims.get(self.claim)
        held = claim.split() if isinstance(claim, str) else claim if isinstance(claim, list) else []
        granted = {scope for role, scope in self.scopes if role in held}
        return tuple(scope for scope in Scope if scope in granted)


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorizationResponse:
    """The provider's authorization response, in the query with which the browser returns (RFC 6749, section 4.1.2)."""

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

        ``to`` is the page to show after the sign-in. ``browser`` is the value of the browser's sign-in cookie. The
        provider sends the browser back to ``origin``, which is of the settings and never a request's ``Host``. With
        ``again``, the person gives proof even if the provider still knows the browser.
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
        self._store.put(state, login, ttl=LOGIN_LIFETIME)
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
        """Return the identity that has signed in and the path of its target page, or raise ``SignInRefused``."""
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
        """Return the URL at which a browser ends its session at the provider, None if the provider has no such page."""
        try:
            endpoint = self._provider.metadata().end_session_endpoint
        except IssuerUnavailable:
            return None
        if endpoint is None:
            return None
        # The bridge keeps no ID token to send as `id_token_hint`, so the provider may ask the person to confirm.
        sign_in_page = f"{origin}{HOME}/sign-in"
        return _with_query(endpoint, {"client_id": self._provider.client_id, "post_logout_redirect_uri": sign_in_page})

    def _claims(self, response: AuthorizationResponse, login: PendingLogin) -> dict[str, Any]:
        metadata = self._provider.metadata()
        is_iss_missing = response.iss is None and metadata.authorization_response_iss_parameter_supported
        if is_iss_missing or response.iss not in (None, metadata.issuer):
            raise SignInRefused("wrong_issuer")
        if response.error or not response.code:
            detail = _NOT_IN_ERROR_CODES.sub("", response.error or "no code")[:_MAX_ERROR_CHARS]
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
            display=_display_name(claims),
            via="oidc",
            auth_time=_auth_time(claims, self._clock.now()),
            scopes=self._roles.scopes_of(claims),
        )


def local_target(to: str) -> str:
    """Return ``to`` if it is a path of the portal, else the portal's first page. Prevents open redirects."""
    is_in_portal = len(to) <= _MAX_TARGET_CHARS and _TARGET.fullmatch(to)
    return to if is_in_portal and not to.startswith(_SIGN_IN_PATHS) else HOME


def _display_name(claims: Mapping[str, Any]) -> str:
    candidates = (claims.get(claim) for claim in ("name", "preferred_username", "email", "sub"))
    name = next(str(candidate) for candidate in candidates if candidate)
    return "".join(character for character in name if character.isprintable())[:_MAX_DISPLAY_CHARS]


def _auth_time(claims: Mapping[str, Any], now: dt.datetime) -> dt.datetime:
    seconds = claims.get("auth_time", claims["iat"])
    if not isinstance(seconds, int | float):
        return now
    try:
        return min(now, dt.datetime.fromtimestamp(seconds, dt.UTC))
    except (ValueError, OverflowError, OSError):
        return now


def _challenge(verifier: str) -> str:
    """Return the PKCE challenge of a verifier, by the method ``S256`` (RFC 7636, section 4.2)."""
    digest = hashlib.sha256(verifier.encode()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def _digest(value: str) -> str:
    return hashlib.sha256(value.encode()).hexdigest()


def _with_query(url: str, query: Mapping[str, str]) -> str:
    return f"{url}{'&' if urlsplit(url).query else '?'}{urlencode(query)}"
