# SPDX-License-Identifier: Apache-2.0
"""AWS Secrets Manager, over its real protocol: it holds the encryption keys, and takes new keys of clients."""

import base64
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from click.testing import CliRunner

from bridge.auth import encryption as secrets_manager
from bridge.auth.encryption import Cipher
from bridge.bootstrap.auth import cipher_for_keys
from bridge.bootstrap.processes import build_api
from bridge.cli import main
from bridge.config.environment import read_settings
from bridge.errors import CannotStart

ARN = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:bridge-AbC123"
KEY = base64.b64encode(b"k" * 32).decode()


class Manager(BaseHTTPRequestHandler):
    """Gives out one secret (https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_GetSecretValue.html)."""

    text: str | None
    asked: list[Any]

    def do_POST(self) -> None:
        """Answer with the secret, or with an error if there is none."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        type(self).asked.append((self.headers["X-Amz-Target"], body))
        known = self.text is not None
        answer = {"ARN": ARN, "SecretString": self.text} if known else {"__type": "ResourceNotFoundException"}
        told = json.dumps(answer).encode()
        self.send_response_only(200 if known else 400)
        self.send_header("Content-Length", str(len(told)))
        self.end_headers()
        self.wfile.write(told)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def manager(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Manager]]:
    Manager.asked, Manager.text = [], KEY
    secrets_manager.fetch_encryption_keys.cache_clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), Manager) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        monkeypatch.setenv("AWS_ENDPOINT_URL_SECRETS_MANAGER", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAOFTHEBRIDGE00000")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "of-the-bridge")
        yield Manager
        server.shutdown()
        thread.join()
    secrets_manager.fetch_encryption_keys.cache_clear()


def test_the_keys_are_fetched_once_and_encrypt_what_those_of_the_environment_would(
    environ: dict[str, str], manager: type[Manager]
) -> None:
    settings = read_settings(environ | {"BRIDGE_AUTH": "sigv4", "BRIDGE_ENCRYPTION_KEYS_SECRET_ARN": ARN})

    for _ in range(3):
        build_api(settings)

    assert manager.asked == [("secretsmanager.GetSecretValue", {"SecretId": ARN})]
    kept = cipher_for_keys(None, ARN).encrypt("s", purpose="p")
    assert Cipher([b"k" * 32]).decrypt(kept, purpose="p") == "s"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (None, "ResourceNotFoundException"),
        ("a-secret-of-another-kind", "must be keys of 32 random bytes"),
        ("", "must"),
    ],
)
def test_a_bridge_that_gets_no_keys_does_not_start_and_shows_none(
    manager: type[Manager], text: str | None, says: str
) -> None:
    manager.text = text
    with pytest.raises(CannotStart) as caught:
        cipher_for_keys(None, ARN)

    assert says in str(caught.value)
    assert "a-secret" not in str(caught.value)


def test_a_manager_that_does_not_answer_is_told(manager: type[Manager], monkeypatch: pytest.MonkeyPatch) -> None:
    assert manager.text
    monkeypatch.setenv("AWS_ENDPOINT_URL_SECRETS_MANAGER", "http://127.0.0.1:9")
    with pytest.raises(CannotStart, match="can't be reached for"):
        cipher_for_keys(None, ARN)


def test_where_the_keys_come_from_is_said_once(environ: dict[str, str]) -> None:
    settings = environ | {"BRIDGE_AUTH": "sigv4"}

    with pytest.raises(CannotStart, match="exclude each other"):
        build_api(read_settings(settings | {"BRIDGE_ENCRYPTION_KEYS": KEY, "BRIDGE_ENCRYPTION_KEYS_SECRET_ARN": ARN}))
    with pytest.raises(CannotStart, match="set BRIDGE_ENCRYPTION_KEYS"):
        build_api(read_settings(settings))


@pytest.mark.parametrize("sigv4", [False, True])
def test_a_new_key_goes_to_a_secret_and_is_not_printed(
    environ: dict[str, str], manager: type[Manager], monkeypatch: pytest.MonkeyPatch, *, sigv4: bool
) -> None:
    for name, text in (environ | {"BRIDGE_ENCRYPTION_KEYS": KEY}).items():
        monkeypatch.setenv(name, text)
    options = ["--sigv4"] if sigv4 else []

    ended = CliRunner().invoke(main, ["keys", "create", "nightly", "--to-secret", ARN, *options])

    assert ended.exit_code == 0, ended.output
    [(action, body)] = manager.asked
    assert (action, body["SecretId"]) == ("secretsmanager.PutSecretValue", ARN)
    stored = body["SecretString"]
    secret = json.loads(stored)["AWS_SECRET_ACCESS_KEY"] if sigv4 else stored
    assert len(secret) > 20
    assert secret not in ended.output
    key_id = json.loads(stored)["AWS_ACCESS_KEY_ID"] if sigv4 else stored.split("_")[1]
    assert key_id in CliRunner().invoke(main, ["keys", "list"]).output


def test_a_key_that_no_secret_takes_is_revoked(
    environ: dict[str, str], manager: type[Manager], monkeypatch: pytest.MonkeyPatch
) -> None:
    manager.text = None
    for name, text in environ.items():
        monkeypatch.setenv(name, text)

    ended = CliRunner().invoke(main, ["keys", "create", "nightly", "--to-secret", ARN])

    assert ended.exit_code == 1
    assert f"does not store the key in {ARN}: ResourceNotFoundException" in ended.output
    key_id = manager.asked[0][1]["SecretString"].split("_")[1]
    assert key_id not in CliRunner().invoke(main, ["keys", "list"]).output


def test_a_key_goes_to_nothing_but_a_secret(environ: dict[str, str]) -> None:
    ended = CliRunner().invoke(main, ["keys", "create", "nightly", "--to-secret", "arn:aws:s3:::bucket"], env=environ)

    assert ended.exit_code == 2
    assert "must be the ARN of a secret" in ended.output
