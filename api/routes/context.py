# SPDX-License-Identifier: Apache-2.0
"""Request context of the Flask routes: the client, and what is visible to it."""

from flask import request

from api.http.error_responses import FailedRequest
from bridge.auth.sessions import BrowserSession
from schemas.client import Client

#: Keys of the ASGI scope.
CLIENT = "bridge.client"
REQUEST_ID = "bridge.request_id"
SESSION = "bridge.session"


def client() -> Client:
    """Return the authenticated client."""
    found: Client = request.environ["asgi.scope"][CLIENT]
    return found


def visible_client() -> str | None:
    """Return the client to which visible jobs and dead letters belong; None for operators, who see all."""
    return None if client().is_operator else client().name


def session() -> BrowserSession | None:
    """Return the session of the browser that asks; None for a client that sends credentials."""
    found: BrowserSession | None = request.environ["asgi.scope"][SESSION]
    return found


def request_id() -> str:
    """Return the id of the request."""
    found: str = request.environ["asgi.scope"][REQUEST_ID]
    return found


def failed_request() -> FailedRequest:
    """Return what the response to an error depends on."""
    return FailedRequest(
        method=request.method,
        path=request.path,
        is_own=True,
        request_id=request_id(),
        client=client().name,
    )
