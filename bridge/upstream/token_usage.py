# SPDX-License-Identifier: Apache-2.0
"""The tokens of a call of MLflow's AI Gateway, as its response states them. It is read while it passes.

=================================  ==============================================================================
response                           where it states the tokens
=================================  ==============================================================================
chat, completions, embeddings      ``usage``: ``prompt_tokens``, ``completion_tokens``; streamed: in the last chunk
OpenAI's Responses                 ``usage``: ``input_tokens``, ``output_tokens``; streamed: in the ``response`` of
                                   the last event
Anthropic's Messages               ``usage``: ``input_tokens``, ``cache_creation_input_tokens`` and
                                   ``cache_read_input_tokens``, ``output_tokens``; streamed: in the ``message`` of
                                   ``message_start``, and in ``message_delta``
Gemini                             ``usageMetadata``: ``promptTokenCount`` and ``toolUsePromptTokenCount``,
                                   ``candidatesTokenCount`` and ``thoughtsTokenCount``; streamed: in each chunk
=================================  ==============================================================================

A later statement in a stream replaces an earlier one: providers state totals, and no increments.
"""

import re
from typing import Any

import msgspec

from bridge.upstream.json_fields import JsonFields

_PATHS = ((b"usage",), (b"usageMetadata",), (b"message", b"usage"), (b"response", b"usage"))
#: The fields that state the tokens. Of each list, the first one with a field in the response counts, as a sum.
_PROMPT = (
    ("prompt_tokens",),
    ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens"),
    ("promptTokenCount", "toolUsePromptTokenCount"),
)
_COMPLETION = (("completion_tokens",), ("output_tokens",), ("candidatesTokenCount", "thoughtsTokenCount"))
#: A number beyond it is an error of the provider.
_MAX_TOKENS = 2**40
_LINE_END = re.compile(rb"\n")
#: The field of an event that holds its JSON.
_DATA = b"data:"


class TokenUsage(msgspec.Struct, frozen=True):
    """Tokens of one call, or of many."""

    prompt: int = 0
    completion: int = 0


class TokenCounter:
    """Reads the tokens from the pieces of one response. It keeps a few numbers, and no text."""

    def __init__(self, *, is_event_stream: bool) -> None:
        fields = JsonFields(_PATHS, self._take)
        self._feed = _EventStream(fields).feed if is_event_stream else fields.feed
        self._stated: dict[str, int] = {}

    def feed(self, piece: bytes) -> None:
        """Read the next piece of the response."""
        self._feed(piece)

    @property
    def usage(self) -> TokenUsage | None:
        """The tokens that the response has stated so far; None if it has stated none."""
        if not self._stated:
            return None
        return TokenUsage(self._sum_of(_PROMPT), self._sum_of(_COMPLETION))

    def _sum_of(self, alternatives: tuple[tuple[str, ...], ...]) -> int:
        stated = self._stated
        return next((sum(stated.get(each, 0) for each in names) for names in alternatives if names[0] in stated), 0)

    def _take(self, text: bytes) -> None:
        try:
            fields: dict[str, Any] = msgspec.json.decode(text, type=dict[str, Any])
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return
        for name in _NAMES & fields.keys():
            number = fields[name]
            if type(number) is int and 0 <= number <= _MAX_TOKENS:
                self._stated[name] = number


_NAMES = frozenset(name for alternatives in (_PROMPT, _COMPLETION) for names in alternatives for name in names)


class _EventStream:
    """Passes on the JSON of server-sent events, and of lines that are JSON themselves, whatever the pieces are."""

    def __init__(self, fields: JsonFields) -> None:
        self._fields = fields
        #: The first bytes of a line, until they show what it is.
        self._begin = bytearray()
        self._is_data = self._is_json_line = False

    def feed(self, piece: bytes) -> None:
        position = 0
        for match in _LINE_END.finditer(piece):
            self._feed_line(piece[position : match.start()])
            self._end_line()
            position = match.end()
        self._feed_line(piece[position:])

    def _feed_line(self, part: bytes) -> None:
        if not self._is_data and len(self._begin) < len(_DATA):
            missing = len(_DATA) - len(self._begin)
            self._begin += part[:missing]
            part = part[missing:]
            self._is_json_line = self._begin.startswith((b"{", b"["))
            self._is_data = self._is_json_line or self._begin == _DATA
            if self._is_json_line:
                part = bytes(self._begin) + part
        if self._is_data and part:
            self._fields.feed(part)

    def _end_line(self) -> None:
        # An event ends with an empty line. It may have several lines of data.
        if self._is_json_line or bytes(self._begin) in (b"", b"\r"):
            self._fields.restart()
        self._begin.clear()
        self._is_data = self._is_json_line = False
