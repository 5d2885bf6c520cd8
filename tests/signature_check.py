# SPDX-License-Identifier: Apache-2.0
"""Judges a SigV4-signed request the way AWS does, by an implementation that shares nothing with the bridge's signer.

The signature itself is recomputed by awscrt (AWS's C code). What awscrt leaves to the receiver is checked here: the
clock, the scope, which headers must be signed, the session token, the body's hash and the ARN that the request is for.
"""

import hashlib
import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from awscrt.auth import AwsCredentialsProvider, AwsSignedBodyHeaderType, AwsSigningConfig, aws_sign_request
from awscrt.exceptions import AwsCrtError
from awscrt.http import HttpHeaders, HttpRequest

ALGORITHM = "AWS4-HMAC-SHA256"
WINDOW = timedelta(minutes=5)
_STAMP = "%Y%m%dT%H%M%SZ"

# awscrt adds these to the request itself, from its configuration, and refuses a request that already has them.
_ADDED_BY_AWSCRT = frozenset({"authorization", "x-amz-content-sha256", "x-amz-date", "x-amz-security-token"})


@dataclass(frozen=True, slots=True)
class Credentials:
    """One identity whose signatures are accepted, until it expires."""

    access_key: str
    secret_key: str = field(repr=False)
    #: None for a long-lived user's key, which is sent without a token.
    session_token: str | None = field(default=None, repr=False)
    #: None for credentials that never expire.
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class UpstreamKind:
    """What distinguishes SageMaker's two MLflow products on the wire."""

    service: str
    #: The header that names the resource; None where no ARN is asked for, as in AWS's own test vectors.
    arn_header: str | None


TRACKING_SERVER = UpstreamKind("sagemaker-mlflow", "x-mlflow-sm-tracking-server-arn")
APP = UpstreamKind("sagemaker", "x-sm-mlflow-app-arn")


