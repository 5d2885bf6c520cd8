# SPDX-License-Identifier: Apache-2.0
"""Whose request it is, for the routes that Flask serves."""

from flask import request

from schemas.client import Client

#: Where the ASGI scope of a request holds its client.
CLIENT = "bridge.client"
#: Where its id.
REQUEST_ID = "bridge.request_id"


def client() -> Client:
    """Return who asks."""
    found: Client = request.environ["asgi.scope"][CLIENT]
    return found


def visible_client() -> str | None:
    """Return whose jobs and dead letters he may see who asks: his own, or, None, everybody's."""
    return None if client().is_operator else client().name


def request_id() -> str:
    """Return the id of the request."""
    found: str = request.environ["asgi.scope"][REQUEST_ID]
    return found
