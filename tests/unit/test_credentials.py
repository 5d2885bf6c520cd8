# SPDX-License-Identifier: Apache-2.0
"""Credentials come from botocore's chain, frozen for each signature, and their absence is one known state."""

import datetime as dt
import itertools
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import boto3
import pytest
from botocore.credentials import (
    AssumeRoleCredentialFetcher,
    Credentials,
    DeferredRefreshableCredentials,
    ReadOnlyCredentials,
)
from botocore.exceptions import ClientError, ConnectTimeoutError, CredentialRetrievalError

from bridge.errors import CredentialsUnavailable
from bridge.process.clock import SystemClock
from bridge.upstream.aws.credentials import AwsCredentials

ROLE = "arn:aws:iam::123456789012:role/bridge"
Refresh = Callable[[], dict[str, str]]

VARIABLES = [
    *("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN", "AWS_PROFILE"),
    *("AWS_DEFAULT_PROFILE", "AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CREDENTIAL_EXPIRATION"),
    *("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI", "BOTO_CONFIG"),
]


@pytest.fixture(autouse=True)
def config(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine that has no credentials anywhere; returns its configuration file, which is empty."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        (tmp_path / name).touch()
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    return tmp_path / "AWS_CONFIG_FILE"


@pytest.fixture
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAKEY")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")


def _generation(number: int, lasts: dt.timedelta = dt.timedelta(minutes=1)) -> dict[str, str]:
    """Credentials that are due for a refresh at each use, for they last less than botocore's mandatory ten minutes."""
    expiry = (dt.datetime.now(dt.UTC) + lasts).isoformat()
    return {"access_key": f"key-{number}", "secret_key": f"secret-{number}", "token": f"token-{number}"} | {
        "expiry_time": expiry
    }


def _found(monkeypatch: pytest.MonkeyPatch, credentials: Callable[[], Credentials | None]) -> AwsCredentials:
    """Credentials of a machine on which botocore's chain finds these."""
    monkeypatch.setattr(boto3.Session, "get_credentials", lambda _: credentials())
    return AwsCredentials(SystemClock())


def _refreshing(monkeypatch: pytest.MonkeyPatch, refresh: Refresh) -> AwsCredentials:
    credentials = DeferredRefreshableCredentials(refresh_using=refresh, method="test")
    return _found(monkeypatch, lambda: credentials)


@pytest.mark.usefixtures("key")
def test_the_environments_credentials_are_used() -> None:
    assert AwsCredentials(SystemClock()).frozen() == ReadOnlyCredentials("AKIAKEY", "secret", None)


@pytest.mark.usefixtures("key")
def test_a_session_token_belongs_to_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SESSION_TOKEN", "token")

    frozen = AwsCredentials(SystemClock()).frozen()

    assert isinstance(frozen, ReadOnlyCredentials)
    assert frozen == ReadOnlyCredentials("AKIAKEY", "secret", "token")


def test_a_profiles_credentials_are_used(monkeypatch: pytest.MonkeyPatch, config: Path) -> None:
    config.write_text("[profile train]\naws_access_key_id = AKIAPROFILE\naws_secret_access_key = s\n")
    monkeypatch.setenv("AWS_PROFILE", "train")

    assert AwsCredentials(SystemClock()).frozen().access_key == "AKIAPROFILE"


def test_a_machine_without_credentials_says_so() -> None:
    with pytest.raises(CredentialsUnavailable, match="No AWS credentials were found"):
        AwsCredentials(SystemClock()).frozen()


def test_a_role_can_not_be_assumed_without_credentials() -> None:
    with pytest.raises(CredentialsUnavailable, match="No AWS credentials were found to assume the role with"):
        AwsCredentials(SystemClock(), ROLE).frozen()


def test_credentials_that_appear_later_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    credentials = AwsCredentials(SystemClock())
    with pytest.raises(CredentialsUnavailable):
        credentials.frozen()

    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIALATE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")

    assert credentials.frozen().access_key == "AKIALATE"


def test_a_profile_that_does_not_exist_is_a_lack_of_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nobody")

    with pytest.raises(CredentialsUnavailable, match="ProfileNotFound"):
        AwsCredentials(SystemClock()).frozen()