@dataclass(frozen=True, slots=True, kw_only=True)
class WireRequest:
    """A request exactly as it was received: nothing decoded, folded or sorted."""

    method: str
    #: Path and query as they stood in the request line.
    target: str
    headers: Sequence[tuple[str, str]]
    body: bytes = b""

    def values(self, name: str) -> list[str]:
        """Every value sent under a header's name (given in lower case), in order."""
        return [value.strip() for sent, value in self.headers if sent.lower() == name]


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why AWS would turn the request away, and with which answer."""

    #: What goes into `x-amzn-ErrorType`.
    error_type: str
    message: str

    @property
    def status(self) -> int:
        """The HTTP status that AWS pairs with the error type."""
        return 400 if self.error_type == "IncompleteSignature" else 403


@dataclass(frozen=True, slots=True)
class _Claim:
    """What the Authorization header says about the signature."""

    access_key: str
    day: str
    region: str
    service: str
    terminator: str
    signed_headers: tuple[str, ...]
    signature: str


class _Refused(Exception):
    """Carries a verdict out of the checks; never seen outside this file."""

    def __init__(self, error_type: str, message: str) -> None:
        super().__init__(message)
        self.refusal = Refusal(error_type, message)


@dataclass(frozen=True, slots=True, kw_only=True)
class SignatureCheck:
    """Says of any request whether AWS would let it in: for one resource, one region and a set of identities."""

    credentials: tuple[Credentials, ...]
    region: str
    kind: UpstreamKind
    #: The resource behind this door; None only where the kind has no ARN header.
    arn: str | None

    def refusal(self, request: WireRequest, now: datetime) -> Refusal | None:
        """None if the request is properly signed at this time, else the answer that AWS would give."""
        try:
            claim = _claim(request)
            signed_at = _signed_at(request)
            identity = self._identity(claim, request, now)
            self._check_scope(claim, signed_at)
            _check_window(signed_at, now)
            self._check_signed_headers(claim, request)
            body_hash = _checked_body_hash(request)
            _check_signature(claim, request, identity, signed_at, body_hash)
            self._check_resource(request)
        except _Refused as refused:
            return refused.refusal
        return None

    def _identity(self, claim: _Claim, request: WireRequest, now: datetime) -> Credentials:
        # Two generations of a session may share a key, so the token is part of finding the identity.
        tokens = request.values("x-amz-security-token")
        for known in self.credentials:
            expected = [] if known.session_token is None else [known.session_token]
            if known.access_key == claim.access_key and tokens == expected:
                if known.expires_at is not None and known.expires_at <= now:
                    raise _Refused("ExpiredTokenException", "The security token included in the request is expired")
                return known
        raise _Refused("UnrecognizedClientException", "The security token included in the request is invalid.")

    def _check_scope(self, claim: _Claim, signed_at: datetime) -> None:
        for part, claimed, wanted in (
            ("date", claim.day, f"{signed_at:%Y%m%d}"),
            ("region", claim.region, self.region),
            ("service", claim.service, self.kind.service),
            ("terminator", claim.terminator, "aws4_request"),
        ):
            if claimed != wanted:
                message = f"Credential should be scoped to {part} '{wanted}', not '{claimed}'."
                raise _Refused("InvalidSignatureException", message)

    def _check_signed_headers(self, claim: _Claim, request: WireRequest) -> None:
        sent = {name.lower() for name, _ in request.headers} - {"authorization"}
        must = {"host", "x-amz-date"} | {
            name for name in sent if name.startswith("x-amz-") or name == self.kind.arn_header
        }
        for name in sorted(must - set(claim.signed_headers)):
            raise _Refused("InvalidSignatureException", f"'{name}' must be a 'SignedHeader' in the Authorization.")
        for name in sorted(set(claim.signed_headers) - sent):
            raise _Refused("InvalidSignatureException", f"'{name}' is a 'SignedHeader' but was not sent.")

    def _check_resource(self, request: WireRequest) -> None:
        # Authorisation comes after authentication: only a caller with a good signature learns that the ARN is wrong.
        if self.kind.arn_header is not None and request.values(self.kind.arn_header) != [self.arn]:
            raise _Refused("AccessDeniedException", "The caller may not use the resource that the request names.")


def _claim(request: WireRequest) -> _Claim:
    sent = request.values("authorization")
    if not sent:
        raise _Refused("MissingAuthenticationToken", "Missing Authentication Token")
    algorithm, _, rest = sent[0].partition(" ")
    parts = [part.strip().partition("=") for part in rest.split(",")]
    fields = {name: value for name, _, value in parts}
    credential = fields.get("Credential", "").split("/")
    signed_headers = fields.get("SignedHeaders", "").split(";")
    signature = fields.get("Signature", "")
    well_formed = (
        len(sent) == 1
        and algorithm == ALGORITHM
        and sorted(name for name, _, _ in parts) == ["Credential", "Signature", "SignedHeaders"]
        and len(credential) == len(("access key", "day", "region", "service", "terminator"))
        and all(credential)
        and signed_headers == sorted({name.lower() for name in signed_headers if name})
        and re.fullmatch("[0-9a-f]{64}", signature)
    )
    if not well_formed:
        message = f"Authorization is not one '{ALGORITHM}' with Credential, SignedHeaders and Signature."
        raise _Refused("IncompleteSignature", message)
    access_key, day, region, service, terminator = credential
    return _Claim(access_key, day, region, service, terminator, tuple(signed_headers), signature)


def _signed_at(request: WireRequest) -> datetime:
    match request.values("x-amz-date"):
        case [stamp] if re.fullmatch(r"[0-9]{8}T[0-9]{6}Z", stamp):
            try:
                return datetime.strptime(stamp, _STAMP).replace(tzinfo=UTC)
            except ValueError:
                pass
    raise _Refused("IncompleteSignature", "Authorization needs one X-Amz-Date in ISO-8601 basic format.")


def _check_window(signed_at: datetime, now: datetime) -> None:
    moment = f"{signed_at:{_STAMP}}"
    if signed_at < now - WINDOW:
        edge = f"{now - WINDOW:{_STAMP}} ({now:{_STAMP}} - 5 min.)"
        raise _Refused("InvalidSignatureException", f"Signature expired: {moment} is now earlier than {edge}")
    if signed_at > now + WINDOW:
        edge = f"{now + WINDOW:{_STAMP}} ({now:{_STAMP}} + 5 min.)"
        raise _Refused("InvalidSignatureException", f"Signature not yet current: {moment} is still later than {edge}")


def _checked_body_hash(request: WireRequest) -> str:
    computed = hashlib.sha256(request.body).hexdigest()
    # UNSIGNED-PAYLOAD falls through here on purpose: nobody knows whether SageMaker MLflow takes it.
    if any(declared != computed for declared in request.values("x-amz-content-sha256")):
        raise _Refused("InvalidSignatureException", "X-Amz-Content-SHA256 is not the hash of the body that arrived.")
    return computed


def _check_signature(
    claim: _Claim, request: WireRequest, identity: Credentials, signed_at: datetime, body_hash: str
) -> None:
    signed = [(name, value) for name, value in request.headers if name.lower() in claim.signed_headers]
    declares_hash = "x-amz-content-sha256" in claim.signed_headers
    config = AwsSigningConfig(
        credentials_provider=AwsCredentialsProvider.new_static(
            identity.access_key, identity.secret_key, identity.session_token
        ),
        region=claim.region,
        service=claim.service,
        date=signed_at,
        use_double_uri_encode=True,
        should_normalize_uri_path=True,
        signed_body_value=body_hash,
        signed_body_header_type=(
            AwsSignedBodyHeaderType.X_AMZ_CONTENT_SHA_256 if declares_hash else AwsSignedBodyHeaderType.NONE
        ),
    )
    # awscrt's URI parser takes `:/` in a bare target for a scheme; behind an authority it leaves the target alone, and
    # the authority takes no part in the signature.
    if not request.target.startswith("/"):
        raise _Refused("InvalidSignatureException", "The request target is not a path.")
    absolute = f"https://authority{request.target}"
    try:
        headers = HttpHeaders([(name, value) for name, value in signed if name.lower() not in _ADDED_BY_AWSCRT])
        unsigned = HttpRequest(request.method, absolute, headers)
        recomputed = aws_sign_request(unsigned, config).result(timeout=10).headers.get("authorization")
    except (AwsCrtError, UnicodeError, ValueError) as reason:
        raise _Refused("InvalidSignatureException", f"The request has no canonical form: {reason}") from reason
    expected = f"SignedHeaders={';'.join(claim.signed_headers)}, Signature={claim.signature}"
    if not hmac.compare_digest(recomputed.partition(", ")[2].encode(), expected.encode()):
        message = "The request signature we calculated does not match the signature you provided."
        raise _Refused("InvalidSignatureException", message)
