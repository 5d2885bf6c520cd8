# SPDX-License-Identifier: Apache-2.0
"""Verifies AWS Signature Version 4 of clients that sign with an access key of the bridge. Pure: no clock, no store.

Written from AWS's description, and independent of botocore, which signs the bridge's own calls:
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html

`parse_signed_headers` checks everything but the secret: the format, the time and the signed headers.
`SignedHeaders.is_signed_with` checks the signature itself. Both must succeed, and the body must have the signed hash.
"""

import datetime as dt
import hashlib
import hmac
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol
from urllib.parse import quote, unquote_to_bytes

ALGORITHM = "AWS4-HMAC-SHA256"
#: A signature is valid for this long before and after its date.
WINDOW = dt.timedelta(minutes=5)
#: The accepted services: AWS's plugin signs for the first with tracking servers, for the second with MLflow Apps.
SERVICES = ("sagemaker-mlflow", "sagemaker")
EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()
#: The entry of a request that is still executing.
UNDER_WAY = b"..."

_ACCESS_KEY = re.compile(r"[A-Z0-9]{16,128}")
_REGION = re.compile(r"[a-z0-9-]{1,64}")
_TIMESTAMP = re.compile(r"\d{8}T\d{6}Z", re.ASCII)
_SHA256_HEX = re.compile(r"[0-9a-f]{64}")
_AUTHORIZATION_FIELDS = ("Credential", "Signature", "SignedHeaders")
_REQUIRED_SIGNED_HEADERS = frozenset({"host", "x-amz-date"})
#: Headers with these prefixes must be signed if sent, because an intermediary could add them. `x-mlflow-` routes a
#: request, and an idempotency key decides whether it is executed at all.
_SIGNED_IF_SENT_PREFIXES = ("x-amz-", "x-mlflow-", "x-sm-mlflow-", "idempotency-key")
_HASH_HEADER, _TOKEN_HEADER = "x-amz-content-sha256", "x-amz-security-token"
_UNRESERVED = "-._~"


