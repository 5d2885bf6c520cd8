# SPDX-License-Identifier: Apache-2.0
"""The tokens that responses of MLflow's AI Gateway state, in the formats of each provider."""

import json
import time
from typing import Any

import pytest

from bridge.upstream.token_usage import TokenCounter, TokenUsage

LIE = 'no: "usage": {"prompt_tokens": 666, "completion_tokens": 666}'
CHAT = {"id": "c", "choices": [{"message": {"content": LIE}}], "usage": {"prompt_tokens": 9, "completion_tokens": 12}}
EMBEDDINGS = {
    "data": [{"embedding": [0.1] * 1536}] * 20,
    "model": "e",
    "usage": {"prompt_tokens": 8, "total_tokens": 8},
}
RESPONSES = {
    "output": [{"content": [{"text": LIE}]}],
    "usage": {"input_tokens": 7, "input_tokens_details": {"cached_tokens": 5}, "output_tokens": 6, "total_tokens": 13},
    "user": None,
}
TOOL = {"type": "tool_use", "input": {"usage": {"input_tokens": 666, "output_tokens": 666}}}
ANTHROPIC: dict[str, Any] = {
    "content": [TOOL, {"text": LIE}],
    "usage": {
        "input_tokens": 10,
        "cache_creation_input_tokens": 3,
        "cache_read_input_tokens": 4,
        "output_tokens": 5,
        "service_tier": "standard",
    },
}
GEMINI = {
    "candidates": [{"content": {"parts": [{"functionCall": {"args": {"usageMetadata": {"promptTokenCount": 666}}}}]}}],
    "usageMetadata": {
        "promptTokenCount": 11,
        "toolUsePromptTokenCount": 2,
        "candidatesTokenCount": 20,
        "thoughtsTokenCount": 30,
        "totalTokenCount": 63,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 11}],
    },
}
PLAIN: dict[str, tuple[Any, TokenUsage]] = {
    "chat": (CHAT, TokenUsage(9, 12)),
    "embeddings": (EMBEDDINGS, TokenUsage(8, 0)),
    "responses": (RESPONSES, TokenUsage(7, 6)),
    "anthropic": (ANTHROPIC, TokenUsage(17, 5)),
    "gemini": (GEMINI, TokenUsage(13, 50)),
    "gemini, an array": ([GEMINI, GEMINI], TokenUsage(13, 50)),
}


def _events(*documents: Any, end: str = "\n", name: str = "") -> bytes:
    head = f"event: {name}{end}" if name else ""
    return "".join(f"{head}data: {json.dumps(each)}{end}{end}" for each in documents).encode()


def _chunk(usage: Any) -> dict[str, Any]:
    return {"choices": [{"delta": {"content": LIE}}], "usage": usage}


CHAT_STREAM = (_chunk(None), _chunk(None), {"choices": [], "usage": CHAT["usage"]})
ANTHROPIC_STREAM = (
    {"type": "message_start", "message": {"content": [], "usage": {**ANTHROPIC["usage"], "output_tokens": 1}}},
    {"type": "content_block_delta", "delta": {"text": LIE}},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 5}},
    {"type": "message_stop"},
)
STREAMED: dict[str, tuple[bytes, TokenUsage]] = {
    "chat": (_events(*CHAT_STREAM) + b"data: [DONE]\n\n", TokenUsage(9, 12)),
    "chat with CRLF": (_events(*CHAT_STREAM, end="\r\n") + b"data: [DONE]\r\n\r\n", TokenUsage(9, 12)),
    "chat without a space": (_events(*CHAT_STREAM).replace(b"data: ", b"data:"), TokenUsage(9, 12)),
    "chat with comments": (b": ping\n\n" + _events(*CHAT_STREAM) + b": ping\n\n", TokenUsage(9, 12)),
    "totals so far": (
        _events(*(_chunk({"prompt_tokens": 9, "completion_tokens": n}) for n in range(13))),
        TokenUsage(9, 12),
    ),
    "responses": (
        _events({"type": "response.created", "response": {"usage": None}}, name="response.created")
        + _events({"type": "response.completed", "response": RESPONSES}, name="response.completed"),
        TokenUsage(7, 6),
    ),
    "anthropic": (_events(*ANTHROPIC_STREAM, name="some"), TokenUsage(17, 5)),
    "gemini": (
        _events({"usageMetadata": {"promptTokenCount": 11, "toolUsePromptTokenCount": 2}}, GEMINI),
        TokenUsage(13, 50),
    ),
    "data in several lines": (
        b'data: {"usage":\ndata: {"prompt_tokens": 9,\ndata: "completion_tokens": 12}}\n\n',
        TokenUsage(9, 12),
    ),
    "lines of JSON": (
        b'{"message": 1}\n' + json.dumps(CHAT).encode() + b"\n",
        TokenUsage(9, 12),
    ),
}


def counted(*pieces: bytes, is_event_stream: bool) -> TokenUsage | None:
    counter = TokenCounter(is_event_stream=is_event_stream)
    for piece in pieces:
        counter.feed(piece)
    return counter.usage


@pytest.mark.parametrize("kind", PLAIN)
def test_a_response_in_any_two_pieces_states_its_tokens(kind: str) -> None:
    document, stated = PLAIN[kind]
    whole = json.dumps(document).encode()

    for cut in range(0, len(whole), max(1, len(whole) // 500)):
        assert counted(whole[:cut], whole[cut:], is_event_stream=False) == stated


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 64, 1 << 20])
@pytest.mark.parametrize("kind", STREAMED)
def test_a_stream_in_pieces_of_any_size_states_its_tokens(kind: str, size: int) -> None:
    whole, stated = STREAMED[kind]

    pieces = [whole[i : i + size] for i in range(0, len(whole), size)]
    assert counted(*pieces, is_event_stream=True) == stated


def test_a_stream_that_breaks_off_states_what_has_come() -> None:
    begin = _events(ANTHROPIC_STREAM[0], ANTHROPIC_STREAM[1])

    assert counted(begin, b'data: {"type": "message_del', is_event_stream=True) == TokenUsage(17, 1)


@pytest.mark.parametrize(
    "response",
    [
        b"",
        b"<html>",
        b'{"detail": "no such endpoint"}',
        b'{"usage": null}',
        b'{"usage": {}}',
        b'{"usage": {"prompt_tokens": "9", "completion_tokens": -1}}',
        b'{"usage": {"prompt_tokens": 1e3, "completion_tokens": true}}',
        b'{"usage": {"prompt_tokens": 99999999999999999999}}',
        b'{"usage": {"prompt_tokens": \xff}}',
    ],
)
def test_what_states_no_tokens_counts_none(response: bytes) -> None:
    assert counted(response, is_event_stream=False) is None
    assert counted(b"data: " + response + b"\n\n", is_event_stream=True) is None


def test_counting_costs_little_time() -> None:
    """A response of a megabyte takes well below what its transfer takes."""
    whole = json.dumps({"data": [{"embedding": [0.123456789] * 1536}] * 64, "usage": CHAT["usage"]}).encode()
    pieces = [whole[i : i + 65536] for i in range(0, len(whole), 65536)]

    began = time.perf_counter()
    assert counted(*pieces, is_event_stream=False) == TokenUsage(9, 12)
    assert time.perf_counter() - began < 1
