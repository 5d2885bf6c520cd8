# SPDX-License-Identifier: Apache-2.0
"""Whose request it is, for the routes that Flask serves."""

from flask import request

from schemas.client import Client

#: Where the ASGI scope of a request holds its client.
CLIENT = "bridge.client"


def client() -> Client:
    """Return who asks."""
    found: Client = request.environ["asgi.scope"][CLIENT]
    return found


def caller() -> str:
    """Return the name of who asks; jobs answer only to the client that made them."""
    return client().name
