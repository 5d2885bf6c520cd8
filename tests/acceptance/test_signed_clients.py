# SPDX-License-Identifier: Apache-2.0
"""MLflow's client with AWS's plugin and a key of the bridge to sign with, against real processes."""

import base64
import json
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from bridge.auth.api_keys import AccessKey
from bridge.errors import EX_CONFIG
from tests import forked
from tests.servers import clean_environ, script, wait_until
from tests.system import ARN, System, system

APP = "arn:aws:sagemaker:eu-central-1:123456789012:mlflow-app/app-TESTS"
SECRETS_KEY = base64.b64encode(b"k" * 32).decode()
LOGGING = """
import json, pathlib, tempfile, mlflow
with mlflow.start_run() as run:
    mlflow.log_param("p", "ä b/ö")
    for step in range(20):
        mlflow.log_metric("m", step, step=step)
    mlflow.log_metrics({f"m{number}": number for number in range(100)})
    mlflow.set_tag("t", "v")
assert mlflow.get_run(run.info.run_id).data.metrics["m"] == 19
assert len(mlflow.search_runs(filter_string="params.p = 'ä b/ö' and tags.t = 'v'", output_format="list")) >= 1
try:
    mlflow.MlflowClient().delete_run(run.info.run_id)
    refused = ""
except Exception as error:
    refused = str(error)
print(json.dumps({"run_id": run.info.run_id, "refused": refused}))
"""


@pytest.fixture(scope="module")
def guarded(mlflow_url: str, short_dir: Path) -> Iterator[System]:
    settings = {"BRIDGE_AUTH": "sigv4", "BRIDGE_ENCRYPTION_KEYS": SECRETS_KEY}
    with system(mlflow_url, short_dir / "signed", workers=1, settings=settings) as running_system:
        yield running_system


def keys(bridge: System, *arguments: str, status: int = 0, secrets_key: str = SECRETS_KEY) -> str:
    environ = clean_environ() | {"BRIDGE_STORE_URL": bridge.store_url, "BRIDGE_ENCRYPTION_KEYS": secrets_key}
    done = forked.run("mlflow-bridge", "keys", *arguments, environ=environ)
    assert done.returncode == status, done.stderr
    return done.stderr if status else done.stdout


def key_of(text: str) -> AccessKey:
    told = dict(line.split("=", 1) for line in text.splitlines())
    return AccessKey(told["AWS_ACCESS_KEY_ID"], told["AWS_SECRET_ACCESS_KEY"])


def by_plugin(code: str, url: str, key: AccessKey, arn: str = ARN) -> subprocess.CompletedProcess[str]:
    environ = clean_environ() | {
        "MLFLOW_TRACKING_URI": arn,
        "SAGEMAKER_MLFLOW_CUSTOM_ENDPOINT": url,
        "AWS_ACCESS_KEY_ID": key.key_id,
        "AWS_SECRET_ACCESS_KEY": key.secret,
        "AWS_DEFAULT_REGION": "eu-central-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    return forked.run("-c", code, environ=environ, timeout=150)


@pytest.mark.parametrize("arn", [ARN, APP])
def test_awss_plugin_logs_with_a_key_of_the_bridge_and_deletes_nothing(guarded: System, arn: str) -> None:
    key = key_of(keys(guarded, "create", f"robot-{arn[-3:]}", "--sigv4"))

    done = by_plugin(LOGGING, guarded.url, key, arn)

    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout.splitlines()[-1])
    assert "may not DeleteRun" in result["refused"]
    wait_until(lambda: guarded.run(result["run_id"])["info"]["status"] == "FINISHED", timeout=60)
    assert [point["value"] for point in guarded.history(result["run_id"], "m")] == list(range(20))
    assert len(guarded.run(result["run_id"])["data"]["metrics"]) == 101
    assert not [call for call in guarded.front.calls if key.key_id in str(call.headers)], "a signature goes no further"


def test_the_plugin_is_told_why_its_key_does_not_count(guarded: System) -> None:
    key = AccessKey(key_of(keys(guarded, "create", "wrong", "--sigv4")).key_id, "another-secret")

    done = by_plugin("import mlflow\nmlflow.MlflowClient().get_experiment('0')", guarded.url, key)

    assert done.returncode == 1
    assert "The signature does not match the request" in done.stderr


RETRIED = """
import mlflow
client = mlflow.MlflowClient()
run = client.create_run("0")
for number in range(3):
    client.log_metric(run.info.run_id, "m", number, step=number)
print(run.info.run_id)
"""


