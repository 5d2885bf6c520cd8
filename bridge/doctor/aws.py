# SPDX-License-Identifier: Apache-2.0
"""Checks of the AWS credentials: source, expiry, assumed role and identity. Never prints a credential."""

import datetime as dt
import re
from typing import Any, Literal

from botocore.exceptions import BotoCoreError, ClientError

from bridge.config.network import Network
from bridge.config.settings import Settings
from bridge.doctor.checks import Check, CheckResult, fail, ok, warn
from bridge.errors import CredentialsUnavailable
from bridge.process.clock import Clock
from bridge.upstream.aws.credentials import OWN_SESSION, STS_CONFIG, AwsCredentials, CredentialChain, RoleSession
from bridge.upstream.aws.endpoint import SigningScope
from bridge.upstream.connections import AwsSession

_EXPIRES_SOON = dt.timedelta(minutes=5)
#: The source of credentials, by botocore's name of their provider.
_SOURCES = {
    "env": "the environment",
    "shared-credentials-file": "a profile",
    "config-file": "a profile",
    "custom-process": "a profile's program",
    "sso": "a profile's single sign-on",
    "iam-role": "the instance's role",
    "container-role": "the container's role",
    "assume-role-with-web-identity": "a web identity's role",
    "assume-role": "an assumed role",
}
_CREDENTIALS_FIX = (
    "provide a role (instance, container, web identity), AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
)
_STS_FIX = "make STS reachable (a VPC endpoint for sts), or set AWS_ENDPOINT_URL_STS"


def aws_checks(scope: SigningScope, settings: Settings, clock: Clock) -> tuple[list[Check], AwsCredentials]:
    """Return the checks of the credentials, and the credentials that sign calls to upstream."""
    role, chain = settings.assume_role_arn, CredentialChain(clock, region=scope.region, network=settings.network)
    source = AwsCredentials(clock, chain=chain)
    source_identity = OWN_SESSION if settings.assume_role_session_name == "source" else None
    session = RoleSession(source_identity=source_identity)
    signing = AwsCredentials(clock, role, session=session, chain=chain) if role else source
    checks = [Check("aws credentials", lambda: _check_credentials(source, clock.now()))]
    if role:
        actions = "sts:AssumeRole and sts:SetSourceIdentity" if source_identity else "sts:AssumeRole"
        checks.append(Check("aws role", lambda: _check_role(signing, role, actions, clock.now()), ("aws credentials",)))
    checks.append(
        Check(
            "aws identity", lambda: _check_identity(signing, scope, settings.network), ("aws credentials", "aws role")
        )
    )
    return checks, signing


def _check_credentials(source: AwsCredentials, now: dt.datetime) -> CheckResult:
    try:
        frozen = source.frozen()
    except CredentialsUnavailable as error:
        return fail(str(error), _CREDENTIALS_FIX)
    method, expires_at = source.origin()
    found = f"from {_SOURCES.get(method, method)}{_expiry_text(expires_at, now)}"
    if expires_at and expires_at - now < _EXPIRES_SOON:
        return warn(found, "find out why they are not renewed")
    if not expires_at and frozen.token:
        return warn(f"{found}: temporary credentials without renewal", "use a role or a profile, which are renewed")
    return ok(found)


def _expiry_text(expires_at: dt.datetime | None, now: dt.datetime) -> str:
    if expires_at is None:
        return ", no known expiry"
    return (
        f", renewed before {expires_at.astimezone(dt.UTC):%H:%M}Z ({(expires_at - now).total_seconds() / 60:.0f} min)"
    )


def _check_role(signing: AwsCredentials, role: str, actions: str, now: dt.datetime) -> CheckResult:
    try:
        signing.frozen()
    except CredentialsUnavailable as error:
        return _role_failure(error, role, actions)
    _, expires_at = signing.origin()
    return ok(f"{role} is assumed{_expiry_text(expires_at, now)}")


