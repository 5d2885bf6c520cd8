# SPDX-License-Identifier: Apache-2.0
"""Keys and TLS with real processes: MLflow's client behind a key, the commands that make one, a renewed certificate."""

import datetime as dt
import json
import ssl
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from bridge.errors import EX_CONFIG
from tests import forked
from tests.acceptance.test_curl import run_try_it
from tests.servers import api_with, clean_environ, running, script, wait_until
from tests.system import System, system

LOGGING = """
import json, mlflow
with mlflow.start_run() as run:
    mlflow.log_metric("m", 1)
    mlflow.log_param("p", "v")
client = mlflow.MlflowClient()
try:
    client.delete_run(run.info.run_id)
    refused = ""
except Exception as error:
    refused = str(error)
print(json.dumps({"run_id": run.info.run_id, "refused": refused}))
"""


#: To IAM, everything on an MLflow App is one action: there only the bridge can tell logging from deleting.
APP = "arn:aws:sagemaker:eu-central-1:123456789012:mlflow-app/app-TESTS"


@pytest.fixture(scope="module")
def guarded(mlflow_url: str, short_dir: Path) -> Iterator[System]:
    settings = {"BRIDGE_AUTH": "keys", "BRIDGE_UPSTREAM": APP}
    with system(mlflow_url, short_dir / "guarded", workers=1, settings=settings) as running_system:
        yield running_system


def keys(bridge: System, *arguments: str, status: int = 0, auth: str = "") -> subprocess.CompletedProcess[str]:
    environ = clean_environ() | {"BRIDGE_STORE_URL": bridge.store_url, "BRIDGE_AUTH": auth}
    done = forked.run("mlflow-bridge", "keys", *arguments, environ=environ)
    assert done.returncode == status, done.stderr
    return done


def key_of(bridge: System, *arguments: str) -> str:
    return keys(bridge, "create", *arguments).stdout.strip()


@pytest.mark.parametrize("way", ["token", "password"])
def test_mlflows_client_works_with_a_key_and_deletes_nothing(guarded: System, way: str) -> None:
    key = key_of(guarded, f"client-{way}")
    told = {"MLFLOW_TRACKING_TOKEN": key}
    if way == "password":
        told = {"MLFLOW_TRACKING_USERNAME": "anybody", "MLFLOW_TRACKING_PASSWORD": key}
    environ = clean_environ() | {"MLFLOW_TRACKING_URI": guarded.url} | told

    done = forked.run("-c", LOGGING, environ=environ, timeout=100)

    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout.splitlines()[-1])
    assert "may not DeleteRun" in result["refused"]
    wait_until(lambda: guarded.history(result["run_id"], "m"))
    assert guarded.run(result["run_id"])["info"]["lifecycle_stage"] == "active"
    assert [call for call in guarded.front.calls if key in str(call.headers)] == [], "a key stays with the bridge"


WITHIN = """
import json, os, pathlib, sys, tempfile, mlflow, mlflow.data, mlflow.pyfunc, numpy
mine, others, their_run = sys.argv[1:]
mlflow.set_experiment(experiment_id=mine)
client = mlflow.MlflowClient()
with mlflow.start_run(tags={"t": "v"}) as run, tempfile.TemporaryDirectory() as directory:
    run_id = run.info.run_id
    mlflow.log_metric("m", 1)
    mlflow.log_metrics({"a": 1.0, "b": 2.0}, step=1)
    mlflow.log_params({"p": "v"})
    mlflow.set_tag("k", "v")
    mlflow.log_text("told", "texts/a.txt")
    with mlflow.start_run(nested=True):
        mlflow.log_metric("inner", 1)
    model = client.create_logged_model(mine, name="model", source_run_id=run_id)
    client.finalize_logged_model(model.model_id, "READY")
    mlflow.log_metric("of", 1, model_id=model.model_id)
    mlflow.log_input(mlflow.data.from_numpy(numpy.zeros(3)))
    logged = mlflow.pyfunc.log_model(name="function", python_model=mlflow.pyfunc.PythonModel(), pip_requirements=[])
    mlflow.artifacts.download_artifacts(logged.model_uri)
    listed = [each.path for each in client.list_artifacts(run_id, "texts")]
    told = pathlib.Path(mlflow.artifacts.download_artifacts(run_id=run_id, artifact_path="texts/a.txt")).read_text()
found = mlflow.search_runs(experiment_ids=[mine], output_format="list")
models = client.search_logged_models(experiment_ids=[mine])
with mlflow.start_run(run_id=run_id):
    mlflow.log_metric("m", 2, step=2)
attempts = {
    "log": lambda: client.log_metric(their_run, "m", 1),
    "read": lambda: client.get_run(their_run),
    "create": lambda: client.create_run(others),
    "search": lambda: client.search_runs([mine, others]),
    "artifact": lambda: client.log_text(their_run, "x", "x.txt"),
    "list": lambda: client.search_experiments(),
    "by name": lambda: mlflow.set_experiment("of others"),
    "new": lambda: client.create_experiment("new"),
    "nowhere": lambda: client.get_run("f" * 32),
}
refused = {}
for name, attempt in attempts.items():
    try:
        attempt()
    except Exception as error:
        refused[name] = str(error)
print(json.dumps({"run_id": run_id, "listed": listed, "told": told, "found": sorted(r.info.run_id for r in found),
    "models": len(models), "refused": refused, "attempts": list(attempts)}))
"""


