# SPDX-License-Identifier: Apache-2.0
"""Signs requests with AWS Signature Version 4, at the moment of sending.

`Signer.sign` signs a fixed list of headers, because a proxy may alter others. The steps and their names are those of
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
docs/adr/0032-the-bridge-computes-its-signatures.md
"""

import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Protocol
from urllib.parse import quote, unquote, urlsplit

from botocore.credentials import ReadOnlyCredentials
from botocore.utils import normalize_url_path

from bridge.process.clock import Clock
from bridge.upstream.aws.endpoint import SigningScope

EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()

_ALGORITHM = "AWS4-HMAC-SHA256"
_UNRESERVED = "-._~"
#: Most targets are canonical already: nothing in them has to be encoded, and each name in the query has a value.
_CANONICAL_TARGET = re.compile(r"[\w.~/-]*(?:\?[\w.~-]+=[\w.~-]*(?:&[\w.~-]+=[\w.~-]*)*)?", re.ASCII)


class CredentialSource(Protocol):
    """Credentials that are refreshed when due."""

    def frozen(self) -> ReadOnlyCredentials:
        """Return access key, secret and token of one refresh."""
        ...

    def is_ready(self) -> bool:
        """Return whether ``frozen`` returns at once, without a refresh."""
        ...

    def invalidate(self) -> None:
        """Fetch credentials again at the next signature."""
        ...


class CredentialSources(Protocol):
    """Credentials by client."""

    def for_client(self, client: str) -> CredentialSource:
        """Return the credentials that sign a client's requests."""
        ...


class Signer:
    """Signs requests to one upstream."""

    def __init__(
        self,
        scope: SigningScope,
        credentials: CredentialSource,
        clients: CredentialSources | None = None,
        *,
        clock: Clock,
    ) -> None:
        self._scope = scope
        self._credentials = credentials
        self._clients = clients
        self._clock = clock

    def for_client(self, client: str | None) -> "Signer":
        """Return the signer of a client's requests: this one, unless clients have sessions of their own."""
        if client is None or self._clients is None:
            return self
        return Signer(self._scope, self._clients.for_client(client), clock=self._clock)

    def is_ready(self) -> bool:
        """Return whether ``sign`` returns at once, without a refresh of credentials."""
        return self._credentials.is_ready()

    def invalidate_credentials(self) -> None:
        """Fetch credentials again at the next signature, because AWS has rejected the last one."""
        self._credentials.invalidate()

    def sign(self, method: str, url: str, headers: Mapping[str, str], *, host: str, body_sha256: str) -> dict[str, str]:
        """Return the headers to add to a request so that it is signed.

        ``url`` is sent exactly as given, so its query must be canonical already (`canonical_target`).
        """
        scope, credentials, timestamp = self._scope, self._credentials.frozen(), f"{self._clock.now():%Y%m%dT%H%M%SZ}"
        added = {
            "Host": host,
            "X-Amz-Content-SHA256": body_sha256,
            "X-Amz-Date": timestamp,
            scope.arn_header: scope.arn,
        }
        if credentials.token:
            added["X-Amz-Security-Token"] = credentials.token
        content_type = next((value for name, value in headers.items() if name.lower() == "content-type"), None)
        signed = canonical_headers([*added.items(), *([("Content-Type", content_type)] if content_type else [])])
        request = canonical_request(method, url, signed, body_sha256=body_sha256)
        credential_scope = f"{timestamp[:8]}/{scope.region}/{scope.service}/aws4_request"
        text = string_to_sign(request, timestamp=timestamp, credential_scope=credential_scope)
        signature = signature_of(text, secret=credentials.secret_key, credential_scope=credential_scope)
        added["Authorization"] = (
            f"{_ALGORITHM} Credential={credentials.access_key}/{credential_scope}, "
            f"SignedHeaders={';'.join(signed)}, Signature={signature}"
        )
        return added


def canonical_headers(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return the value of each header by its name in lower case, in order of the names."""
    values: dict[str, list[str]] = {}
    for name, value in headers:
        values.setdefault(name.lower(), []).append(" ".join(value.split()))
    return {name: ",".join(values[name]) for name in sorted(values)}


def canonical_request(method: str, url: str, headers: Mapping[str, str], *, body_sha256: str) -> str:
    """Return the text that stands for a request. ``headers`` are canonical, and ``url`` has a canonical query."""
    location, _, query = url.partition("?")
    path = _canonical_path(location)
    pairs = (pair.partition("=") for pair in query.split("&") if pair)
    query = "&".join(f"{name}={value}" for name, _, value in sorted(pairs))
    lines = "".join(f"{name}:{value}\n" for name, value in headers.items())
    return f"{method.upper()}\n{path}\n{query}\n{lines}\n{';'.join(headers)}\n{body_sha256}"


# Cached: most requests have one of a few paths, which takes longer to encode than to find.
@lru_cache(256)
def _canonical_path(location: str) -> str:
    """Return the path of a URL without a query. It is encoded already; SigV4 encodes it once more, except for S3."""
    return quote(normalize_url_path(urlsplit(location).path), safe="/~")


def string_to_sign(request: str, *, timestamp: str, credential_scope: str) -> str:
    """Return the text that is signed in place of a canonical request."""
    return f"{_ALGORITHM}\n{timestamp}\n{credential_scope}\n{hashlib.sha256(request.encode()).hexdigest()}"


def signature_of(text: str, *, secret: str, credential_scope: str) -> str:
    """Return the signature of a text, in hexadecimal digits."""
    return hmac.digest(_signing_key(secret, credential_scope), text.encode(), "sha256").hex()


# Only the latest is kept, so that no secret outlives its credentials for long. The bridge's own key serves for a day.
# Where clients have sessions of their own, a key is derived whenever another client's request is signed.
@lru_cache(1)
def _signing_key(secret: str, credential_scope: str) -> bytes:
    key = f"AWS4{secret}".encode()
    for part in credential_scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key


def canonical_target(target: str) -> str:
    """Return path and query in SigV4's canonical encoding, which signers and verifiers agree on.

    Each character outside RFC 3986's unreserved set is percent-encoded in upper case; ``+`` in a query is a space.
    An encoded slash in a path segment stays ``%2F``, because it is no separator.
    """
    if _CANONICAL_TARGET.fullmatch(target):
        return target
    path, mark, query = target.partition("?")
    path = "/".join(_encode(segment) for segment in path.split("/"))
    if not mark or not query:
        return path
    pairs = (pair.partition("=") for pair in query.replace("+", "%20").split("&") if pair)
    return f"{path}?" + "&".join(f"{_encode(name)}={_encode(value)}" for name, _, value in pairs)


def _encode(text: str) -> str:
    return quote(unquote(text, errors="surrogateescape"), safe=_UNRESERVED, errors="surrogateescape")
