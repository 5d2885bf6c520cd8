# SPDX-License-Identifier: Apache-2.0
"""Asks the api in this process, without a socket."""

from typing import Any

from a2wsgi import ASGIMiddleware
from werkzeug.test import Client, TestResponse

from api import create_app
from bridge.bootstrap import Api


class _Client(Client):
    def open(self, *args: Any, **kwargs: Any) -> TestResponse:
        """Read each answer to its end, as a client does; else its request would never be over."""
        return super().open(*args, **(kwargs | {"buffered": True}))


def client_of(bridge: Api) -> Client:
    """Return a client whose requests run on an event loop, as under the real server."""
    return _Client(ASGIMiddleware(create_app(bridge)))  # type: ignore[arg-type] # its types of WSGI and ASGI are its own
