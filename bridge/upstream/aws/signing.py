# SPDX-License-Identifier: Apache-2.0
"""Signs requests with AWS Signature Version 4, at the moment of sending.

botocore computes the signature. This module fixes the signed headers, and encodes the path and query canonically:
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html
"""

import hashlib
from collections.abc import Mapping
from typing import Any, Protocol
from urllib.parse import quote, unquote

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import ReadOnlyCredentials

from bridge.upstream.aws.endpoint import SigningScope

#: botocore's own list changes from version to version. A proxy may alter other headers, so they are not signed.
SIGNED_HEADERS = frozenset({"host", "content-type", "x-amz-date", "x-amz-security-token", "x-amz-content-sha256"})

EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()

_UNRESERVED = "-._~"
_SIGNATURE_HEADERS = ("X-Amz-Date", "X-Amz-Security-Token", "Authorization")


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
        self, scope: SigningScope, credentials: CredentialSource, clients: CredentialSources | None = None
    ) -> None:
        self._scope = scope
        self._credentials = credentials
        self._clients = clients

    def for_client(self, client: str | None) -> "Signer":
        """Return the signer of a client's requests: this one, unless clients have sessions of their own."""
        if client is None or self._clients is None:
            return self
        return Signer(self._scope, self._clients.for_client(client))

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
        scope = self._scope
        added = {"Host": host, "X-Amz-Content-SHA256": body_sha256, scope.arn_header: scope.arn}
        content_type = next((value for name, value in headers.items() if name.lower() == "content-type"), None)
        signed = added | ({"Content-Type": content_type} if content_type else {})
        request = AWSRequest(method=method, url=url, headers=signed)
        names = SIGNED_HEADERS | {scope.arn_header}
        FixedHeadersAuth(self._credentials.frozen(), scope.service, scope.region, names).add_auth(request)
        return {**added, **{name: request.headers[name] for name in _SIGNATURE_HEADERS if name in request.headers}}


class FixedHeadersAuth(SigV4Auth):  # type: ignore[misc] # botocore is untyped
    """botocore's SigV4 with a fixed list of signed headers."""

    def __init__(self, credentials: ReadOnlyCredentials, service: str, region: str, names: frozenset[str]) -> None:
        super().__init__(credentials, service, region)
        self._names = names

    def headers_to_sign(self, request: Any) -> Any:  # noqa: ANN401 - botocore is untyped
        """Return the headers of the request that are in the list."""
        headers = super().headers_to_sign(request)
        for name in {name.lower() for name in headers} - self._names:
            del headers[name]
        return headers


def canonical_target(target: str) -> str:
    """Return path and query in SigV4's canonical encoding, which signers and verifiers agree on.

    Each character outside RFC 3986's unreserved set is percent-encoded in upper case; ``+`` in a query is a space.
    An encoded slash in a path segment stays ``%2F``, because it is no separator.
    """
    path, mark, query = target.partition("?")
    path = "/".join(_encode(segment) for segment in path.split("/"))
    if not mark or not query:
        return path
    pairs = (pair.partition("=") for pair in query.replace("+", "%20").split("&") if pair)
    return f"{path}?" + "&".join(f"{_encode(name)}={_encode(value)}" for name, _, value in pairs)


def _encode(text: str) -> str:
    return quote(unquote(text, errors="surrogateescape"), safe=_UNRESERVED, errors="surrogateescape")
