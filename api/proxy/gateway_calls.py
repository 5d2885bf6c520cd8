# SPDX-License-Identifier: Apache-2.0
"""Calls of MLflow's AI Gateway: which endpoint each is for, and the tokens that its response states.

The bytes are read while they pass, after they have been sent on. They are never held back or changed.
"""

from collections.abc import AsyncIterator

import msgspec

from api.http.request import Request
from bridge.events import GatewayUse
from bridge.upstream.forwarding import ForwardedResponse, is_event_stream
from bridge.upstream.json_fields import JsonFields
from bridge.upstream.token_usage import TokenCounter, TokenUsage
from schemas.usage import OTHER_ENDPOINT

_ROOT = "/gateway/"
#: MLflow has no endpoint with a longer name.
_MAX_ENDPOINT_CHARACTERS = 250
#: Of a body, no more tokens of JSON are read than these, to limit the time. Ordinary bodies have far fewer.
_MAX_JSON_TOKENS = 50_000


def is_gateway_call(request: Request) -> bool:
    """Return whether a request calls a model through MLflow's AI Gateway."""
    return request.method == "POST" and request.path.startswith(_ROOT)


class GatewayCall:
    """One call: reads the name of its endpoint and its tokens while request and response pass."""

    def __init__(self, request: Request) -> None:
        #: The name of the endpoint; empty where the body names it.
        self._endpoint = request.endpoint_match.path_parameter if request.endpoint_match else ""
        self._is_named_by_body = not self._endpoint
        self._request_fields = JsonFields([(b"model",)], self._take_model, max_tokens=_MAX_JSON_TOKENS)
        self._has_succeeded = False
        self._counter: TokenCounter | None = None

    async def observe_body(self, body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """Yield the body of the request. Most calls name their endpoint in it, as the model."""
        async for piece in body:
            if self._is_named_by_body:
                self._request_fields.feed(piece)
            yield piece

    def begin_response(self, response: ForwardedResponse) -> None:
        """Read the head of the response: only a successful one without a coding has tokens to count."""
        self._has_succeeded = 200 <= response.status < 300
        codings = [value for name, value in response.headers if name.lower() == "content-encoding"]
        if self._has_succeeded and all(coding.strip().lower() in ("", "identity") for coding in codings):
            self._counter = TokenCounter(is_event_stream=is_event_stream(response.headers))

    def feed(self, piece: bytes) -> None:
        """Count the tokens in a piece of the response that has been sent to the client."""
        if self._counter:
            self._counter.feed(piece)

    def use(self) -> GatewayUse | None:
        """Return the endpoint and the tokens of the call; None if the call has not succeeded."""
        if not self._has_succeeded:
            return None
        usage = (self._counter.usage if self._counter else None) or TokenUsage()
        name = self._endpoint if self._endpoint.isprintable() else ""
        return GatewayUse(
            endpoint=name[:_MAX_ENDPOINT_CHARACTERS] or OTHER_ENDPOINT,
            prompt_tokens=usage.prompt,
            completion_tokens=usage.completion,
        )

    def _take_model(self, text: bytes) -> None:
        try:
            self._endpoint = msgspec.json.decode(text, type=str)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            self._endpoint = ""
