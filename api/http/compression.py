# SPDX-License-Identifier: Apache-2.0
"""Decompresses bodies by their Content-Encoding (RFC 9110, section 8.4), up to a maximum length."""

import zlib
from collections.abc import Callable
from typing import Any

import zstandard

from schemas.errors import InvalidWrite

#: Compressed bytes at a time: few, because they can expand to very many.
_SLICE_BYTES = 256
_MAX_ZSTD_WINDOW_BYTES = 1 << 23
#: Members (gzip) or frames (zstd) of one body: each costs time to begin, and an empty one has only nine bytes.
_MAX_MEMBERS = 10_000
#: The first bytes of a frame (RFC 8878, section 3.1.1); no JSON begins with them.
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_UNNAMED_ZSTD = (
    "The body is compressed with zstd, and the request has no Content-Encoding: zstd. Amazon API Gateway removes that "
    "header: send gzip or no compression through it."
)


def decompress(body: bytes, coding: str | None, *, max_bytes: int) -> bytes:
    """Return the body without its ``Content-Encoding``, or raise ``InvalidWrite``."""
    coding = (coding or "identity").strip().lower()
    if coding == "identity":
        if body.startswith(_ZSTD_MAGIC):
            raise InvalidWrite(_UNNAMED_ZSTD, "BAD_REQUEST", 415)
        return body
    new_decompressor = _DECOMPRESSORS.get(coding)
    if new_decompressor is None:
        raise InvalidWrite(f"Content-Encoding {coding} is not supported; use gzip or zstd.", "BAD_REQUEST", 415)
    try:
        plain = _decompress_all(body, new_decompressor, max_bytes)
    except (zlib.error, EOFError, zstandard.ZstdError) as error:
        raise InvalidWrite(f"The body does not match its Content-Encoding: {error}.", "BAD_REQUEST") from error
    if len(plain) > max_bytes:
        raise InvalidWrite(f"The decompressed body has more than {max_bytes} bytes.", "REQUEST_TOO_LARGE", 413)
    return plain


def _decompress_all(body: bytes, new_decompressor: Callable[[], Any], max_bytes: int) -> bytes:
    """Decompress all consecutive members or frames; the last one must be complete."""
    plain, member, members = bytearray(), None, 0
    for begin in range(0, len(body), _SLICE_BYTES):
        compressed = body[begin : begin + _SLICE_BYTES]
        while compressed:
            if member is None:
                member, members = new_decompressor(), members + 1
                if members > _MAX_MEMBERS:
                    raise EOFError(f"it has more than {_MAX_MEMBERS} parts")
            plain += member.decompress(compressed)
            if len(plain) > max_bytes:
                return bytes(plain)
            compressed = member.unused_data if member.eof else b""
            member = None if member.eof else member
    if member is not None:
        raise EOFError("it ends early")
    return bytes(plain)


_DECOMPRESSORS: dict[str, Callable[[], Any]] = {
    "gzip": lambda: zlib.decompressobj(16 + zlib.MAX_WBITS),
    "x-gzip": lambda: zlib.decompressobj(16 + zlib.MAX_WBITS),
    "zstd": lambda: zstandard.ZstdDecompressor(max_window_size=_MAX_ZSTD_WINDOW_BYTES).decompressobj(),
}