def test_mlflows_client_works_within_its_experiment_and_nowhere_else(guarded: System) -> None:
    def made(call: str, **body: str) -> dict[str, Any]:
        document: dict[str, Any] = requests.post(
            f"{guarded.mlflow_url}/api/2.0/mlflow/{call}", json=body, timeout=30
        ).json()
        return document

    mine, others = (
        str(made("experiments/create", name=f"{name} {time.time_ns()}")["experiment_id"]) for name in ("mine", "theirs")
    )
    theirs = made("runs/create", experiment_id=others)["run"]["info"]["run_id"]
    key = key_of(guarded, f"within-{mine}", "--experiment", mine, "--allow", "CreateExperiment")
    environ = clean_environ() | {"MLFLOW_TRACKING_URI": guarded.url, "MLFLOW_TRACKING_TOKEN": key}

    done = forked.run("-c", WITHIN, mine, others, theirs, environ=environ, timeout=200)

    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout.splitlines()[-1])
    assert (result["listed"], result["told"], result["models"]) == (["texts/a.txt"], "told", 2)
    assert result["run_id"] in result["found"]
    assert len(result["found"]) == 2
    assert set(result["refused"]) == set(result["attempts"])
    assert [
        reason for reason in result["refused"].values() if f"is not within the experiments ({mine})" not in reason
    ] == []
    assert [read_trace(guarded, key, trace_in(guarded, each)) for each in (mine, others)] == [200, 403]
    wait_until(lambda: len(guarded.history(result["run_id"], "m")) == 2)
    assert "metrics" not in guarded.run(theirs)["data"]
    assert f"within-{mine}  write+read  allow CreateExperiment  experiment {mine}" in keys(guarded, "list").stdout