class InvalidSignature(Exception):
    """The signature is invalid under any key. The text names the cause, and quotes only what the client sent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedRequest:
    """The head of a signed request, exactly as received."""

    method: str
    path: bytes = field(repr=False)
    query: bytes = field(repr=False)
    #: Names in lower case.
    headers: Sequence[tuple[bytes, bytes]] = field(repr=False)

    def values(self, name: str) -> list[str]:
        """Return all values of a header, with runs of spaces collapsed."""
        encoded_name = name.encode("latin-1")
        return [b" ".join(value.split()).decode("latin-1") for sent, value in self.headers if sent == encoded_name]


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedHeaders:
    """The parsed signature of a request. None of it is verified before `is_signed_with` has returned True."""

    access_key: str
    signed_at: dt.datetime
    #: ``X-Amz-Date`` as sent, such as 20261121T120000Z.
    stamp: str
    region: str
    service: str
    signed_headers: tuple[str, ...]
    signature: str = field(repr=False)
    #: The SHA-256 hash of the body, if the client has sent it.
    body_sha256: str | None

    @property
    def scope(self) -> str:
        """The credential scope: day, region and service of the signing key."""
        return f"{self.stamp[:8]}/{self.region}/{self.service}/aws4_request"

    def is_signed_with(self, secret: str, received: SignedRequest, body_sha256: str) -> bool:
        """Return whether this secret has signed this request with a body of this hash."""
        request = canonical_request(received, self.signed_headers, body_sha256)
        expected = signature(secret, self.stamp, self.scope, request)
        return hmac.compare_digest(expected, self.signature)


def parse_signed_headers(received: SignedRequest, *, now: dt.datetime) -> SignedHeaders:
    """Return the parsed signature, or raise ``InvalidSignature`` if it is invalid under any key."""
    authorization = _parse_authorization(received)
    stamp = _only_value(received, "x-amz-date")
    if not _TIMESTAMP.fullmatch(stamp):
        raise InvalidSignature("X-Amz-Date must be a time such as 20261121T120000Z")
    _check_signed(received, authorization.signed_headers)
    if _has_signature_in_query(received.query):
        raise InvalidSignature("a signature in the query is not accepted; sign in the Authorization header")
    if received.values(_TOKEN_HEADER):
        raise InvalidSignature("X-Amz-Security-Token is not accepted: access keys of the bridge have no session token")
    return SignedHeaders(
        access_key=authorization.access_key,
        signed_at=_signed_at(stamp, authorization.day, now),
        stamp=stamp,
        region=authorization.region,
        service=authorization.service,
        signed_headers=authorization.signed_headers,
        signature=authorization.signature,
        body_sha256=_declared_hash(received),
    )


def canonical_request(received: SignedRequest, signed_headers: Sequence[str], body_sha256: str) -> bytes:
    """Return the canonical request: the bytes that are hashed for the signature."""
    headers = [f"{name}:{','.join(received.values(name))}" for name in signed_headers]
    lines = [
        received.method,
        _canonical_path(received.path),
        _canonical_query(received.query),
        *headers,
        # The list of headers ends with an empty line.
        "",
        ";".join(signed_headers),
    ]
    return "\n".join([*lines, body_sha256]).encode("latin-1")


def signature(secret: str, stamp: str, scope: str, request: bytes) -> str:
    """Return the signature of a canonical request."""
    key = b"AWS4" + secret.encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    text = f"{ALGORITHM}\n{stamp}\n{scope}\n{hashlib.sha256(request).hexdigest()}"
    return hmac.digest(key, text.encode(), "sha256").hex()


class ReplayCache(Protocol):
    """The outcomes of signed requests, shared by all api processes. Every method raises ``StoreUnavailable``."""

    def begin(self, signature: str, *, lease: dt.timedelta) -> bytes | None:
        """Add an entry for a request and return None, or return the existing entry of an equal request.

        The entry is ``UNDER_WAY`` until `finish`, and expires with the lease.
        """
        ...

    def finish(self, signature: str, outcome: bytes, *, keep: dt.timedelta) -> None:
        """Store the outcome until the signature expires."""
        ...

    def forget(self, signature: str) -> None:
        """Delete the entry of a request without effect, so that it may be repeated."""
        ...


class _Authorization(NamedTuple):
    """The fields of the ``Authorization`` header."""

    access_key: str
    day: str
    region: str
    service: str
    signed_headers: tuple[str, ...]
    signature: str


def _parse_authorization(received: SignedRequest) -> _Authorization:
    algorithm, _, parameters = _only_value(received, "authorization").partition(" ")
    pairs = [part.strip().partition("=") for part in parameters.split(",")]
    fields = {name: value for name, _, value in pairs}
    if algorithm != ALGORITHM or tuple(sorted(name for name, _, _ in pairs)) != _AUTHORIZATION_FIELDS:
        raise InvalidSignature(f"Authorization must be {ALGORITHM} with Credential, SignedHeaders and Signature")
    credential = fields["Credential"].split("/")
    if len(credential) != 5 or credential[4] != "aws4_request":
        raise InvalidSignature("Credential must be ACCESS_KEY/DATE/REGION/SERVICE/aws4_request")
    access_key, day, region, service, _ = credential
    if not (
        _ACCESS_KEY.fullmatch(access_key) and _REGION.fullmatch(region) and _SHA256_HEX.fullmatch(fields["Signature"])
    ):
        raise InvalidSignature("Credential or Signature is malformed")
    if service not in SERVICES:
        raise InvalidSignature(f"the service signed for must be {' or '.join(SERVICES)}")
    signed_headers = tuple(fields["SignedHeaders"].split(";"))
    return _Authorization(access_key, day, region, service, signed_headers, fields["Signature"])


def _only_value(received: SignedRequest, name: str) -> str:
    values = received.values(name)
    if len(values) != 1:
        raise InvalidSignature(f"there must be exactly one header {name}, not {len(values)}")
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
    """Raise unless all required headers are signed, and each signed header was sent once."""
    if list(names) != sorted(set(names)):
        raise InvalidSignature("SignedHeaders must be in order, each once")
    sent = Counter(name.decode("latin-1") for name, _ in received.headers)
    required = _REQUIRED_SIGNED_HEADERS | {name for name in sent if name.startswith(_SIGNED_IF_SENT_PREFIXES)}
    if unsigned := sorted(required - set(names)):
        raise InvalidSignature(f"these headers must be signed: {', '.join(unsigned)}")
    if not_sent_once := [name for name in names if sent[name] != 1]:
        raise InvalidSignature(f"these headers are signed and must be sent exactly once: {', '.join(not_sent_once)}")


def _has_signature_in_query(query: bytes) -> bool:
    names = (unquote_to_bytes(part.partition(b"=")[0]) for part in _query_parts(query))
    return any(name.lower().startswith(b"x-amz-") for name in names)


def _declared_hash(received: SignedRequest) -> str | None:
    values = received.values(_HASH_HEADER)
    if not values:
        return None
    if not _SHA256_HEX.fullmatch(values[0]):
        # UNSIGNED-PAYLOAD and STREAMING-...: an intermediary could replace the body.
        raise InvalidSignature("X-Amz-Content-SHA256 must be the hash of the body; unsigned bodies are not accepted")
    return values[0]


def _canonical_path(path: bytes) -> str:
    """Return the canonical path: the sent one, normalised (``//``, ``/./``, ``/x/..``) and encoded once more."""
    segments: list[bytes] = []
    for segment in path.split(b"/"):
        if segment == b"..":
            del segments[-1:]
        elif segment not in (b"", b"."):
            segments.append(segment)
    slash = b"/" if segments and path.endswith((b"/", b"/.", b"/..")) else b""
    return quote(b"/" + b"/".join(segments) + slash, safe="/" + _UNRESERVED)


def _canonical_query(query: bytes) -> str:
    """Return the canonical query: encoded again and sorted. A ``+`` is a space, as in MLflow."""
    pairs = (part.partition(b"=") for part in _query_parts(query))
    encoded = sorted((_encode_canonically(name), _encode_canonically(value)) for name, _, value in pairs)
    return "&".join(f"{name}={value}" for name, value in encoded)


def _query_parts(query: bytes) -> list[bytes]:
    return [part for part in query.split(b"&") if part]


def _encode_canonically(part: bytes) -> str:
    return quote(unquote_to_bytes(part.replace(b"+", b"%20")), safe=_UNRESERVED)
