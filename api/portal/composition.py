# SPDX-License-Identifier: Apache-2.0
"""Composition of authentication, sign-in and the console, for `api.composition`."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version

from api.auth.authentication import Authentication, CredentialVerifier
from api.auth.session_authentication import SessionAuthentication
from api.auth.sigv4 import SignatureVerifier
from api.http.request import Request
from api.http.response import Response
from api.http.routing import Route
from api.portal.browser_origins import BrowserOrigins
from api.portal.console_files import CONSOLE_PATH, ConsoleFiles
from api.portal.provider_sign_in import ProviderSignInRoutes
from api.portal.session_document import SessionDescriber
from api.portal.session_routes import SessionRoutes
from api.portal.session_starter import SessionStarter
from api.portal.unauthenticated import browser_response
from bridge.bootstrap.processes import Api

_KEY_THREADS = 4
_SIGN_IN_THREADS = 4


class Portal:
    """The authentication of requests, the routes of sign-in, and the console."""

    def __init__(self, bridge: Api, routes: Iterable[Route], *, console: ConsoleFiles) -> None:
        settings, key_threads = bridge.settings, ThreadPoolExecutor(_KEY_THREADS, thread_name_prefix="login")
        self.origins = BrowserOrigins(public_url=settings.public_url, console_host=settings.console_host)
        self.session_authentication = SessionAuthentication(
            bridge.browsers.sessions, key_threads, public_url=settings.public_url, console_host=settings.console_host
        )
        self.authentication = _authentication(bridge, self.session_authentication, key_threads)
        describer = SessionDescriber(settings, routes, version=version("mlflow-bridge"))
        methods = describer.sign_in
        self._can_sign_in = console.is_built and (methods.key or methods.oidc)
        #: The path of the page with the reference, None without a console.
        self.reference_page = f"{CONSOLE_PATH}/api" if console.is_built else None
        starter = SessionStarter(
            sessions=bridge.browsers.sessions,
            session_authentication=self.session_authentication,
            observe=bridge.observe,
            # Threads of their own, so that a provider that hangs delays no client with an API key.
            threads=ThreadPoolExecutor(_SIGN_IN_THREADS, thread_name_prefix="sign-in"),
            trusted_proxies=settings.trusted_proxies or 0,
        )
        #: The objects with those routes of the portal that the event loop serves.
        self.loop_routes = (
            SessionRoutes(
                starter=starter,
                authentication=self.authentication,
                api_keys=bridge.api_keys,
                oidc_login=bridge.browsers.oidc_login,
                origins=self.origins,
                describer=describer,
                clock=bridge.clock,
            ),
            ProviderSignInRoutes(
                starter=starter,
                authentication=self.authentication,
                oidc_login=bridge.browsers.oidc_login,
                origins=self.origins,
            ),
            console,
        )

    def unauthenticated(self, request: Request, response: Response) -> Response:
        """Return the response to send in place of a 401. Where no browser can sign in, it is the 401 itself."""
        return browser_response(request, response) if self._can_sign_in else response


def _authentication(bridge: Api, sessions: SessionAuthentication, threads: ThreadPoolExecutor) -> Authentication:
    kinds, tokens = bridge.settings.auth or (), bridge.tokens
    verifiers = {
        kind: verifier.client_of
        for kind, verifier in (("jwt", tokens.bearer), ("alb", tokens.load_balancer))
        if verifier
    }
    signatures = SignatureVerifier(bridge.api_keys, threads, bridge.clock, bridge.observe)
    return Authentication(
        kinds,
        credentials=CredentialVerifier(bridge.api_keys, verifiers, bridge.clock),
        signatures=signatures if "sigv4" in kinds else None,
        sessions=sessions,
        key_threads=threads,
        trusted_proxies=bridge.settings.trusted_proxies or 0,
    )
