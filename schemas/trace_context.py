# SPDX-License-Identifier: Apache-2.0
"""The trace context of a write: the id of its request, and its parent span (W3C Trace Context)."""

import re

import msgspec


class TraceParent(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A parent span, as in W3C Trace Context (https://www.w3.org/TR/trace-context/)."""

    #: Trace id (16 bytes), parent span id (8) and flags (1).
    parent: bytes
    #: The value of ``tracestate``.
    state: str = ""

    @property
    def traceparent(self) -> str:
        """The value of the header ``traceparent``."""
        text = self.parent.hex()
        return f"00-{text[:32]}-{text[32:48]}-{text[48:]}"

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        """The headers that propagate the context."""
        parent = ("traceparent", self.traceparent)
        return (parent, ("tracestate", self.state)) if self.state else (parent,)


class TraceContext(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The request id and the parent span. Stored with each write, so the encoding is compact."""

    #: The request id: its bytes if it is hexadecimal, else its text.
    request: bytes = b""
    is_text: bool = False
    trace: TraceParent | None = None

    @property
    def request_id(self) -> str | None:
        """The id of the request that brought the write. None: an older bridge did not store it."""
        return (self.request.decode() if self.is_text else self.request.hex()) or None


#: The context of a write without a request id or parent span.
NO_TRACE_CONTEXT = TraceContext()


def trace_context_of(request_id: str, trace: TraceParent | None) -> TraceContext:
    """Return the trace context of a request."""
    try:
        digits = bytes.fromhex(request_id)
    except ValueError:
        digits = b""
    is_text = digits.hex() != request_id
    return TraceContext(request_id.encode() if is_text else digits, is_text, trace)


def read_trace(traceparent: str, tracestate: str | None = None) -> TraceParent | None:
    """Return the parent span in two headers, None if ``traceparent`` is invalid.

    As the specification requires, later versions are parsed as far as they agree with version 00. An invalid or too
    long ``tracestate`` is dropped.
    """
    match = _TRACEPARENT.match(traceparent)
    if match is None or match["version"] == "ff" or (match["version"] == "00" and match["more"]):
        return None
    if not (match["trace"].strip("0") and match["span"].strip("0")):
        return None
    parent = bytes.fromhex(match["trace"] + match["span"] + match["flags"])
    return TraceParent(parent, _read_state(tracestate) if tracestate else "")


def _read_state(text: str) -> str:
    members = [member.strip(" \t") for member in text.split(",") if member.strip(" \t")]
    names = {member.partition("=")[0] for member in members}
    fits = len(text) <= _MAX_STATE_LENGTH and len(names) == len(members) <= _MAX_STATE_MEMBERS
    return ",".join(members) if fits and all(map(_STATE_MEMBER.fullmatch, members)) else ""


_TRACEPARENT = re.compile(
    r"(?P<version>[0-9a-f]{2})-(?P<trace>[0-9a-f]{32})-(?P<span>[0-9a-f]{16})-(?P<flags>[0-9a-f]{2})(?P<more>-.*)?\Z"
)
_KEY_CHARACTER = r"[_0-9a-z\-*/]"
_STATE_MEMBER = re.compile(
    rf"(?:[a-z]{_KEY_CHARACTER}{{0,255}}|[a-z0-9]{_KEY_CHARACTER}{{0,240}}@[a-z]{_KEY_CHARACTER}{{0,13}})="
    r"[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]"
)
# The limits of the specification (members, characters).
_MAX_STATE_MEMBERS, _MAX_STATE_LENGTH = 32, 512
