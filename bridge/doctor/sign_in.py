# SPDX-License-Identifier: Apache-2.0
"""Checks of the sign-in of browsers: a host name for operators alone, and the response of the OpenID provider."""

from bridge.auth.oidc import IssuerUnavailable
from bridge.bootstrap.auth import build_provider_client
from bridge.config.settings import Settings
from bridge.doctor.checks import Check, CheckResult, fail, ok, warn
from bridge.process.clock import Clock


def sign_in_checks(settings: Settings, clock: Clock) -> list[Check]:
    """Return the checks; none where no browser signs in, or only browsers of this machine do."""
    is_public = settings.public_url is not None or not settings.listens_on_loopback
    if not is_public or not (settings.oidc_client_id or "keys" in (settings.auth or ())):
        return []
    checks = [Check("sign-in", lambda: _check_host(settings))]
    if settings.oidc_client_id:
        checks.append(Check("sign-in provider", lambda: _check_provider(settings, clock)))
    return checks


def _check_host(settings: Settings) -> CheckResult:
    if settings.console_host:
        return ok(f"operators have a host name of their own, {settings.console_host}")
    return warn(
        "operators use the portal's host name, where pages of MLflow and artifacts of clients are shown, too",
        "set BRIDGE_CONSOLE_HOST to a second name of the bridge, which only operators use",
    )


def _check_provider(settings: Settings, clock: Clock) -> CheckResult:
    try:
        metadata = build_provider_client(settings, clock).metadata()
    except IssuerUnavailable as error:
        return fail(f"browsers can't sign in: {error}", "compare BRIDGE_JWT_ISSUER with what the provider publishes")
    if metadata.end_session_endpoint is None:
        return ok(f"{metadata.issuer} answers; a sign-out leaves the session at the provider as it is")
    return ok(f"{metadata.issuer} answers")
