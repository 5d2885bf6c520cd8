# SPDX-License-Identifier: Apache-2.0
"""Counts the tokens of a call of MLflow's AI Gateway, which its response states. Reads the response as it passes.

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
#: The fields that state tokens, one tuple for each response format. The first field of a tuple shows that its format
#: applies; the tokens are the sum of its fields.
_PROMPT_FIELDS = (
    ("prompt_tokens",),
    ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens"),
    ("promptTokenCount", "toolUsePromptTokenCount"),
)
_COMPLETION_FIELDS = (("completion_tokens",), ("output_tokens",), ("candidatesTokenCount", "thoughtsTokenCount"))
#: A higher number is an error of the provider.
_MAX_TOKENS = 2**40
_LINE_END = re.compile(rb"\n")
#: The beginning of an event's line that holds JSON.
_DATA_PREFIX = b"data:"


class TokenUsage(msgspec.Struct, frozen=True):
    """Tokens of one call, or of many."""

    prompt: int = 0
    completion: int = 0


class TokenCounter:
    """Reads the tokens from the pieces of one response. It keeps a few numbers, and no text."""

    def __init__(self, *, is_event_stream: bool) -> None:
        fields = JsonFields(_PATHS, self._take_counts)
        self._feed = _EventStream(fields).feed if is_event_stream else fields.feed
        #: The numbers that the response has stated so far, by field.
        self._stated: dict[str, int] = {}

    def feed(self, piece: bytes) -> None:
        """Read the next piece of the response."""
        self._feed(piece)

    @property
    def usage(self) -> TokenUsage | None:
        """The tokens that the response has stated so far; None if it has stated none."""
        if not self._stated:
            return None
        return TokenUsage(self._sum_of(_PROMPT_FIELDS), self._sum_of(_COMPLETION_FIELDS))

    def _sum_of(self, formats: tuple[tuple[str, ...], ...]) -> int:
        for names in formats:
            if names[0] in self._stated:
                return sum(self._stated.get(name, 0) for name in names)
        return 0

    def _take_counts(self, text: bytes) -> None:
        try:
            fields: dict[str, Any] = msgspec.json.decode(text, type=dict[str, Any])
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return
        for name in _COUNT_FIELDS & fields.keys():
            number = fields[name]
            if type(number) is int and 0 <= number <= _MAX_TOKENS:
                self._stated[name] = number


_COUNT_FIELDS = frozenset(name for names in (*_PROMPT_FIELDS, *_COMPLETION_FIELDS) for name in names)


class _EventStream:
    """Passes on the JSON of server-sent events, and of lines that are JSON themselves. A piece may end anywhere."""

    def __init__(self, fields: JsonFields) -> None:
        self._fields = fields
        #: The first bytes of a line, until they show what it is.
        self._line_begin = bytearray()
        self._is_data = self._is_json_line = False

    def feed(self, piece: bytes) -> None:
        position = 0
        for match in _LINE_END.finditer(piece):
            self._feed_line(piece[position : match.start()])
            self._end_line()
            position = match.end()
        self._feed_line(piece[position:])

    def _feed_line(self, part: bytes) -> None:
        if not self._is_data and len(self._line_begin) < len(_DATA_PREFIX):
            missing = len(_DATA_PREFIX) - len(self._line_begin)
            self._line_begin += part[:missing]
            part = part[missing:]
            self._is_json_line = self._line_begin.startswith((b"{", b"["))
            self._is_data = self._is_json_line or self._line_begin == _DATA_PREFIX
            if self._is_json_line:
                part = bytes(self._line_begin) + part
        if self._is_data and part:
            self._fields.feed(part)

    def _end_line(self) -> None:
        # An event ends with an empty line. It may have several lines of data.
        if self._is_json_line or bytes(self._line_begin) in (b"", b"\r"):
            self._fields.restart()
        self._line_begin.clear()
        self._is_data = self._is_json_line = False
