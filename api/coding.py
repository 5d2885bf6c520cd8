# SPDX-License-Identifier: Apache-2.0
"""Decodes compressed bodies (RFC 9110, section 8.4), no further than a body may be long."""

import io
import zlib

import zstandard

from schemas.errors import InvalidWrite

_GZIP = 16 + zlib.MAX_WBITS


def decoded(body: bytes, coding: str | None, *, longest: int) -> bytes:
    """Return the body without its ``Content-Encoding``, or raise ``InvalidWrite``."""
    try:
        match (coding or "identity").strip().lower():
            case "identity":
                return body
            case "gzip" | "x-gzip":
                plain = _gunzipped(body, longest)
            case "zstd":
                with zstandard.ZstdDecompressor().stream_reader(io.BytesIO(body)) as reader:
                    plain = reader.read(longest + 1)
            case other:
                raise InvalidWrite(f"Content-Encoding {other} is not known; use gzip or zstd.", "BAD_REQUEST", 415)
    except (zlib.error, EOFError, zstandard.ZstdError) as error:
        raise InvalidWrite(f"The body is not what its Content-Encoding says: {error}.", "BAD_REQUEST") from error
    if len(plain) > longest:
        raise InvalidWrite(f"The body has more than {longest} bytes when it is unpacked.", "REQUEST_TOO_LARGE", 413)
    return plain


def _gunzipped(body: bytes, longest: int) -> bytes:
    """Unpack all members of a gzip file."""
    plain = b""
    while body and len(plain) <= longest:
        member = zlib.decompressobj(_GZIP)
        plain += member.decompress(body, longest + 1 - len(plain))
        if not member.eof and len(plain) <= longest:
            raise EOFError("it ends early")
        body = member.unused_data
    return plain
