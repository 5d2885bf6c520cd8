# SPDX-License-Identifier: Apache-2.0
"""The ``Idempotency-Key`` of a request (draft-ietf-httpapi-idempotency-key-header-07)."""

import hashlib
import re
from dataclasses import dataclass, field

from schemas.errors import InvalidWrite
from schemas.write import Op

_LONGEST = 255
# The draft has a structured-field string, in quotes; many clients send the bare value.
_QUOTED = re.compile(r'"((?:[ !#-\[\]-~]|\\["\\])*)"')
_BARE = re.compile(r"[!#-~]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Idempotency:
    """What makes a repeated request recognisable."""

    #: Chosen by the client, and meant for one request for ever.
    key: str
    #: Equal for equal requests, whatever the moment: 16 bytes.
    fingerprint: bytes = field(repr=False)
    #: The key stands for one request wherever its lane lies, which costs a round trip to make sure of. False for a part
    #: of a request whose own key has been made sure of.
    whole: bool = True


class KeyReused(InvalidWrite):
    """The key came with another request before."""

    def __init__(self) -> None:
        super().__init__(
            "This Idempotency-Key was used for another request. Use a new key for each request; only an exact repeat"
            " may carry the old one.",
            status=422,
        )


def read_idempotency(header: str | None, op: Op, body: bytes, workspace: str | None) -> Idempotency | None:
    """Return the idempotency of a request, None without a key, or raise ``InvalidWrite`` for a key of another form."""
    key = read_key(header)
    return None if key is None else Idempotency(key=key, fingerprint=fingerprint(op, body, workspace))


def read_key(header: str | None) -> str | None:
    """Return the key that a header holds, None without one, or raise ``InvalidWrite`` for one of another form."""
    if header is None:
        return None
    text = header.strip()
    if quoted := _QUOTED.fullmatch(text):
        key = re.sub(r"\\(.)", r"\1", quoted[1])
    else:
        key = text if _BARE.fullmatch(text) else ""
    if not 0 < len(key) <= _LONGEST:
        raise InvalidWrite(
            f"The Idempotency-Key must be 1 to {_LONGEST} printable ASCII characters, bare or, with spaces, in quotes.",
            "BAD_REQUEST",
        )
    return key


def fingerprint(what: str, body: bytes, workspace: str | None) -> bytes:
    """Return what is equal for equal requests: 16 bytes."""
    return hashlib.blake2b(f"{what}\n{workspace or ''}\n".encode() + body, digest_size=16).digest()