def trace_in(bridge: System, experiment: str) -> str:
    """A trace that MLflow has in an experiment."""
    trace_id = f"tr-{time.time_ns():032x}"
    place = {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": experiment}}
    told: dict[str, Any] = {
        "trace_id": trace_id,
        "trace_location": place,
        "request_time": "2026-11-20T12:00:00Z",
        "state": "OK",
    }
    made = requests.post(f"{bridge.mlflow_url}/api/3.0/mlflow/traces", json={"trace": {"trace_info": told}}, timeout=30)
    assert made.status_code == 200, made.text
    return trace_id


def read_trace(bridge: System, key: str, trace_id: str) -> int:
    headers = {"Authorization": f"Bearer {key}"}
    return requests.get(f"{bridge.url}/api/3.0/mlflow/traces/{trace_id}", headers=headers, timeout=30).status_code


def test_the_script_of_the_readme_works_with_a_key(guarded: System) -> None:
    run_try_it(guarded.url, key=key_of(guarded, "tries-it"))


def test_a_key_is_made_shown_once_replaced_and_revoked(guarded: System) -> None:
    first = key_of(guarded, "nightly", "--allow", "DeleteRun", "--expires", "90d")
    second = keys(guarded, "rotate", "nightly", "--overlap", "1h").stdout.strip()
    third = keys(guarded, "rotate", "nightly", status=1)
    listed = keys(guarded, "list").stdout

    assert "has two live keys already" in third.stderr
    assert "nightly  write+read  allow DeleteRun" in listed
    assert first.split("_")[1] in listed
    assert first not in listed
    for key in (first, second):
        assert ask(guarded, key).status_code == 200
    assert keys(guarded, "revoke", first.split("_")[1]).stdout == "revoked 1 key\n"
    wait_until(lambda: ask(guarded, first).status_code == 401, timeout=10)
    assert ask(guarded, second).status_code == 200
    assert keys(guarded, "revoke", "--client", "nightly").stdout == "revoked 1 key\n"
    assert "nightly" not in keys(guarded, "list").stdout


@pytest.mark.parametrize(
    ("auth", "warning"),
    [("", "Here BRIDGE_AUTH is not set."), ("jwt", "Here BRIDGE_AUTH is jwt."), ("jwt, keys", "")],
)
def test_creating_a_key_that_the_api_rejects_prints_a_warning(guarded: System, auth: str, warning: str) -> None:
    done = keys(guarded, "create", f"warned-{len(auth)}", auth=auth)

    assert done.stderr.endswith(f"{warning}\n") if warning else "BRIDGE_AUTH" not in done.stderr


def test_who_has_a_token_may_be_limited_to_experiments(guarded: System) -> None:
    limited = keys(guarded, "update", "oidc:x", "--experiment", "9", "--experiment", "7")
    again = keys(guarded, "update", "oidc:x", "--deny", "SetTag")
    lifted = keys(guarded, "update", "oidc:x", "--experiment", "any")

    assert limited.stdout == "oidc:x  write+read  experiment 7,9\n"
    assert again.stdout == "oidc:x  write+read  deny SetTag  experiment 7,9\n"
    assert lifted.stdout == "oidc:x  write+read  deny SetTag\n"


def test_what_is_not_said_stays_as_it_is(guarded: System) -> None:
    keys(guarded, "create", "keeps", "--read-only", "--experiment", "7", "--writes-per-second", "5")

    quota = keys(guarded, "update", "keeps", "--requests-per-second", "9")
    another = keys(guarded, "create", "keeps", "--pending", "1MiB")
    scopes = keys(guarded, "update", "keeps", "--allow", "DeleteRun")

    kept = "5 writes/s  {}experiment 7\n"
    assert quota.stdout == "keeps  read  9 requests/s  " + kept.format("")
    assert another.stderr.startswith("keeps  read  9 requests/s  " + kept.format("1048576 bytes pending  "))
    assert scopes.stdout == "keeps  read  allow DeleteRun  9 requests/s  " + kept.format("1048576 bytes pending  ")


@pytest.mark.parametrize("shown", ["{id}", "mbk_{id}", "mbk_{id}_...", "{key}"])
def test_a_key_is_revoked_by_whatever_names_it(guarded: System, shown: str) -> None:
    key = key_of(guarded, "revoked")

    done = keys(guarded, "revoke", shown.format(id=key.split("_")[1], key=key))

    assert done.stdout == "revoked 1 key\n"
    assert key.split("_", 2)[2] not in done.stdout + done.stderr


def test_clients_and_the_audit_are_shown_by_commands(guarded: System) -> None:
    ops, shown = key_of(guarded, "ops", "--admin"), key_of(guarded, "shown", "--read-only", "--deny", "GetRun")
    headers = {"Authorization": f"Bearer {shown}"}
    assert requests.get(f"{guarded.url}/v1/backlog", headers=headers, timeout=30).status_code == 403
    environ = clean_environ() | {"MLFLOW_TRACKING_URI": guarded.url, "MLFLOW_TRACKING_TOKEN": ops}

    def run(*arguments: str) -> str:
        done = forked.run("mlflow-bridge", *arguments, environ=environ)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert "shown" in run("clients", "list")
    assert {"ops", "shown"} <= {json.loads(line)["name"] for line in run("clients", "list", "--json").splitlines()}
    assert shown.split("_")[1] in run("clients", "show", "shown")
    assert run("clients", "permission", "shown", "GetRun") == "no: denied by name\n"
    assert run("clients", "permission", "shown", "SearchRuns") == "yes: scope read\n"
    wait_until(lambda: "GetBacklog" in run("audit", "--client", "shown", "--decision", "denied"))
    [entry] = [json.loads(line) for line in run("audit", "--client", "shown", "--json").splitlines()]
    assert (entry["action"], entry["path"], entry["status"]) == ("GetBacklog", "/v1/backlog", 403)


def ask(bridge: System, key: str) -> requests.Response:
    url = f"{bridge.url}/api/2.0/mlflow/experiments/search?max_results=1"
    return requests.get(url, headers={"Authorization": f"Bearer {key}"}, timeout=30)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("create", "a b"), "name has up to 128"),
        (("create", "x", "--allow", "Nonsense"), "there is no action Nonsense"),
        (("create", "x", "--expires", "soon"), "a duration"),
        (("rotate", "nobody-of-this-name"), "there is no client nobody-of-this-name"),
        (("revoke", "nosuchkey0"), "there is no such key"),
        (("revoke", "--client", "nobody-of-this-name"), "there is no client nobody-of-this-name"),
        (("update", "nobody-of-this-name", "--read-only"), "there is no client nobody-of-this-name"),
        (("create", "unauthenticated"), "is not `anonymous` or `unauthenticated`"),
        (("create", "x", "--writes-per-second", "inf"), "must be 0, or from 0.001"),
        (("create", "x", "--requests-per-second", "nan"), "must be 0, or from 0.001"),
        (("create", "x", "--pending", "99999999999999999999GiB"), "a size of at most 9 digits"),
        (("revoke",), "Name a key's id"),
        (("create", "x", "--admin", "--read-only"), "exclude each other"),
        (("create", "x", "--admin", "--experiment", "7"), "Operators are not limited"),
        (("update", "oidc:x", "--experiment", "my experiment"), "is not the id of an experiment"),
    ],
)
def test_what_can_not_be_done_is_said(guarded: System, arguments: tuple[str, ...], says: str) -> None:
    is_usage = arguments == ("revoke",) or ("--" in str(arguments) and "nobody" not in str(arguments))
    done = keys(guarded, *arguments, status=2 if is_usage else 1)

    assert says in done.stderr


