# SPDX-License-Identifier: Apache-2.0
"""The ``Idempotency-Key`` of a request (draft-ietf-httpapi-idempotency-key-header-07)."""

import hashlib
import re
from dataclasses import dataclass, field

from schemas.errors import InvalidWrite
from schemas.write import Op

_MAX_KEY_LENGTH = 255
# The draft requires a structured-field string, in quotes; many clients send the bare value.
_QUOTED_KEY = re.compile(r'"((?:[ !#-\[\]-~]|\\["\\])*)"')
_BARE_KEY = re.compile(r"[!#-~]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Idempotency:
    """The key and the fingerprint of a request. A repeat of the request has the same two."""

    #: Chosen by the client; it identifies one request.
    key: str
    #: 16 bytes, equal for equal requests.
    fingerprint: bytes = field(repr=False)
    #: Whether the store reserves the key across all partitions, which costs a round trip. In a batch, only the first
    #: write reserves the key of the request.
    reserves_key: bool = True


class KeyReused(InvalidWrite):
    """The key was used for another request (422, as in the draft)."""

    def __init__(self) -> None:
        super().__init__(
            "This Idempotency-Key was used for another request. Use a new key for each request; only an exact repeat"
            " may carry the old one.",
            status=422,
        )


def read_idempotency(header: str | None, op: Op, body: bytes, workspace: str | None) -> Idempotency | None:
    """Return the key and fingerprint of a request, None without a key. Raises ``InvalidWrite`` for a malformed key."""
    key = read_key(header)
    return None if key is None else Idempotency(key=key, fingerprint=fingerprint(op, body, workspace))


def read_key(header: str | None) -> str | None:
    """Return the key in a header, None without one. Raises ``InvalidWrite`` for a malformed key."""
    if header is None:
        return None
    text = header.strip()
    if quoted := _QUOTED_KEY.fullmatch(text):
        key = re.sub(r"\\(.)", r"\1", quoted[1])
    else:
        key = text if _BARE_KEY.fullmatch(text) else ""
    if not 0 < len(key) <= _MAX_KEY_LENGTH:
        raise InvalidWrite(
            f"The Idempotency-Key must be 1 to {_MAX_KEY_LENGTH} printable ASCII characters, bare or, with spaces, in"
            " quotes.",
            "BAD_REQUEST",
        )
    return key


def fingerprint(operation: str, body: bytes, workspace: str | None) -> bytes:
    """Return a hash of 16 bytes that is equal for equal requests."""
    return hashlib.blake2b(f"{operation}\n{workspace or ''}\n".encode() + body, digest_size=16).digest()