@pytest.mark.parametrize("name", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])
@pytest.mark.usefixtures("key")
def test_half_a_key_is_a_lack_of_credentials(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(name)

    with pytest.raises(CredentialsUnavailable):
        AwsCredentials(SystemClock()).frozen()


def test_nothing_is_looked_up_before_it_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    def looked_up() -> None:
        pytest.fail("credentials were looked up")

    _found(monkeypatch, looked_up)


def _fails(error: Exception) -> Refresh:
    def refresh() -> dict[str, str]:
        raise error

    return refresh


@pytest.mark.parametrize(
    "refresh",
    [
        _fails(ClientError({"Error": {"Code": "AccessDenied", "Message": "s3cret"}}, "AssumeRole")),
        _fails(CredentialRetrievalError(provider="custom-process", error_msg="s3cret")),
        _fails(ConnectTimeoutError(endpoint_url="https://sts.example/?s3cret")),
        lambda: _generation(1, lasts=-dt.timedelta(minutes=1)),
        lambda: {"access_key": "s3cret"},
    ],
    ids=["denied", "retrieval", "timeout", "expired", "incomplete"],
)
def test_a_refresh_that_fails_is_a_lack_of_credentials_and_tells_no_secret(
    refresh: Refresh, monkeypatch: pytest.MonkeyPatch
) -> None:
    credentials = _refreshing(monkeypatch, refresh)

    with pytest.raises(CredentialsUnavailable, match="can't be had") as caught:
        credentials.frozen()

    assert "s3cret" not in str(caught.value)


def test_a_refresh_is_tried_again_after_it_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    attempts: Iterator[Refresh] = iter(
        [_fails(CredentialRetrievalError(provider="p", error_msg="m")), lambda: _generation(2)]
    )

    def refresh() -> dict[str, str]:
        return next(attempts)()

    credentials = _refreshing(monkeypatch, refresh)

    with pytest.raises(CredentialsUnavailable):
        credentials.frozen()

    assert credentials.frozen().access_key == "key-2"


def test_key_and_token_are_always_of_the_same_refresh(monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = itertools.count()
    credentials = _refreshing(monkeypatch, lambda: _generation(next(numbers)))

    with ThreadPoolExecutor(4) as threads:
        taken = list(threads.map(lambda _: credentials.frozen(), range(400)))

    assert {(one.access_key[4:], one.secret_key[7:]) for one in taken} == {(one.token[6:],) * 2 for one in taken}
    assert len({one.access_key for one in taken}) > 1


def test_threads_share_one_set_of_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Credentials] = []
    together = threading.Barrier(4)

    def find() -> Credentials:
        made.append(Credentials(f"key-{len(made)}", "secret"))
        return made[-1]

    credentials = _found(monkeypatch, find)

    def take(_: int) -> ReadOnlyCredentials:
        together.wait(timeout=10)
        return credentials.frozen()

    with ThreadPoolExecutor(4) as threads:
        taken = list(threads.map(take, range(4)))

    assert len(made) == 1
    assert taken == [ReadOnlyCredentials("key-0", "secret", None)] * 4


@pytest.mark.usefixtures("key")
def test_a_role_is_assumed_with_the_environments_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = itertools.count(1)
    monkeypatch.setattr(AssumeRoleCredentialFetcher, "fetch_credentials", lambda _: _generation(next(numbers)))
    credentials = AwsCredentials(SystemClock(), ROLE)

    assert credentials.frozen() == ReadOnlyCredentials("key-1", "secret-1", "token-1")
    assert credentials.frozen() == ReadOnlyCredentials("key-2", "secret-2", "token-2")


@pytest.mark.usefixtures("key")
def test_a_role_that_may_not_be_assumed_is_a_lack_of_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    denied = ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "AssumeRole")
    monkeypatch.setattr(AssumeRoleCredentialFetcher, "fetch_credentials", lambda _: _fails(denied)())

    with pytest.raises(CredentialsUnavailable, match="ClientError"):
        AwsCredentials(SystemClock(), ROLE).frozen()


@pytest.mark.parametrize(
    "profile",
    [
        "web_identity_token_file = /no/file\nrole_arn = arn:aws:iam::123456789012:role/x\nregion = eu-central-1",
        "credential_process = /no/such/program",
        "credential_process = echo garbage",
    ],
)
def test_whatever_goes_wrong_is_a_lack_of_credentials(profile: str, config: Path) -> None:
    config.write_text(f"[default]\n{profile}\n")
    with pytest.raises(CredentialsUnavailable):
        AwsCredentials(SystemClock()).frozen()


def test_credentials_are_used_until_they_expire_though_a_refresh_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    expiry = (dt.datetime.now(dt.UTC) + dt.timedelta(minutes=5)).isoformat()
    answers = iter([{"access_key": "k", "secret_key": "s", "token": "t", "expiry_time": expiry}])
    live = DeferredRefreshableCredentials(refresh_using=lambda: next(answers, None), method="test")
    monkeypatch.setattr(boto3.Session, "get_credentials", lambda _: live)
    credentials = AwsCredentials(SystemClock())
    assert credentials.frozen() == credentials.frozen()
