# SPDX-License-Identifier: Apache-2.0
"""Answers that are there before the request's body is: a client that is still sending must be able to read them."""

from api.http.request import Request
from api.http.response import SendableResponse
from api.http.types import Message, Send

#: A client that sends nothing for so long, in seconds, waits for the answer's end.
_PAUSE = 2.0


class EarlyResponse:
    """Sends an answer at once, and ends it when the rest of the body has come in and was dropped, or no more comes.

    A server that ends its answer earlier breaks the connection, and a client that is sending may lose the answer.
    """

    def __init__(self, response: SendableResponse, request: Request, *, seconds: float) -> None:
        """The connection lasts at most for so many seconds more."""
        self._response = response
        self._request = request
        self._seconds = seconds

    async def send_to(self, send: Send) -> None:
        """Send it."""

        async def all_but_its_end(message: Message) -> None:
            if message["type"] == "http.response.start":
                # By its length its end could be seen at once, and the server would not wait either.
                headers = [pair for pair in message["headers"] if pair[0].lower() != b"content-length"]
                await send({**message, "headers": headers})
            else:
                await send({**message, "more_body": True})

        await self._response.send_to(all_but_its_end)
        await self._request.discard_rest(seconds=self._seconds, pause=_PAUSE)
        await send({"type": "http.response.body", "body": b"", "more_body": False})
