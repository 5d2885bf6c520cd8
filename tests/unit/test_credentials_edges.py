# SPDX-License-Identifier: Apache-2.0
"""Credentials that can't be had, or not any longer."""

import datetime as dt
from pathlib import Path

import boto3
import pytest
from botocore.credentials import DeferredRefreshableCredentials

from bridge.clock import SystemClock
from bridge.errors import CredentialsUnavailable
from bridge.sagemaker.credentials import AwsCredentials


@pytest.fixture
def config(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        (tmp_path / name).touch()
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    return tmp_path / "AWS_CONFIG_FILE"


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
