# SPDX-License-Identifier: Apache-2.0
"""What a write carries so that it can be followed: the id of the request that brought it, and its place in a trace."""

import re

import msgspec


class TraceParent(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A place in a trace, as W3C Trace Context has it (https://www.w3.org/TR/trace-context/)."""

    #: TraceParent id (16 bytes), span id (8) and flags (1).
    parent: bytes
    #: What the tracers on the way have to say, word for word.
    state: str = ""

    @property
    def traceparent(self) -> str:
        """The header of that name."""
        text = self.parent.hex()
        return f"00-{text[:32]}-{text[32:48]}-{text[48:]}"

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        """What tells it to whoever is asked next."""
        parent = ("traceparent", self.traceparent)
        return (parent, ("tracestate", self.state)) if self.state else (parent,)


class TraceContext(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """Stored with each write, so it is small: our own ids take eight bytes, and no trace takes one."""

    #: The id of the request: what its hexadecimal digits stand for, or its text if it is not made of such.
    request: bytes = b""
    is_text: bool = False
    trace: TraceParent | None = None

    @property
    def request_id(self) -> str | None:
        """The id of the request that brought the write; None for one of a bridge that did not store it."""
        return (self.request.decode() if self.is_text else self.request.hex()) or None


#: Of a write that came without a request, or with one that left no trace_context.
NO_TRACE_CONTEXT = TraceContext()


def trace_context_of(request_id: str, trace: TraceParent | None) -> TraceContext:
    """Return the trail of a request."""
    try:
        digits = bytes.fromhex(request_id)
    except ValueError:
        digits = b""
    is_text = digits.hex() != request_id
    return TraceContext(request_id.encode() if is_text else digits, is_text, trace)


def read_trace(traceparent: str, tracestate: str | None = None) -> TraceParent | None:
    """Return the place in a trace that two headers tell; None for what is no such place, as if nothing was sent.

    Of versions to come is read what they share with this one. A state that is none, or too long, is dropped.
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
    fits = len(text) <= _LONGEST_STATE and len(names) == len(members) <= _MOST_MEMBERS
    return ",".join(members) if fits and all(map(_MEMBER.fullmatch, members)) else ""


_TRACEPARENT = re.compile(
    r"(?P<version>[0-9a-f]{2})-(?P<trace>[0-9a-f]{32})-(?P<span>[0-9a-f]{16})-(?P<flags>[0-9a-f]{2})(?P<more>-.*)?\Z"
)
_NAME = r"[_0-9a-z\-*/]"
_MEMBER = re.compile(
    rf"(?:[a-z]{_NAME}{{0,255}}|[a-z0-9]{_NAME}{{0,240}}@[a-z]{_NAME}{{0,13}})="
    r"[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]"
)
_MOST_MEMBERS, _LONGEST_STATE = 32, 512
