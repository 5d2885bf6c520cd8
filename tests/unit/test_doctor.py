# SPDX-License-Identifier: Apache-2.0
"""How the doctor's checks depend on each other, and what settings, clocks and refusals of AWS come to."""

import datetime as dt
import threading
from pathlib import Path

import pytest

from bridge.config.environment import read_settings
from bridge.doctor.aws import fix_of, kind_of
from bridge.doctor.checks import Check, CheckResult, CheckStatus, compare_clocks, fail, findings, ok, skipped
from bridge.doctor.configuration import read_configuration, secrets_in
from bridge.doctor.sign_in import sign_in_checks
from bridge.process.clock import SystemClock
from tests.factories import NOW

REQUIRED = {"BRIDGE_UPSTREAM": "http://mlflow.example", "BRIDGE_STORE_URL": "redis://store.example"}


def _verdicts(*checks: Check) -> dict[str, CheckStatus]:
    return {finding.name: finding.verdict for finding in findings(checks, timeout_s=0.2)}


def test_what_needs_a_check_that_failed_is_skipped_and_the_rest_goes_on() -> None:
    verdicts = _verdicts(
        Check("store", lambda: fail("gone", "start it")),
        Check("memory", lambda: ok("never asked"), ("store",)),
        Check("of memory", lambda: ok("never asked"), ("memory",)),
        Check("other", lambda: ok("well"), ("nobody",)),
    )

    assert verdicts == {"store": "fail", "memory": "skipped", "of memory": "skipped", "other": "ok"}


def test_a_check_that_breaks_off_is_a_failure_that_holds_up_no_other() -> None:
    def breaks() -> CheckResult:
        raise ZeroDivisionError("by zero")

    broken, after = findings([Check("broken", breaks), Check("after", lambda: ok("well"))])

    assert (broken.verdict, broken.found) == (CheckStatus.FAIL, "internal error of the check: ZeroDivisionError")
    assert broken.fix
    assert after.verdict is CheckStatus.OK


def test_a_check_that_hangs_is_waited_for_only_so_long() -> None:
    over = threading.Event()

    def hangs() -> CheckResult:
        over.wait(30)
        return ok("too late")

    hung, after = findings([Check("hung", hangs), Check("after", lambda: ok("well"))], timeout_s=0.1)
    over.set()

    assert (hung.verdict, hung.found) == (CheckStatus.FAIL, "no result within 0.1 s")
    assert after.verdict is CheckStatus.OK


def test_what_had_nothing_to_look_at_has_not_failed() -> None:
    assert _verdicts(Check("a", lambda: skipped("nothing there"))) == {"a": "skipped"}


@pytest.mark.parametrize(
    ("seconds", "verdict", "says"),
    [
        (0, "ok", "within 1 s"),
        (29, "ok", "within 29 s"),
        (30, "warn", "30 s ahead of"),
        (-299, "warn", "299 s behind"),
        (300, "fail", "AWS refuses"),
        (-301, "fail", "301 s behind the store's; AWS refuses"),
    ],
)
def test_a_clock_is_warned_of_from_30_s_and_fails_from_where_aws_refuses(seconds: int, verdict: str, says: str) -> None:
    result = compare_clocks(NOW + dt.timedelta(seconds=seconds), NOW, "the store")

    assert result.verdict == verdict
    assert says in result.found
    assert bool(result.fix) is (verdict != "ok")


@pytest.mark.parametrize(
    ("code", "message", "kind"),
    [
        ("InvalidSignatureException", "Signature expired: 2026 is now earlier than 2026 (2026 - 5 min.)", "clock"),
        ("InvalidSignatureException", "Signature not yet current: 2026", "clock"),
        ("RequestTimeTooSkewed", "", "clock"),
        ("InvalidSignatureException", "The request signature we calculated does not match", "signature"),
        ("SignatureDoesNotMatch", "", "signature"),
        ("IncompleteSignature", "", "signature"),
        ("ExpiredTokenException", "The security token included in the request is expired", "expired"),
        ("UnrecognizedClientException", "The security token included in the request is invalid.", "unknown-key"),
        ("InvalidClientTokenId", "", "unknown-key"),
        ("AccessDeniedException", "User is not authorized", "denied"),
        ("", "Forbidden", "other"),
    ],
)
def test_refusals_of_aws_are_told_apart(code: str, message: str, kind: str) -> None:
    assert kind_of(code, message) == kind
    assert fix_of(kind_of(code, message), "allow it", "look")


def test_good_settings_are_well() -> None:
    configuration = read_configuration(REQUIRED)

    assert configuration.result.verdict is CheckStatus.OK
    assert configuration.settings
    assert not configuration.unnamed


def test_an_upstream_behind_api_gateway_is_a_warning() -> None:
    upstream = "https://a1b2c3.execute-api.eu-central-1.amazonaws.com/prod"

    result = read_configuration(REQUIRED | {"BRIDGE_UPSTREAM": upstream}).result

    assert result.verdict is CheckStatus.WARN
    assert "API Gateway removes `Via`" in " ".join(result.fix)