def test_the_operators_commands_take_the_key_from_where_mlflows_client_does(guarded: System) -> None:
    environ = clean_environ() | {"MLFLOW_TRACKING_URI": guarded.url}
    admin = key_of(guarded, "admin", "--admin")

    without = forked.run("mlflow-bridge", "backlog", environ=environ)
    environ["MLFLOW_TRACKING_TOKEN"] = admin
    with_key = forked.run("mlflow-bridge", "backlog", environ=environ)

    assert (without.returncode, with_key.returncode) == (1, 0), with_key.stderr
    assert "Send an API key" in without.stderr


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({}, "set BRIDGE_AUTH=keys"),
        ({"BRIDGE_AUTH": "none", "BRIDGE_TRUSTED_PROXIES": "1"}, "set BRIDGE_AUTH=keys"),
        ({"BRIDGE_AUTH": "keys"}, "without TLS"),
        ({"BRIDGE_AUTH": "keys", "BRIDGE_TLS_CERT_FILE": "/tls/chain.pem"}, "belong together"),
    ],
)
def test_no_api_listens_to_other_machines_without_keys_and_tls(
    guarded: System, settings: dict[str, str], says: str
) -> None:
    environ = clean_environ() | {"BRIDGE_STORE_URL": guarded.store_url, "BRIDGE_UPSTREAM": "http://127.0.0.1:9"}
    environ |= {"BRIDGE_HOST": "0.0.0.0", "BRIDGE_PORT": "0"} | settings  # noqa: S104 - it must not

    command = [script("mlflow-bridge-api")]
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=False)

    assert done.returncode == EX_CONFIG
    assert says in done.stderr


def certificate(directory: Path, name: str) -> None:
    """Put a certificate of this name, which signs itself, in the place of the one before."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    until = now + dt.timedelta(days=1)
    made = x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number(), now, until).sign(
        key, hashes.SHA256()
    )
    plain = serialization.NoEncryption()
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    (directory / "chain.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (directory / "key.pem").write_bytes(pem)


@pytest.mark.filterwarnings("ignore:Unverified HTTPS")
@pytest.mark.full
def test_the_api_ends_tls_itself_and_takes_a_new_certificate_up_without_a_gap(guarded: System, tmp_path: Path) -> None:
    certificate(tmp_path, "first")
    environ = {
        "BRIDGE_STORE_URL": guarded.store_url,
        "BRIDGE_UPSTREAM": guarded.mlflow_url,
        "BRIDGE_TLS_CERT_FILE": str(tmp_path / "chain.pem"),
        "BRIDGE_TLS_KEY_FILE": str(tmp_path / "key.pem"),
    }
    api, url = api_with(environ, tmp_path, tls=True)
    place = (urlsplit(url).hostname or "", urlsplit(url).port or 0)

    def served() -> str:
        pem = ssl.get_server_certificate(place, timeout=10)
        return x509.load_pem_x509_certificate(pem.encode()).subject.rfc4514_string()

    with running(api):
        answer = requests.get(f"{url}/healthz", verify=False, timeout=30)  # noqa: S501 - it signs itself
        before = served()
        (tmp_path / "chain.pem").write_text("no certificate")
        certificate(tmp_path, "second")
        asked = []

        def renewed() -> bool:
            asked.append(requests.get(f"{url}/healthz", verify=False, timeout=30).status_code)  # noqa: S501
            return served() == "CN=second"

        wait_until(renewed, timeout=30)

    assert answer.headers["Strict-Transport-Security"] == "max-age=31536000"
    assert before == "CN=first"
    assert set(asked) == {200}


def test_a_further_key_changes_nothing_that_its_client_may_do(guarded: System) -> None:
    key_of(guarded, "portal", "--read-only", "--deny", "GetArtifact")
    key_of(guarded, "portal", "--expires", "90d")
    third = keys(guarded, "create", "portal", "--admin", status=1)

    assert "has two live keys already" in third.stderr
    assert "portal  read  deny GetArtifact" in keys(guarded, "list").stdout
