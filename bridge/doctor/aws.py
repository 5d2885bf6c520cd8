# SPDX-License-Identifier: Apache-2.0
"""Looks at the AWS credentials: whether they can be had, whose they are, and until when. Never shows them."""

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

_SOON = dt.timedelta(minutes=5)
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
_PROVIDE = "give the process a role (instance, container, web identity), AWS_PROFILE, or AWS_ACCESS_KEY_ID and so on"
_STS = "open the way to STS (a VPC endpoint for sts), or name it in AWS_ENDPOINT_URL_STS"


def aws_checks(scope: SigningScope, settings: Settings, clock: Clock) -> tuple[list[Check], AwsCredentials]:
    """Return the questions about credentials, and those that upstream is to be asked with."""
    role, chain = settings.assume_role_arn, CredentialChain(clock, region=scope.region, network=settings.network)
    source = AwsCredentials(clock, chain=chain)
    identity = OWN_SESSION if settings.assume_role_session_name == "source" else None
    own = RoleSession(source_identity=identity)
    final = AwsCredentials(clock, role, session=own, chain=chain) if role else source
    checks = [Check("aws credentials", lambda: _had(source, clock.now()))]
    if role:
        needed = "sts:AssumeRole and sts:SetSourceIdentity" if identity else "sts:AssumeRole"
        checks.append(Check("aws role", lambda: _assumed(final, role, needed, clock.now()), ("aws credentials",)))
    checks.append(
        Check("aws identity", lambda: _identity(final, scope, settings.network), ("aws credentials", "aws role"))
    )
    return checks, final


def _had(source: AwsCredentials, now: dt.datetime) -> CheckResult:
    try:
        frozen = source.frozen()
    except CredentialsUnavailable as error:
        return fail(str(error), _PROVIDE)
    method, ends = source.origin()
    found = f"of {_SOURCES.get(method, method)}{_until(ends, now)}"
    if ends and ends - now < _SOON:
        return warn(found, "look why they are not renewed")
    if not ends and frozen.token:
        return warn(f"{found}: temporary ones that nobody renews", "use a role or a profile, which are renewed")
    return ok(found)


def _until(ends: dt.datetime | None, now: dt.datetime) -> str:
    if ends is None:
        return ", without an end that is known"
    return f", renewed before {ends.astimezone(dt.UTC):%H:%M}Z ({(ends - now).total_seconds() / 60:.0f} min)"


def _assumed(final: AwsCredentials, role: str, needed: str, now: dt.datetime) -> CheckResult:
    try:
        final.frozen()
    except CredentialsUnavailable as error:
        return _not_assumed(error, role, needed)
    return ok(f"{role} is assumed{_until(final.origin()[1], now)}")


def _not_assumed(error: CredentialsUnavailable, role: str, needed: str) -> CheckResult:
    cause = error.__cause__
    if not isinstance(cause, ClientError):
        return fail(f"{role} can't be assumed: {error}", _STS)
    code, message = _said(cause)
    denied = f"allow the credentials above {needed} on {role}, and so in its trust policy"
    fix = fix_of(kind_of(code, message), denied, f"check that there is a role {role}")
    return fail(f"{role} can't be assumed: {code}", fix)


def _identity(final: AwsCredentials, scope: SigningScope, network: Network) -> CheckResult:
    try:
        identity = _sts(final, scope.region, network).get_caller_identity()
    except ClientError as error:
        return _refused(*_said(error))
    except BotoCoreError as error:
        return warn(f"STS can't be asked: {type(error).__name__}", f"{_STS}; only a role to assume needs it")
    account, owner = str(identity.get("Account")), scope.arn.split(":")[4]
    found = f"{identity.get('Arn')} in account {account}"
    if account != owner and ":mlflow-tracking-server/" in scope.arn:
        fix = "assume a role of that account (BRIDGE_ASSUME_ROLE_ARN): tracking servers are not shared across accounts"
        return warn(f"{found}, while upstream is in {owner}", fix)
    return ok(found)


def _refused(code: str, message: str) -> CheckResult:
    kind = kind_of(code, message)
    if kind == "denied":
        return warn(f"STS does not tell who we are: {code}", "allow sts:GetCallerIdentity, if you want it told here")
    found = "our signature's time is wrong" if kind == "clock" else "AWS does not take these credentials"
    return fail(f"{found}: {code}", fix_of(kind, "", "look into what this error says"))


def _sts(credentials: AwsCredentials, region: str, network: Network) -> Any:  # noqa: ANN401 - botocore is untyped
    frozen = credentials.frozen()
    return AwsSession(network).create_client(
        "sts",
        region_name=region,
        config=STS_CONFIG,
        aws_access_key_id=frozen.access_key,
        aws_secret_access_key=frozen.secret_key,
        aws_session_token=frozen.token,
    )


def _said(error: ClientError) -> tuple[str, str]:
    words = error.response.get("Error", {})
    return str(words.get("Code", "")), str(words.get("Message", ""))


# The names of errors: https://docs.aws.amazon.com/IAM/latest/APIReference/CommonErrors.html
Kind = Literal["clock", "expired", "unknown", "signature", "denied", "other"]

#: The first that fits counts: a signature whose time is wrong goes by the name of any wrong signature.
_ERROR_KINDS: tuple[tuple[Kind, str], ...] = (
    ("clock", r"Signature expired|not yet current|RequestTimeTooSkewed|RequestExpired|RequestInTheFuture"),
    ("expired", r"ExpiredToken"),
    ("unknown", r"UnrecognizedClient|InvalidClientTokenId|InvalidAccessKeyId"),
    ("signature", r"InvalidSignature|SignatureDoesNotMatch|IncompleteSignature|MissingAuthenticationToken"),
    ("denied", r"AccessDenied|NotAuthorized|OptInRequired|UnauthorizedOperation"),
)
_FIXES: dict[Kind, str] = {
    "clock": "set this machine's clock right (NTP): AWS refuses replay_cache that are 5 minutes off",
    "expired": "renew the credentials: a role of the instance or container does that by itself",
    "unknown": "AWS does not know this access key, or its session token is missing or not its own: set both anew",
    "signature": "check that secret key and access key belong together, and that no proxy on the way changes requests",
}


def kind_of(code: str, message: str) -> Kind:
    """Return what kind of refusal this is."""
    said = f"{code} {message}"
    return next((kind for kind, pattern in _ERROR_KINDS if re.search(pattern, said, re.IGNORECASE)), "other")


def fix_of(kind: Kind, denied: str, other: str) -> str:
    """Return what is to be done; ``denied`` where a permission lacks, ``other`` where nobody knows."""
    return denied if kind == "denied" else _FIXES.get(kind, other)
