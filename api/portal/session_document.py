# SPDX-License-Identifier: Apache-2.0
"""Makes the document of a session: the client as which the browser is signed in, and its permissions."""

from collections.abc import Iterable
from typing import Literal

from api.http.request import Identity
from api.http.routing import Route
from bridge.config.settings import Settings
from schemas.client import ANYBODY, UNAUTHENTICATED, Rule, Scope
from schemas.session import SessionDocument, SignInMethods

#: Without it, the console shows the client as read-only.
_WRITE = Rule("LogBatch", Scope.WRITE)


class SessionDescriber:
    """Describes sessions of this installation."""

    def __init__(self, settings: Settings, routes: Iterable[Route], *, version: str) -> None:
        self._label = settings.label
        self._console_host = settings.console_host
        self._version = version
        self._rules = [route.rule for route in routes if route.rule]
        self.sign_in = SignInMethods(
            key="keys" in (settings.auth or ()), oidc=bool(settings.auth and settings.oidc_client_id)
        )

    def describe(self, identity: Identity) -> SessionDocument:
        """Return the document of an identity."""
        client, session = identity.client, identity.session
        if client is UNAUTHENTICATED:
            return SessionDocument(signed_in=False, sign_in=self.sign_in, version=self._version, label=self._label)
        return SessionDocument(
            signed_in=True,
            sign_in=self.sign_in,
            version=self._version,
            label=self._label,
            console_host=self._console_host,
            client=client.name,
            display=session.display if session else client.name.partition(":")[2] or client.name,
            via=_sign_in_method(identity),
            scopes=client.scopes,
            actions=tuple(sorted({rule.action for rule in self._rules if client.may(rule)})),
            experiments=None if client.experiments is None else tuple(sorted(client.experiments)),
            read_only=not client.may(_WRITE),
            signed_in_at=session.created_at if session else None,
            ends_at=session.ends_at if session else None,
        )


def _sign_in_method(identity: Identity) -> Literal["none", "key", "oidc", "alb"]:
    if identity.client is ANYBODY:
        return "none"
    match identity.session.via if identity.session else identity.client.name.partition(":")[0]:
        case "oidc":
            return "oidc"
        case "alb":
            return "alb"
    return "key"
