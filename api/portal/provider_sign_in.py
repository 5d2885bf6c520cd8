# SPDX-License-Identifier: Apache-2.0
"""The two redirects of a sign-in at the OpenID provider: to the provider, and back from it."""

import secrets
from dataclasses import dataclass
from urllib.parse import parse_qs, urlencode

from werkzeug.exceptions import NotFound

from api.auth.authentication import Authentication
from api.http.cookies import SIGN_IN_COOKIE, delete_cookie, read_cookie, set_cookie
from api.http.exceptions import TooManyFailures
from api.http.record import RequestRecord
from api.http.request import Request
from api.http.response import Response
from api.http.routing import Route
from api.portal.browser_origins import BrowserOrigins
from api.portal.session_starter import SessionStarter
from bridge.auth.oidc import IssuerUnavailable
from bridge.auth.oidc_login import (
    CALLBACK_PATH,
    HOME,
    LOGIN_LIFETIME,
    AuthorizationResponse,
    OidcLogin,
    SignInRefused,
    local_target,
)
from bridge.auth.sessions import NotPermitted, is_session_token
from schemas.endpoints import ExperimentRule

_NO_STORE = ("Cache-Control", "no-store")
#: A query with more parameters is no redirect of a provider.
_MAX_PARAMETERS = 20
#: A longer value is neither a state of the bridge nor a code of a provider.
_MAX_PARAMETER_CHARS = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderSignInRoutes:
    """Serves the redirects, on the event loop."""

    starter: SessionStarter
    authentication: Authentication
    oidc_login: OidcLogin | None
    origins: BrowserOrigins

    @Route(
        "GET",
        "/app/sign-in/oidc",
        summary="Begin a sign-in at the OpenID provider",
        is_open=True,
        experiments=ExperimentRule.HARMLESS,
        answers={303: None},
        problems=(404,),
        query=("to", "again"),
    )
    async def begin(self, request: Request, _: RequestRecord) -> Response:
        """Redirect to the provider. ``to`` is the path in the portal that the browser opens after the sign-in.

        With ``again=1`` the provider asks for credentials even if the browser has a session there.
        """
        login, parameters = self._login(), _query_parameters(request)
        to, again = local_target(parameters.get("to", HOME)), parameters.get("again") == "1"
        cookie = read_cookie(request.header(b"cookie"), SIGN_IN_COOKIE) or ""
        if not is_session_token(cookie):
            cookie = secrets.token_urlsafe(32)
        try:
            # It counts as failed until `finish` succeeds.
            self.authentication.add_attempt(request)
            origin = self.origins.of(request)
            url = await self.starter.run(lambda: login.begin(to=to, browser=cookie, origin=origin, again=again))
        except TooManyFailures:
            return self._failed(request, SignInRefused("too_many_failures", to=to))
        except IssuerUnavailable as error:
            self.authentication.remove_attempt(request)
            return self._failed(request, SignInRefused("provider_error", to=to, detail=str(error)))
        # A sign-in in another tab keeps the same value, so both can come back.
        return _redirect(url, set_cookie(SIGN_IN_COOKIE, cookie, max_age=LOGIN_LIFETIME))

    @Route(
        "GET",
        CALLBACK_PATH,
        summary="Return from a sign-in at the OpenID provider",
        is_open=True,
        experiments=ExperimentRule.HARMLESS,
        answers={303: None},
        problems=(404,),
        query=("code", "state", "iss", "error"),
    )
    async def finish(self, request: Request, _: RequestRecord) -> Response:
        """Begin a session and redirect to the portal, or to the sign-in page with the reason why not."""
        login, parameters = self._login(), _query_parameters(request)
        response = AuthorizationResponse(
            state=parameters.get("state", ""),
            code=parameters.get("code", ""),
            iss=parameters.get("iss"),
            error=parameters.get("error"),
        )
        cookie = read_cookie(request.header(b"cookie"), SIGN_IN_COOKIE) or ""
        to = HOME
        try:
            identity, to = await self.starter.run(lambda: login.finish(response, browser=cookie))
            started = await self.starter.begin(request, identity)
        except SignInRefused as refused:
            return self._failed(request, refused)
        except NotPermitted as error:
            return self._failed(request, SignInRefused("not_permitted", to=to, detail=str(error)))
        self.authentication.remove_attempt(request)
        return _redirect(to, started.cookie, delete_cookie(SIGN_IN_COOKIE))

    def _login(self) -> OidcLogin:
        if self.oidc_login is None:
            raise NotFound("No OpenID provider is set up (BRIDGE_OIDC_CLIENT_ID).")
        return self.oidc_login

    def _failed(self, request: Request, refused: SignInRefused) -> Response:
        self.starter.note_failure(request, via="oidc", reason=refused.reason, detail=refused.detail)
        return _redirect(f"{HOME}/sign-in?{urlencode({'error': refused.reason, 'to': refused.to})}")


def _query_parameters(request: Request) -> dict[str, str]:
    """Return the parameters of the query, without those that are repeated (RFC 6749, section 3.1) or too long."""
    values_by_name = parse_qs(request.scope["query_string"].decode("latin-1"), max_num_fields=_MAX_PARAMETERS)
    single = {name: values[0] for name, values in values_by_name.items() if len(values) == 1}
    return {name: value for name, value in single.items() if len(value) <= _MAX_PARAMETER_CHARS}


def _redirect(location: str, *headers: tuple[str, str]) -> Response:
    # Neither the code nor the state in the address may reach the next page's server.
    referrer = ("Referrer-Policy", "no-referrer")
    return Response(303, b"", "text/plain", (("Location", location), _NO_STORE, referrer, *headers))
