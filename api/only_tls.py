# SPDX-License-Identifier: Apache-2.0
"""Tells browsers that came over TLS never to come without it (RFC 6797)."""

from api.asgi_types import Message, Send

#: A year, in seconds.
_HSTS = (b"strict-transport-security", b"max-age=31536000")


def only_over_tls(send: Send) -> Send:
    """Return what sends an answer with that header."""

    async def with_header(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message["headers"], _HSTS]}
        await send(message)

    return with_header
