# SPDX-License-Identifier: Apache-2.0
"""Judges AWS Signature Version 4 of requests that clients have signed with a key of ours. Pure: no clock, no store.

Written from the published description, and apart from what signs our own calls:
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html

`parse_signed_headers` checks what needs no secret: the form, the time, what is signed. `SignedHeaders.is_of` alone
checks that it was made with a secret. Both must be content, and the body must be the one whose hash was signed.
"""

import datetime as dt
import hashlib
import hmac
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import quote, unquote_to_bytes

ALGORITHM = "AWS4-HMAC-SHA256"
#: How long before and after its date a signature counts.
WINDOW = dt.timedelta(minutes=5)
#: What clients sign for: AWS's plugin for tracking servers the first, for MLflow Apps the second.
SERVICES = ("sagemaker-mlflow", "sagemaker")
EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()

_ACCESS_KEY = re.compile(r"[A-Z0-9]{16,128}")
_REGION = re.compile(r"[a-z0-9-]{1,64}")
_STAMP = re.compile(r"\d{8}T\d{6}Z", re.ASCII)
_HASH = re.compile(r"[0-9a-f]{64}")
_FIELDS = ("Credential", "Signature", "SignedHeaders")
_MUST_BE_SIGNED = frozenset({"host", "x-amz-date"})
#: Of what begins so, nothing counts that was not signed: who is on the way could add it. `x-mlflow-` says where a
#: request goes, and an idempotency key whether it is done at all.
_MUST_BE_SIGNED_IF_SENT = ("x-amz-", "x-mlflow-", "x-sm-mlflow-", "idempotency-key")
_HASH_HEADER, _TOKEN_HEADER = "x-amz-content-sha256", "x-amz-security-token"
_UNRESERVED = "-._~"


