# SPDX-License-Identifier: Apache-2.0
"""Sends a response before the request's body is complete, so that a client that is still sending can read it.

A server that ends its response earlier closes the connection, and the client may lose the response.
"""

from api.http.request import Request
from api.http.response import SendableResponse
from api.http.types import Message, Send

#: The response ends when the client has sent nothing for this long.
_PAUSE_S = 2.0


class EarlyResponse:
    """Sends a response at once, and ends it when the rest of the body has been dropped."""

    def __init__(self, response: SendableResponse, request: Request, *, timeout_s: float) -> None:
        """``timeout_s`` limits how long the connection stays open."""
        self._response = response
        self._request = request
        self._timeout_s = timeout_s

    async def send_to(self, send: Send) -> None:
        """Send the response without its end, drop the rest of the body, then send the end."""

        async def send_without_end(message: Message) -> None:
            if message["type"] == "http.response.start":
                # With a Content-Length, client and server would see the end of the response at once.
                headers = [pair for pair in message["headers"] if pair[0].lower() != b"content-length"]
                await send({**message, "headers": headers})
            else:
                await send({**message, "more_body": True})

        await self._response.send_to(send_without_end)
        await self._request.drop_rest(timeout_s=self._timeout_s, pause_s=_PAUSE_S)
        await send({"type": "http.response.body", "body": b"", "more_body": False})
