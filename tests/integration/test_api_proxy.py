# SPDX-License-Identifier: Apache-2.0
"""What is not queued: proxied to a real MLflow."""

import json
import threading

import pytest
from werkzeug.test import Client

from api.proxy import answers
from tests.signature_front import SignatureFront
from tests.upstream_faults import Answer, CutBeforeSend, Delay, Hang

DOUBLED = {"PATH_INFO": "//api/2.0//mlflow/runs/log-metric"}
GET_RUN = "/api/2.0/mlflow/runs/get?run_id=nobody"


def test_an_answer_of_mlflow_comes_through_as_it_is(http: Client, front: SignatureFront) -> None:
    created = http.post(
        "/api/2.0/mlflow/runs/create", data=json.dumps({"experiment_id": "0"}), content_type="application/json"
    )
    missing = http.get(GET_RUN)

    assert created.status_code == 200
    assert created.json
    assert created.json["run"]["info"]["run_id"]
    assert missing.status_code == 404
    assert missing.json
    assert missing.json["error_code"] == "RESOURCE_DOES_NOT_EXIST"
    assert missing.headers["X-Content-Type-Options"] == "nosniff"
    assert front.calls[0].body == b'{"experiment_id": "0"}'


def test_path_and_query_reach_upstream_with_their_meaning(http: Client, front: SignatureFront) -> None:
    http.get("/api/2.0/mlflow-artifacts/artifacts/a%20b/%C3%A9/100%25.txt?x=a+b&y=%2F&z")

    (call,) = front.calls
    assert call.path == "/api/2.0/mlflow-artifacts/artifacts/a%20b/%C3%A9/100%25.txt"
    assert call.query == "x=a%20b&y=%2F&z="


def test_the_clients_credentials_and_hop_headers_stay_behind(http: Client, front: SignatureFront) -> None:
    left_behind = {
        "Authorization": "Bearer secret",
        "Cookie": "session=secret",
        "X-Api-Key": "secret",
        "X-Amz-Security-Token": "secret",
        "X-Mlflow-Sm-Tracking-Server-Arn": "arn:of:another",
        "X-Forwarded-For": "10.0.0.1",
        "Origin": "https://evil.example",
        "Connection": "close, X-Private",
        "X-Private": "secret",
        "Proxy-Authorization": "secret",
    }

    http.get(GET_RUN, headers=left_behind | {"X-MLFLOW-WORKSPACE": "w", "User-Agent": "mlflow-python-client/3"})

    (call,) = front.calls
    assert "secret" not in str(call.headers)
    assert {"authorization", "cookie", "origin", "x-forwarded-for"}.isdisjoint(call.headers)
    assert call.headers["host"] == front.url.removeprefix("http://")
    assert call.headers["x-mlflow-workspace"] == "w"
    assert call.headers["user-agent"] == "mlflow-python-client/3"


def test_upstreams_cookies_and_its_server_name_stay_behind(http: Client, front: SignatureFront) -> None:
    headers = {"Set-Cookie": "s=1", "Server": "uvicorn", "X-Frame-Options": "SAMEORIGIN", "Content-Encoding": "gzip"}
    front.script(Answer(200, headers, b"not really gzip"))

    answer = http.get("/")

    assert answer.data == b"not really gzip"
    assert answer.headers["Content-Encoding"] == "gzip"
    assert answer.headers["X-Frame-Options"] == "SAMEORIGIN"
    assert {"Set-Cookie", "Server"}.isdisjoint(answer.headers)


def test_a_redirect_of_upstream_leads_back_to_the_bridge(http: Client, front: SignatureFront) -> None:
    location = f"{front.url}/api/2.0/mlflow/runs/get?x=1"
    front.script(Answer(308, {"Location": location, "Content-Type": "text/html"}, b"<p>Moved</p>"))

    answer = http.get("/api/2.0/mlflow/runs/old?x=1")

    assert (answer.status_code, answer.headers["Location"]) == (308, "/api/2.0/mlflow/runs/get?x=1")
    assert answer.data == b"<p>Moved</p>"


def test_a_location_that_is_no_url_does_no_harm(http: Client, front: SignatureFront) -> None:
    front.script(Answer(302, {"Location": "http://[bad"}))

    assert http.get("/old").status_code == 302


def test_an_aws_error_that_is_not_about_our_credentials_comes_through_whole(
    http: Client, front: SignatureFront
) -> None:
    front.script(Answer(400, {"x-amzn-ErrorType": "ValidationException:"}, b'{"message": "too long"}'))

    answer = http.get(GET_RUN)

    assert (answer.status_code, answer.data) == (400, b'{"message": "too long"}')


