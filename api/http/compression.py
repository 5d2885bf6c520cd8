# SPDX-License-Identifier: Apache-2.0
"""Decodes compressed bodies (RFC 9110, section 8.4), no further than a body may be long."""

import zlib
from collections.abc import Callable
from typing import Any

import zstandard

from schemas.errors import InvalidWrite

#: What is unpacked at a time: small, for a few bytes can stand for very many.
_SLICE = 256
_ZSTD_WINDOW = 1 << 23
#: Members, or frames, of one body: each takes its time to begin, and an empty one needs nine bytes.
_MOST_MEMBERS = 10_000


def decoded(body: bytes, coding: str | None, *, longest: int) -> bytes:
    """Return the body without its ``Content-Encoding``, or raise ``InvalidWrite``."""
    coding = (coding or "identity").strip().lower()
    if coding == "identity":
        return body
    unpacker = _UNPACKERS.get(coding)
    if unpacker is None:
        raise InvalidWrite(f"Content-Encoding {coding} is not known; use gzip or zstd.", "BAD_REQUEST", 415)
    try:
        plain = _unpacked(body, unpacker, longest)
    except (zlib.error, EOFError, zstandard.ZstdError) as error:
        raise InvalidWrite(f"The body is not what its Content-Encoding says: {error}.", "BAD_REQUEST") from error
    if len(plain) > longest:
        raise InvalidWrite(f"The body has more than {longest} bytes when it is unpacked.", "REQUEST_TOO_LARGE", 413)
    return plain


def _unpacked(body: bytes, unpacker: Callable[[], Any], longest: int) -> bytes:
    """Unpack all members, or frames, that stand one behind the other; the last must be whole."""
    plain, member, members = bytearray(), None, 0
    for begin in range(0, len(body), _SLICE):
        packed = body[begin : begin + _SLICE]
        while packed:
            if member is None:
                member, members = unpacker(), members + 1
                if members > _MOST_MEMBERS:
                    raise EOFError(f"it has more than {_MOST_MEMBERS} parts")
            plain += member.decompress(packed)
            if len(plain) > longest:
                return bytes(plain)
            packed = member.unused_data if member.eof else b""
            member = None if member.eof else member
    if member is not None:
        raise EOFError("it ends early")
    return bytes(plain)


_UNPACKERS: dict[str, Callable[[], Any]] = {
    "gzip": lambda: zlib.decompressobj(16 + zlib.MAX_WBITS),
    "x-gzip": lambda: zlib.decompressobj(16 + zlib.MAX_WBITS),
    "zstd": lambda: zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW).decompressobj(),
}