def test_each_wrong_setting_is_a_line_and_the_right_ones_are_gone_on_with(tmp_path: Path) -> None:
    environ = {
        "BRIDGE_STORE_URL": "redis://store.example",
        "BRIDGE_READ_TIMEUOT": "5s",
        "BRIDGE_PORT": "high",
        "BRIDGE_DATA_DIR": str(tmp_path),
    }

    configuration = read_configuration(environ)

    assert configuration.result.verdict is CheckStatus.FAIL
    assert len(configuration.result.fix) == 3
    lines = "\n".join(configuration.result.fix)
    assert "is BRIDGE_READ_TIMEOUT meant?" in lines
    assert "BRIDGE_PORT='high' must be" in lines
    assert "BRIDGE_UPSTREAM is not set" in lines
    assert configuration.settings
    assert configuration.settings.store_url == "redis://store.example"
    assert configuration.unnamed == {"upstream"}


@pytest.mark.parametrize(
    ("further", "says"),
    [
        ({"BRIDGE_AUTH": "keys", "BRIDGE_TLS_KEY_FILE": "/k"}, "set both, or none"),
        ({"BRIDGE_HOST": "0.0.0.0"}, "set BRIDGE_AUTH=keys"),  # noqa: S104 - it is read, not bound
        ({"BRIDGE_ASSUME_ROLE_SESSION_NAME": "client"}, "which needs BRIDGE_ASSUME_ROLE_ARN"),
        ({"BRIDGE_AUTH": "jwt"}, "which needs BRIDGE_JWT_ISSUER"),
        ({"BRIDGE_STORE_URL": "redis+cluster://c"}, "name a Redis without cluster mode"),
    ],
)
def test_settings_that_contradict_each_other_say_what_to_set(further: dict[str, str], says: str) -> None:
    configuration = read_configuration({**REQUIRED, **further})

    assert configuration.result.verdict is CheckStatus.FAIL
    assert says in " ".join(configuration.result.fix)
    assert configuration.settings, "the rest can be looked at all the same"
    assert configuration.unnamed == ({"broker"} if "+cluster" in str(further) else set())


def test_who_may_look_at_a_bridge_of_up_from_elsewhere_is_told_what_is_needed(tmp_path: Path) -> None:
    configuration = read_configuration({"BRIDGE_DATA_DIR": str(tmp_path)})

    assert configuration.result.verdict is CheckStatus.FAIL
    assert "needs none of them, but its BRIDGE_DATA_DIR" in configuration.result.fix[-1]


def test_what_up_stands_in_for_is_no_failure_where_it_runs(tmp_path: Path) -> None:
    (tmp_path / "store.sock").touch()

    configuration = read_configuration({"BRIDGE_DATA_DIR": str(tmp_path), "BRIDGE_UPSTREAM": "http://mlflow.example"})

    assert configuration.result.verdict is CheckStatus.WARN
    assert configuration.settings
    assert configuration.settings.store_url == f"unix://{tmp_path}/store.sock"


def test_secrets_of_the_environment_are_known() -> None:
    environ = {
        "AWS_SECRET_ACCESS_KEY": "aws-secret",
        "AWS_SESSION_TOKEN": "aws-token",
        "MLFLOW_TRACKING_PASSWORD": "tracking",
        "BRIDGE_STORE_URL": "redis://user:of-the-store@host/0",
        "BRIDGE_BROKER_URL": "unix:///s.sock?password=of-the-socket&db=1",
        "BRIDGE_UPSTREAM": "redis:/:misplaced@host",
        "AWS_ACCESS_KEY_ID": "AKIAKEY",
    }

    assert set(secrets_in(environ)) == {
        *("aws-secret", "aws-token", "tracking", "of-the-store", "of-the-socket", "misplaced")
    }


@pytest.mark.parametrize(
    ("settings", "verdict"),
    [
        ({}, None),
        ({"BRIDGE_AUTH": "keys"}, None),
        ({"BRIDGE_AUTH": "jwt", "BRIDGE_PUBLIC_URL": "https://b.example"}, None),
        ({"BRIDGE_AUTH": "keys", "BRIDGE_PUBLIC_URL": "https://b.example"}, "warn"),
        ({"BRIDGE_AUTH": "keys", "BRIDGE_PUBLIC_URL": "https://b.example", "BRIDGE_CONSOLE_HOST": "ops.example"}, "ok"),
    ],
    ids=str,
)
def test_operators_without_a_host_name_of_their_own_are_warned_of(
    settings: dict[str, str], verdict: str | None
) -> None:
    token = {"BRIDGE_JWT_ISSUER": "https://issuer.example", "BRIDGE_JWT_AUDIENCE": "bridge"}
    checks = sign_in_checks(read_settings(REQUIRED | token | settings), SystemClock())

    assert [check.run().verdict for check in checks] == ([verdict] if verdict else [])


def test_a_provider_that_browsers_can_not_sign_in_at_is_a_failure() -> None:
    settings = {
        "BRIDGE_AUTH": "keys",
        "BRIDGE_PUBLIC_URL": "https://b.example",
        "BRIDGE_OIDC_CLIENT_ID": "bridge",
        "BRIDGE_JWT_ISSUER": "http://127.0.0.1:9",
    }
    _, provider = sign_in_checks(read_settings(REQUIRED | settings), SystemClock())

    assert provider.run().verdict is CheckStatus.FAIL
