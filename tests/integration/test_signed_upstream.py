# SPDX-License-Identifier: Apache-2.0
"""Both kinds of SageMaker MLflow, each behind a door that checks every signature, before a real MLflow."""

import json
from contextlib import ExitStack

import pytest

from bridge.bootstrap.processes import build_api
from bridge.config.environment import read_settings
from bridge.upstream import Delivered, Denied
from bridge.upstream.mlflow_calls import single_call
from tests.asgi_client import client_of
from tests.factories import metric
from tests.servers import Server
from tests.signature_check import APP, TRACKING_SERVER, SignatureCheck, UpstreamKind
from tests.signature_front import SignatureFront
from tests.system import ARN, CREDENTIALS

APP_ARN = "arn:aws:sagemaker:eu-central-1:123456789012:mlflow-app/app-ABC123"


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", CREDENTIALS.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", CREDENTIALS.secret_key)
    monkeypatch.setenv("AWS_SESSION_TOKEN", CREDENTIALS.session_token or "")


@pytest.mark.parametrize(("arn", "kind"), [(ARN, TRACKING_SERVER), (APP_ARN, APP)], ids=["tracking server", "app"])
def test_calls_and_proxied_requests_are_signed_as_its_kind_wants(
    arn: str, kind: UpstreamKind, mlflow_url: str, redis_server: tuple[Server, str]
) -> None:
    check = SignatureCheck(credentials=(CREDENTIALS,), region="eu-central-1", kind=kind, arn=arn)
    with SignatureFront(mlflow_url, check=check) as front, ExitStack() as stack:
        environ = {
            "BRIDGE_STORE_URL": redis_server[1],
            "BRIDGE_UPSTREAM": arn,
            "BRIDGE_UPSTREAM_ENDPOINT": front.url,
        }
        bridge = build_api(read_settings(environ))
        http = stack.enter_context(client_of(bridge))
        created = http.post(
            "/api/2.0/mlflow/runs/create", data=json.dumps({"experiment_id": "0"}), content_type="application/json"
        )
        assert created.json, created.data
        run_id = created.json["run"]["info"]["run_id"]

        outcome = bridge.upstream.send(single_call(metric(3, run_id=run_id)))
        history = http.get(f"/api/2.0/mlflow/metrics/get-history?run_id={run_id}&metric_key=m")
        artifacts = http.put("/api/2.0/mlflow-artifacts/artifacts/0/a%20b/%C3%A9+x=1", data=b"content")
        wrong = build_api(read_settings(environ | {"BRIDGE_UPSTREAM": arn + "x"})).upstream
        refused = wrong.send(single_call(metric(4, run_id=run_id)))

    assert isinstance(outcome, Delivered)
    assert outcome.request_id
    assert history.json
    assert [point["step"] for point in history.json["metrics"]] == [3]
    assert artifacts.status_code == 200
    assert isinstance(refused, Denied)
    assert refused.identified