def test_doubled_slashes_do_not_lead_around_the_queue(http: Client, front: SignatureFront) -> None:
    body = json.dumps({"run_id": "r", "key": "k", "value": 1, "timestamp": 1})

    answer = http.post("/x", data=body, content_type="application/json", environ_overrides=DOUBLED)

    assert answer.status_code == 200
    assert answer.headers["Job-Id"]
    assert front.calls == []


def test_a_target_that_is_no_path_is_refused(http: Client, front: SignatureFront) -> None:
    assert http.options("/", environ_overrides={"PATH_INFO": "*"}).status_code == 400
    assert front.calls == []


def test_head_is_answered_without_a_body(http: Client, front: SignatureFront) -> None:
    front.script(Answer(200, {"Content-Length": "5", "Content-Type": "text/plain"}, b"hello"))

    answer = http.head("/version")

    assert (answer.status_code, answer.data) == (200, b"")
    assert answer.headers["Content-Length"] == "5"


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS"])
def test_every_method_is_forwarded(http: Client, front: SignatureFront, method: str) -> None:
    front.script(Answer(200, {}, b"ok"))

    answer = http.open("/api/2.0/mlflow/anything", method=method, data=b"{}")

    assert answer.status_code == 200
    assert (front.calls[0].method, front.calls[0].body) == (method, b"{}")


def test_a_get_of_a_queued_path_is_left_to_mlflow(http: Client) -> None:
    assert http.get("/api/2.0/mlflow/runs/log-metric").status_code == 405


def test_artifacts_go_up_and_come_down_unchanged(http: Client) -> None:
    content = bytes(range(256)) * 12_000
    path = "/api/2.0/mlflow-artifacts/artifacts/0/some/artifacts/model%20file.bin"

    up = http.put(path, data=content)
    down = http.get(path)
    part = http.get(path, headers={"Range": "bytes=256-511"})

    assert up.status_code == 200
    assert down.data == content
    assert (part.status_code, part.data) == (206, bytes(range(256)))


def test_an_upstream_that_cuts_the_connection_is_502(http: Client, front: SignatureFront) -> None:
    front.set_fault(CutBeforeSend())

    answer = http.get(GET_RUN)

    assert answer.status_code == 502
    assert answer.json
    assert answer.json["error_code"] == "TEMPORARILY_UNAVAILABLE"


def test_an_upstream_that_does_not_answer_is_504(http: Client, front: SignatureFront) -> None:
    front.script(Hang(5))

    answer = http.get(GET_RUN)

    assert answer.status_code == 504
    assert answer.json
    assert answer.json["error_code"] == "TEMPORARILY_UNAVAILABLE"


def test_upstream_errors_other_than_ours_come_through(http: Client, front: SignatureFront) -> None:
    front.script(Answer(503, {"Content-Type": "text/plain", "Retry-After": "7"}, b"maintenance"))

    answer = http.get(GET_RUN)

    assert (answer.status_code, answer.data, answer.headers["Retry-After"]) == (503, b"maintenance", "7")


@pytest.fixture
def _few_places(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "_MAX_REQUESTS", 3)


@pytest.mark.usefixtures("_few_places")
def test_what_is_too_much_for_upstream_is_told_to_come_again_and_writes_go_on(
    http: Client, front: SignatureFront
) -> None:
    front.set_fault(Hang(20))
    # Each reads another run, so that none shares the answer of another.
    readers = [threading.Thread(target=http.get, args=(f"{GET_RUN}{number}",)) for number in range(3)]
    for reader in readers:
        reader.start()
    front.wait_for_calls(len(readers))

    read = http.get(GET_RUN)
    create = http.post("/api/2.0/mlflow/runs/create", data=b"{}")
    body = json.dumps({"run_id": "r", "key": "k", "value": 1, "timestamp": 1})
    write = http.post("/api/2.0/mlflow/runs/log-metric", data=body, content_type="application/json")
    front.set_fault(None)
    for reader in readers:
        reader.join()

    assert write.status_code == 200
    assert (read.status_code, read.headers["Retry-After"]) == (503, "1")
    assert create.status_code == 429, "the client repeats a create after a 429 only"
    assert http.get("/version").status_code == 200


def test_a_slow_upstream_within_the_timeout_is_waited_for(http: Client, front: SignatureFront) -> None:
    front.script(Delay(0.3))

    assert http.get("/version").status_code == 200