def test_an_answer_that_got_lost_is_asked_for_again_by_the_plugin_and_nothing_is_written_twice(
    guarded: System,
) -> None:
    key = key_of(keys(guarded, "create", "unlucky", "--sigv4"))
    with losing_answers(guarded.url) as (url, jobs):
        done = by_plugin(RETRIED, url, key)

    assert done.returncode == 0, done.stderr
    assert len(jobs) == 4
    assert jobs[0] == jobs[1]
    assert len(set(jobs)) == 3, "three writes, one of which was sent twice"
    run_id = done.stdout.split()[-1]
    wait_until(lambda: len(guarded.history(run_id, "m")) >= 3, timeout=60)
    assert [point["value"] for point in guarded.history(run_id, "m")] == [0, 1, 2]


@contextmanager
def losing_answers(url: str) -> Iterator[tuple[str, list[str | None]]]:
    """A hop that changes nothing, and loses the answer to the first metric; it tells which jobs metrics became."""
    jobs: list[str | None] = []
    place = urlsplit(url)

    class InstanceId(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            onward = HTTPConnection(place.hostname or "", place.port, timeout=30)
            onward.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                onward.putheader(name, value)
            onward.endheaders(body)
            answer = onward.getresponse()
            told = answer.read()
            onward.close()
            self.close_connection = True
            if self.path.endswith("log-metric"):
                jobs.append(answer.getheader("Job-Id"))
                if len(jobs) == 1:
                    return
            self.send_response_only(answer.status)
            for name, value in answer.getheaders():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(told)

        do_GET = do_POST

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), InstanceId) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", jobs
        server.shutdown()
        thread.join()


def test_a_key_to_sign_with_is_made_shown_once_replaced_and_revoked(guarded: System) -> None:
    first = key_of(keys(guarded, "create", "nightly", "--sigv4", "--read-only", "--expires", "90d"))
    second = key_of(keys(guarded, "rotate", "nightly", "--sigv4", "--overlap", "1h"))
    listed = keys(guarded, "list")

    assert "has two live keys already" in keys(guarded, "rotate", "nightly", "--sigv4", status=1)
    assert "nightly  read" in listed
    assert first.key_id in listed
    assert second.key_id in listed
    assert not any(key.secret in listed for key in (first, second))
    get = "import mlflow\nmlflow.MlflowClient().get_experiment('0')"
    assert [by_plugin(get, guarded.url, key).returncode for key in (first, second)] == [0, 0]
    assert keys(guarded, "revoke", first.key_id) == "revoked 1 key\n"
    wait_until(lambda: by_plugin(get, guarded.url, first).returncode == 1, timeout=30)
    assert by_plugin(get, guarded.url, second).returncode == 0


def test_no_secret_is_made_that_could_not_be_kept(guarded: System) -> None:
    told = keys(guarded, "create", "nobody", "--sigv4", status=EX_CONFIG, secrets_key="")
    spoilt = keys(guarded, "create", "nobody", "--sigv4", status=EX_CONFIG, secrets_key="a-short-one")

    assert "set BRIDGE_ENCRYPTION_KEYS to the output of `openssl rand -base64 32`" in told
    assert "must be keys of 32 random bytes" in spoilt
    assert "a-short-one" not in spoilt
    assert "nobody" not in keys(guarded, "list")


def test_an_encryption_key_is_replaced_and_the_old_one_thrown_away(guarded: System) -> None:
    new = base64.b64encode(b"n" * 32).decode()
    keys(guarded, "create", "kept", "--sigv4")
    assert "no key in BRIDGE_ENCRYPTION_KEYS decrypts" in keys(guarded, "re-encrypt", status=1, secrets_key=new)
    assert keys(guarded, "re-encrypt", secrets_key=f"{new},{SECRETS_KEY}").startswith("re-encrypted ")
    assert keys(guarded, "re-encrypt", secrets_key=f"{SECRETS_KEY},{new}").startswith("re-encrypted ")


def test_no_api_starts_without_a_key_for_the_secrets_that_it_needs(guarded: System) -> None:
    environ = clean_environ() | {"BRIDGE_STORE_URL": guarded.store_url, "BRIDGE_UPSTREAM": "http://127.0.0.1:9"}
    environ |= {"BRIDGE_PORT": "0", "BRIDGE_AUTH": "keys,sigv4"}

    command = [script("mlflow-bridge-api")]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=False)

    assert done.returncode == EX_CONFIG
    assert "set BRIDGE_ENCRYPTION_KEYS" in done.stderr