class InvalidSignature(Exception):
    """Nobody could have signed so; the text says why, and holds nothing but what was sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedRequest:
    """What a signature is about, but for the body: exactly as it came in."""

    method: str
    path: bytes = field(repr=False)
    query: bytes = field(repr=False)
    #: Names in lower case.
    headers: Sequence[tuple[bytes, bytes]] = field(repr=False)

    def values(self, name: str) -> list[str]:
        """Every value that was sent under a name, with one space in the place of several."""
        wanted = name.encode("latin-1")
        return [b" ".join(value.split()).decode("latin-1") for sent, value in self.headers if sent == wanted]


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedHeaders:
    """Who is said to have signed, when, for what. Nothing of it is true before `is_of` says so."""

    access_key: str
    signed_at: dt.datetime
    stamp: str
    region: str
    service: str
    signed_headers: tuple[str, ...]
    signature: str = field(repr=False)
    #: The body's hash, if the client has sent it.
    body_sha256: str | None

    @property
    def scope(self) -> str:
        """For which day, region and service the signing key is."""
        return f"{self.stamp[:8]}/{self.region}/{self.service}/aws4_request"

    def is_of(self, secret: str, received: SignedRequest, body_sha256: str) -> bool:
        """Return whether this secret signed this request with a body of this hash."""
        request = canonical_request(received, self.signed_headers, body_sha256)
        made = signature(secret, self.stamp, self.scope, request)
        return hmac.compare_digest(made, self.signature)


def parse_signed_headers(received: SignedRequest, *, now: dt.datetime) -> SignedHeaders:
    """Return what a request claims, or raise ``InvalidSignature`` for what counts under no key."""
    access_key, day, region, service, names, signed = _authorization(received)
    stamp = _one(received, "x-amz-date")
    if not _STAMP.fullmatch(stamp):
        raise InvalidSignature("X-Amz-Date must be a time such as 20261121T120000Z")
    _check_signed(received, names)
    if any(unquote_to_bytes(part.partition(b"=")[0]).lower().startswith(b"x-amz-") for part in _parts(received.query)):
        raise InvalidSignature("a signature in the query is not taken; sign in the header Authorization")
    if received.values(_TOKEN_HEADER):
        raise InvalidSignature("X-Amz-Security-Token belongs to AWS: keys of the bridge have none")
    return SignedHeaders(
        access_key=access_key,
        signed_at=_signed_at(stamp, day, now),
        stamp=stamp,
        region=region,
        service=service,
        signed_headers=names,
        signature=signed,
        body_sha256=_declared_hash(received),
    )


def _authorization(received: SignedRequest) -> tuple[str, str, str, str, tuple[str, ...], str]:
    algorithm, _, rest = _one(received, "authorization").partition(" ")
    pairs = [part.strip().partition("=") for part in rest.split(",")]
    fields = {name: value for name, _, value in pairs}
    if algorithm != ALGORITHM or tuple(sorted(name for name, _, _ in pairs)) != _FIELDS:
        raise InvalidSignature(f"Authorization must be {ALGORITHM} with Credential, SignedHeaders and Signature")
    credential = fields["Credential"].split("/")
    if len(credential) != 5 or credential[4] != "aws4_request":
        raise InvalidSignature("Credential must be ACCESS_KEY/DATE/REGION/SERVICE/aws4_request")
    access_key, day, region, service, _ = credential
    if not (_ACCESS_KEY.fullmatch(access_key) and _REGION.fullmatch(region) and _HASH.fullmatch(fields["Signature"])):
        raise InvalidSignature("Credential or Signature is not of the right form")
    if service not in SERVICES:
        raise InvalidSignature(f"the service signed for must be {' or '.join(SERVICES)}")
    return access_key, day, region, service, tuple(fields["SignedHeaders"].split(";")), fields["Signature"]


def _one(received: SignedRequest, name: str) -> str:
    values = received.values(name)
    if len(values) != 1:
        raise InvalidSignature(f"there must be one header {name}, not {len(values)}")
    return values[0]


def _signed_at(stamp: str, day: str, now: dt.datetime) -> dt.datetime:
    try:
        signed_at = dt.datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=dt.UTC)
    except ValueError:
        raise InvalidSignature("X-Amz-Date must be a time such as 20261121T120000Z") from None
    if day != stamp[:8]:
        raise InvalidSignature("the date in Credential must be that of X-Amz-Date")
    if abs(now - signed_at) > WINDOW:
        raise InvalidSignature(f"X-Amz-Date must be within five minutes of {now:%Y%m%dT%H%M%SZ}")
    return signed_at


def _check_signed(received: SignedRequest, names: tuple[str, ...]) -> None:
    """Raise unless all is signed that must be, and each signed header was sent once."""
    if list(names) != sorted(set(names)):
        raise InvalidSignature("SignedHeaders must be in order, each once")
    sent = Counter(name.decode("latin-1") for name, _ in received.headers)
    must = _MUST_BE_SIGNED | {name for name in sent if name.startswith(_MUST_BE_SIGNED_IF_SENT)}
    if lacking := sorted(must - set(names)):
        raise InvalidSignature(f"these headers must be signed: {', '.join(lacking)}")
    if odd := [name for name in names if sent[name] != 1]:
        raise InvalidSignature(f"these headers are signed and must be sent, once: {', '.join(odd)}")


def _declared_hash(received: SignedRequest) -> str | None:
    values = received.values(_HASH_HEADER)
    if not values:
        return None
    if not _HASH.fullmatch(values[0]):
        # UNSIGNED-PAYLOAD and STREAMING-...: anybody on the way could put another body in.
        raise InvalidSignature("X-Amz-Content-SHA256 must be the hash of the body; unsigned and streamed ones are not")
    return values[0]


def canonical_request(received: SignedRequest, signed_headers: Sequence[str], body_sha256: str) -> bytes:
    """Return a request in the one spelling that is signed."""
    headers = [f"{name}:{','.join(received.values(name))}" for name in signed_headers]
    lines = [received.method, _path(received.path), _query(received.query), *headers, "", ";".join(signed_headers)]
    return "\n".join([*lines, body_sha256]).encode("latin-1")


def _path(path: bytes) -> str:
    """Encode the path as it was sent once more, without what leads nowhere (``//``, ``/./``, ``/x/..``)."""
    kept: list[bytes] = []
    for segment in path.split(b"/"):
        if segment == b"..":
            del kept[-1:]
        elif segment not in (b"", b"."):
            kept.append(segment)
    slash = b"/" if kept and path.endswith((b"/", b"/.", b"/..")) else b""
    return quote(b"/" + b"/".join(kept) + slash, safe="/" + _UNRESERVED)


def _query(query: bytes) -> str:
    """Encode names and values anew and put them in order. A ``+`` is what MLflow reads it as: a space."""
    pairs = (part.partition(b"=") for part in _parts(query))
    encoded = sorted((_encoded(name), _encoded(value)) for name, _, value in pairs)
    return "&".join(f"{name}={value}" for name, value in encoded)


def _parts(query: bytes) -> list[bytes]:
    return [part for part in query.split(b"&") if part]


def _encoded(part: bytes) -> str:
    return quote(unquote_to_bytes(part.replace(b"+", b"%20")), safe=_UNRESERVED)


def signature(secret: str, stamp: str, scope: str, request: bytes) -> str:
    """Return the signature of a canonical request."""
    key = b"AWS4" + secret.encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    text = f"{ALGORITHM}\n{stamp}\n{scope}\n{hashlib.sha256(request).hexdigest()}"
    return hmac.digest(key, text.encode(), "sha256").hex()


class ReplayCache(Protocol):
    """What came of signed requests, for all api processes. Every method raises ``StoreUnavailable``."""

    def begin(self, signature: str, *, lease: dt.timedelta) -> bytes | None:
        """Note that a request is under way, and return None; or return what is noted of an equal one already.

        That is ``UNDER_WAY`` until it is over; so long, at most, as the lease lasts.
        """
        ...

    def finish(self, signature: str, outcome: bytes, *, keep: dt.timedelta) -> None:
        """Note what came of it; kept until the signature does not count any more."""
        ...

    def forget(self, signature: str) -> None:
        """Note that nothing came of it: it may be sent again."""
        ...


#: Noted of a request that is being carried out.
UNDER_WAY = b"..."
