# SPDX-License-Identifier: Apache-2.0
"""``/v1/session``: the session of the browser that sends the request, sign-in with an API key, and sign-out."""

from dataclasses import dataclass

import msgspec

from api.auth.authentication import Authentication
from api.http.cookies import SESSION_COOKIE, delete_cookie
from api.http.exceptions import TooManyFailures, Unauthenticated
from api.http.record import RequestRecord
from api.http.request import Identity, Request
from api.http.response import Response
from api.http.routing import Route
from api.middleware.csrf import check_sign_in_is_not_forged
from api.portal.browser_origins import BrowserOrigins
from api.portal.session_document import SessionDescriber
from api.portal.session_starter import SessionStarter
from bridge.auth.api_keys import ApiKeyStore
from bridge.auth.oidc_login import OidcLogin
from bridge.auth.sessions import Identity as NewIdentity
from bridge.auth.sessions import NotPermitted, identity_of_key
from bridge.process.clock import Clock
from schemas.client import ANYBODY
from schemas.endpoints import ExperimentRule
from schemas.errors import InvalidWrite
from schemas.problem import Problem
from schemas.session import KeySignIn, SessionDocument, SignedOutDocument

_NO_STORE = ("Cache-Control", "no-store")
_MAX_BODY_BYTES = 4096
#: A load balancer splits its cookie, which is longer than a browser keeps.
_ALB_COOKIES = tuple(f"AWSELBAuthSessionCookie-{number}" for number in range(4))


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionRoutes:
    """Serves the session of the browser that sends the request, on the event loop."""

    starter: SessionStarter
    authentication: Authentication
    api_keys: ApiKeyStore
    oidc_login: OidcLogin | None
    origins: BrowserOrigins
    describer: SessionDescriber
    clock: Clock

    @Route(
        "GET",
        "/v1/session",
        summary="Who the browser is signed in as",
        is_open=True,
        experiments=ExperimentRule.HARMLESS,
        answers={200: SessionDocument},
    )
    async def show(self, request: Request, _: RequestRecord) -> Response:
        """Return the session, also for a browser that is not signed in."""
        return _json(200, self.describer.describe(request.identity))

    @Route(
        "POST",
        "/v1/session",
        summary="Sign in with an API key",
        is_open=True,
        experiments=ExperimentRule.HARMLESS,
        body=KeySignIn,
        answers={200: SessionDocument},
        problems=(400, 401, 413, 415, 429),
    )
    async def sign_in(self, request: Request, record: RequestRecord) -> Response:
        """Begin a session that lasts no longer than the key."""
        check_sign_in_is_not_forged(request)
        key = await _read_key(request)
        if request.client is ANYBODY:
            # Without BRIDGE_AUTH there is nothing to sign in to.
            return _json(200, self.describer.describe(request.identity))
        try:
            started = await self.starter.begin(request, await self._verify_key(key, request))
        except TooManyFailures:
            self.starter.note_failure(request, via="key", reason="too_many_failures")
            raise
        except (Unauthenticated, NotPermitted) as error:
            self.starter.note_failure(request, via="key", reason="invalid_credentials")
            record.fail(error)
            return _invalid_credentials()
        identity = Identity(started.client, session=started.session)
        limited = self.starter.session_authentication.without_admin_on_portal(identity, request)
        return _json(200, self.describer.describe(limited), started.cookie)

    async def _verify_key(self, key: str, request: Request) -> NewIdentity:
        """Return the identity of the person who signs in with a key. Failures are counted as those of all requests."""
        await self.authentication.verify_key(key, request)
        identity = await self.starter.run(lambda: identity_of_key(self.api_keys, key, now=self.clock.now()))
        if identity is None:
            # The key was revoked in the last seconds.
            raise Unauthenticated
        return identity

    @Route(
        "DELETE",
        "/v1/session",
        summary="Sign out",
        is_open=True,
        experiments=ExperimentRule.HARMLESS,
        answers={200: SignedOutDocument},
    )
    async def sign_out(self, request: Request, _: RequestRecord) -> Response:
        """End the session, and return the address at which the provider ends its own."""
        session, url = request.identity.session, None
        if session is not None:
            await self.starter.end(request, session)
            if session.via == "oidc" and self.oidc_login:
                url = await self.starter.run(self.oidc_login.end_session_url, self.origins.of(request))
        expired = [delete_cookie(SESSION_COOKIE)]
        if request.client.name.startswith("alb:"):
            expired += [delete_cookie(name) for name in _ALB_COOKIES]
        return _json(200, SignedOutDocument(end_session_url=url), *expired)


async def _read_key(request: Request) -> str:
    """Return the key in the body of a sign-in."""
    media_type = (request.header(b"content-type") or "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        # A page of another site can send other media types without a CORS preflight.
        raise InvalidWrite('Send {"key": "mbk_..."} with Content-Type: application/json.', "BAD_REQUEST", 415)
    body = await request.body(max_bytes=_MAX_BODY_BYTES)
    try:
        return msgspec.json.decode(body, type=KeySignIn).key.strip()
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        # The error of msgspec may hold a part of the key.
        raise InvalidWrite('The body must be {"key": "mbk_..."}.', "BAD_REQUEST") from None


def _invalid_credentials() -> Response:
    problem = Problem(
        type="urn:mlflow-bridge:problem:invalid-credentials",
        title="Invalid credentials",
        status=401,
        detail="The key is unknown, expired or revoked, or it allows nothing. Ask an operator for a new one.",
    )
    return Response(401, msgspec.json.encode(problem), "application/problem+json", (_NO_STORE,))


def _json(status: int, document: SessionDocument | SignedOutDocument, *headers: tuple[str, str]) -> Response:
    return Response(status, msgspec.json.encode(document), headers=(_NO_STORE, ("Vary", "Cookie"), *headers))
