# SPDX-License-Identifier: Apache-2.0
"""A provider of models on loopback: it answers in the formats of OpenAI, Anthropic and Gemini, and counts tokens."""

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

PATIENCE_S = 20.0
TEXT = 'It says "usage": {"prompt_tokens": 666}.'

#: Where a stream waits, in place of an event.
PAUSE = ""
#: What it states for each call.
PROMPT, COMPLETION, CACHED, THOUGHTS = 1009, 503, 64, 32

_CHAT_USAGE = {"prompt_tokens": PROMPT, "completion_tokens": COMPLETION, "total_tokens": PROMPT + COMPLETION}
_CHAT = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "stub",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": TEXT}, "finish_reason": "stop"}],
    "usage": _CHAT_USAGE,
}
_EMBEDDINGS = {
    "object": "list",
    "model": "stub",
    "data": [{"object": "embedding", "index": 0, "embedding": [0.25] * 1536}],
    "usage": {"prompt_tokens": PROMPT, "total_tokens": PROMPT},
}
_RESPONSE = {
    "id": "resp_1",
    "object": "response",
    "created_at": 1,
    "status": "completed",
    "model": "stub",
    "output": [
        {
            "type": "message",
            "id": "m",
            "status": "completed",
            "role": "assistant",
            "content": [{"type": "output_text", "text": TEXT, "annotations": []}],
        }
    ],
    "usage": {
        "input_tokens": PROMPT,
        "input_tokens_details": {"cached_tokens": CACHED},
        "output_tokens": COMPLETION,
        "output_tokens_details": {"reasoning_tokens": THOUGHTS},
        "total_tokens": PROMPT + COMPLETION,
    },
}
_ANTHROPIC_USAGE = {"input_tokens": PROMPT - CACHED, "cache_read_input_tokens": CACHED, "output_tokens": COMPLETION}
_MESSAGE: dict[str, Any] = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "stub",
    "content": [{"type": "text", "text": TEXT}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": _ANTHROPIC_USAGE,
}
_GEMINI_USAGE = {
    "promptTokenCount": PROMPT,
    "candidatesTokenCount": COMPLETION - THOUGHTS,
    "thoughtsTokenCount": THOUGHTS,
    "totalTokenCount": PROMPT + COMPLETION,
}


def _gemini(usage: dict[str, int]) -> dict[str, Any]:
    content = {"role": "model", "parts": [{"text": TEXT}]}
    return {"candidates": [{"content": content, "finishReason": "STOP", "index": 0}], "usageMetadata": usage}


def _chunk(choices: list[dict[str, Any]], usage: Any) -> dict[str, Any]:
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "stub"}
    return {**head, "choices": choices, "usage": usage}


def _chat_stream() -> Iterator[str]:
    for content in ("It", " says"):
        yield json.dumps(_chunk([{"index": 0, "delta": {"content": content}, "finish_reason": None}], None))
        yield PAUSE
    yield json.dumps(_chunk([{"index": 0, "delta": {}, "finish_reason": "stop"}], None))
    yield json.dumps(_chunk([], _CHAT_USAGE))
    yield "[DONE]"


def _response_stream() -> Iterator[str]:
    yield json.dumps({"type": "response.created", "response": {**_RESPONSE, "output": [], "usage": None}})
    yield json.dumps({"type": "response.output_text.delta", "delta": TEXT})
    yield PAUSE
    yield json.dumps({"type": "response.completed", "response": _RESPONSE})


def _message_stream() -> Iterator[str]:
    begun = {**_MESSAGE, "content": [], "stop_reason": None, "usage": {**_ANTHROPIC_USAGE, "output_tokens": 1}}
    yield json.dumps({"type": "message_start", "message": begun})
    yield json.dumps({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}})
    yield json.dumps({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": TEXT}})
    yield PAUSE
    yield json.dumps({"type": "content_block_stop", "index": 0})
    delta = {"stop_reason": "end_turn", "stop_sequence": None}
    yield json.dumps({"type": "message_delta", "delta": delta, "usage": {"output_tokens": COMPLETION}})
    yield json.dumps({"type": "message_stop"})


def _gemini_stream() -> Iterator[str]:
    yield json.dumps(_gemini({"promptTokenCount": PROMPT, "totalTokenCount": PROMPT}))
    yield PAUSE
    yield json.dumps(_gemini(_GEMINI_USAGE))


#: By the end of the path: the plain answer, and the events of a streamed one.
_ANSWERS: dict[str, tuple[Any, Any]] = {
    "/chat/completions": (_CHAT, _chat_stream),
    "/embeddings": (_EMBEDDINGS, None),
    "/responses": (_RESPONSE, _response_stream),
    "/messages": (_MESSAGE, _message_stream),
    ":generateContent": (_gemini(_GEMINI_USAGE), None),
    ":streamGenerateContent": (None, _gemini_stream),
}


@dataclass
class ModelProvider:
    """Serves for as long as the `with` lasts."""

    #: The bodies of all calls.
    calls: list[dict[str, Any]] = field(default_factory=list)
    #: A streamed answer sends the events up to its text, and the others once this is set.
    may_go_on: threading.Event = field(default_factory=threading.Event)
    #: Whether it was not set in time, so that an answer went on by itself.
    has_given_up: bool = False
    _server: ThreadingHTTPServer = field(init=False, repr=False)

    def __enter__(self) -> Self:
        provider = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                provider.respond(self)

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.may_go_on.set()
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    def respond(self, http: BaseHTTPRequestHandler) -> None:
        body = json.loads(http.rfile.read(int(http.headers["Content-Length"])))
        self.calls.append(body)
        path = http.path.partition("?")[0]
        plain, stream = next(answers for end, answers in _ANSWERS.items() if path.endswith(end))
        if stream and (body.get("stream") or plain is None):
            self._stream(http, stream())
            return
        whole = json.dumps(plain).encode()
        http.send_response(200)
        http.send_header("Content-Type", "application/json")
        http.send_header("Content-Length", str(len(whole)))
        http.end_headers()
        http.wfile.write(whole)

    def _stream(self, http: BaseHTTPRequestHandler, events: Iterator[str]) -> None:
        http.send_response(200)
        http.send_header("Content-Type", "text/event-stream")
        http.send_header("Transfer-Encoding", "chunked")
        http.end_headers()
        for event in events:
            if event == PAUSE:
                self.has_given_up |= not self.may_go_on.wait(PATIENCE_S)
                continue
            sent = f"data: {event}\n\n".encode()
            http.wfile.write(b"%X\r\n%s\r\n" % (len(sent), sent))
            http.wfile.flush()
        http.wfile.write(b"0\r\n\r\n")