def _role_failure(error: CredentialsUnavailable, role: str, actions: str) -> CheckResult:
    cause = error.__cause__
    if not isinstance(cause, ClientError):
        return fail(f"{role} can't be assumed: {error}", _STS_FIX)
    code, message = _code_and_message(cause)
    permission_fix = f"allow {actions} on {role} for the credentials above, there and in the trust policy of the role"
    fix = fix_of(kind_of(code, message), permission_fix, f"check that the role {role} exists")
    return fail(f"{role} can't be assumed: {code}", fix)


def _check_identity(signing: AwsCredentials, scope: SigningScope, network: Network) -> CheckResult:
    try:
        identity = _sts_client(signing, scope.region, network).get_caller_identity()
    except ClientError as error:
        return _identity_failure(*_code_and_message(error))
    except BotoCoreError as error:
        return warn(f"STS can't be reached: {type(error).__name__}", f"{_STS_FIX}; needed only to assume a role")
    account, owner = str(identity.get("Account")), scope.arn.split(":")[4]
    found = f"{identity.get('Arn')} in account {account}"
    if account != owner and ":mlflow-tracking-server/" in scope.arn:
        fix = "assume a role of that account (BRIDGE_ASSUME_ROLE_ARN): tracking servers can't be used across accounts"
        return warn(f"{found}, but upstream is in account {owner}", fix)
    return ok(found)


def _identity_failure(code: str, message: str) -> CheckResult:
    kind = kind_of(code, message)
    if kind == "denied":
        return warn(f"STS denies the identity: {code}", "allow sts:GetCallerIdentity to show the identity here")
    found = "the time of the signature is wrong" if kind == "clock" else "AWS rejects these credentials"
    return fail(f"{found}: {code}", fix_of(kind, "", "see this error in the AWS documentation"))


def _sts_client(credentials: AwsCredentials, region: str, network: Network) -> Any:  # noqa: ANN401 - botocore is untyped
    frozen = credentials.frozen()
    return AwsSession(network).create_client(
        "sts",
        region_name=region,
        config=STS_CONFIG,
        aws_access_key_id=frozen.access_key,
        aws_secret_access_key=frozen.secret_key,
        aws_session_token=frozen.token,
    )


def _code_and_message(error: ClientError) -> tuple[str, str]:
    fields = error.response.get("Error", {})
    return str(fields.get("Code", "")), str(fields.get("Message", ""))


# The error codes: https://docs.aws.amazon.com/IAM/latest/APIReference/CommonErrors.html
ErrorKind = Literal["clock", "expired", "unknown-key", "signature", "denied", "other"]

#: The kinds of errors by what an operator can do; `bridge.upstream.responses` decides what the bridge does.
#: The first match decides: AWS reports a wrong time with the code of any invalid signature.
_ERROR_KINDS: tuple[tuple[ErrorKind, str], ...] = (
    ("clock", r"Signature expired|not yet current|RequestTimeTooSkewed|RequestExpired|RequestInTheFuture"),
    ("expired", r"ExpiredToken"),
    ("unknown-key", r"UnrecognizedClient|InvalidClientTokenId|InvalidAccessKeyId|OptInRequired"),
    ("signature", r"InvalidSignature|SignatureDoesNotMatch|IncompleteSignature|MissingAuthenticationToken"),
    ("denied", r"AccessDenied|NotAuthorized|UnauthorizedOperation"),
)
_FIXES: dict[ErrorKind, str] = {
    "clock": "synchronise the clock of this machine (NTP): AWS refuses signatures that are 5 minutes off",
    "expired": "renew the credentials: a role of the instance or container renews itself",
    "unknown-key": "set access key and session token again: AWS does not know the key, or the token is not its own",
    "signature": "check that secret key and access key belong together, and that no proxy changes requests",
}


def kind_of(code: str, message: str) -> ErrorKind:
    """Return the kind of an AWS error."""
    text = f"{code} {message}"
    return next((kind for kind, pattern in _ERROR_KINDS if re.search(pattern, text, re.IGNORECASE)), "other")


def fix_of(kind: ErrorKind, permission_fix: str, other: str) -> str:
    """Return the fix for a kind of error: ``permission_fix`` if a permission is missing, ``other`` if it is unknown."""
    return permission_fix if kind == "denied" else _FIXES.get(kind, other)
