# SPDX-License-Identifier: Apache-2.0
"""Signs requests with AWS Signature Version 4, at the moment they are sent.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html. The arithmetic is botocore's; what is signed is
decided here: a fixed list of headers, and a query in the one form that every verifier agrees on.
"""

import hashlib
from collections.abc import Mapping
from typing import Any, Protocol
from urllib.parse import quote, unquote

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import ReadOnlyCredentials

from bridge.upstream.aws.endpoint import SigningScope

#: botocore's own list changes from version to version; a header that a hop may alter must not be in ours.
SIGNED_HEADERS = frozenset({"host", "content-type", "x-amz-date", "x-amz-security-token", "x-amz-content-sha256"})

EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()

_UNRESERVED = "-._~"


class CredentialSource(Protocol):
    """Where credentials come from, fresh at every signature."""

    def frozen(self) -> ReadOnlyCredentials:
        """Return access key, secret and token of one and the same refresh."""
        ...

    def are_at_hand(self) -> bool:
        """Return whether ``frozen`` would answer at once, without asking anybody."""
        ...

    def forget(self) -> None:
        """Look for credentials anew at the next signature."""
        ...


class CredentialSources(Protocol):
    """Where each client's credentials come from."""

    def of(self, client: str) -> CredentialSource:
        """Return the source of a client's."""
        ...


class Signer:
    """Signs for one upstream."""

    def __init__(
        self, scope: SigningScope, credentials: CredentialSource, clients: CredentialSources | None = None
    ) -> None:
        self._scope = scope
        self._credentials = credentials
        self._clients = clients

    def of(self, client: str | None) -> "Signer":
        """Return who signs for a client: this one, unless clients have credentials of their own."""
        if client is None or self._clients is None:
            return self
        return Signer(self._scope, self._clients.of(client))

    def is_ready(self) -> bool:
        """Return whether ``sign`` would not wait for credentials."""
        return self._credentials.are_at_hand()

    def refused(self) -> None:
        """Take note that AWS does not take what was signed with the credentials at hand."""
        self._credentials.forget()

    def sign(self, method: str, url: str, headers: Mapping[str, str], *, host: str, body_sha256: str) -> dict[str, str]:
        """Return the headers that make this request a signed one, to be added to those of ``headers``.

        ``url`` is sent exactly as given, so its query must be canonical already (`canonical_target`).
        """
        scope = self._scope
        added = {"Host": host, "X-Amz-Content-SHA256": body_sha256, scope.arn_header: scope.arn}
        content_type = next((value for name, value in headers.items() if name.lower() == "content-type"), None)
        signed = added | ({"Content-Type": content_type} if content_type else {})
        request = AWSRequest(method=method, url=url, headers=signed)
        names = SIGNED_HEADERS | {scope.arn_header}
        FixedHeadersAuth(self._credentials.frozen(), scope.service, scope.region, names).add_auth(request)
        return {**added, **{name: request.headers[name] for name in _RESULT if name in request.headers}}


_RESULT = ("X-Amz-Date", "X-Amz-Security-Token", "Authorization")


class FixedHeadersAuth(SigV4Auth):  # type: ignore[misc] # botocore is untyped
    """botocore's signer, told which headers to sign."""

    def __init__(self, credentials: ReadOnlyCredentials, service: str, region: str, names: frozenset[str]) -> None:
        super().__init__(credentials, service, region)
        self._names = names

    def headers_to_sign(self, request: Any) -> Any:  # noqa: ANN401 - botocore is untyped
        """Return those headers of the request that are in the list."""
        every = super().headers_to_sign(request)
        for name in {name.lower() for name in every} - self._names:
            del every[name]
        return every


def canonical_target(target: str) -> str:
    """Return path and query in the one spelling that signers and verifiers agree on, meaning the same.

    Each character outside RFC 3986's unreserved set is percent-encoded in upper case; ``+`` in a query is a space.
    Path segments keep what they encode: ``%2F`` stays, for it is not a separator.
    """
    path, mark, query = target.partition("?")
    path = "/".join(_encode(segment) for segment in path.split("/"))
    if not mark or not query:
        return path
    pairs = (pair.partition("=") for pair in query.replace("+", "%20").split("&") if pair)
    return f"{path}?" + "&".join(f"{_encode(name)}={_encode(value)}" for name, _, value in pairs)


def _encode(text: str) -> str:
    return quote(unquote(text, errors="surrogateescape"), safe=_UNRESERVED, errors="surrogateescape")
