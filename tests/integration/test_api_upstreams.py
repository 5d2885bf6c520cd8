# SPDX-License-Identifier: Apache-2.0
"""The upstream over HTTP: what operators see of it, its failed calls, a probe, and the pause of its deliveries."""

import datetime as dt
import time
from collections.abc import Callable
from typing import Any

import pytest
from werkzeug.test import Client as Http

from bridge.auth.api_keys import new_key
from bridge.bootstrap.processes import Api, build_api
from bridge.config.environment import read_settings
from bridge.doctor import examine, probe
from bridge.doctor.checks import Check, CheckResult, ok
from bridge.doctor.probe import UpstreamProbe
from bridge.process.clock import SystemClock
from bridge.telemetry.prometheus import read_gauges
from bridge.upstream import Unavailable
from bridge.upstream.identity import identity_of
from schemas.client import Client
from schemas.upstream import FailedCall
from tests.factories import NOW, RUN, accept_one, metric
from tests.signature_front import SignatureFront
from tests.upstream_faults import Answer, Hang

PATH = "/v1/upstreams"
WHY = "MLflow is upgraded"
METRIC = {"run_id": RUN, "key": "m", "value": 1, "timestamp": 1}
HANG = Hang(60)


def upstream(http: Http) -> dict[str, Any]:
    [document] = http.get(PATH).get_json()["upstreams"]
    found: dict[str, Any] = document
    return found


def ordered(http: Http, **order: Any) -> Any:
    return http.put(f"{PATH}/{upstream(http)['id']}/pause", json=order)


def failure(number: int) -> FailedCall:
    return FailedCall(
        id=f"{number:013d}-0",
        at=NOW,
        call="POST runs/log-batch",
        lane=RUN,
        status=503,
        error_code=None,
        outcome="unavailable",
        duration=0.1,
        request_id=f"q{number}",
        upstream_request_id=None,
        message="status 503",
    )


def test_the_upstream_is_shown_with_its_flow_control_and_its_calls(http: Http, api: Api) -> None:
    api.flow_control.record(Unavailable(reason="status 503", identity_failed=True))
    api.operations.call_log.add([], {"delivered": 2, "unavailable": 1})

    found = upstream(http)

    gate = found.pop("gate")
    assert found == {
        "id": identity_of(api.settings.upstream).id,
        "name": api.settings.upstream,
        "kind": "mlflow",
        "region": None,
        "trips": 1,
        "failures": 0,
        "outcomes": {"delivered": 2, "unavailable": 1},
    }
    assert set(gate) == {
        *(
            "breaker",
            "why",
            "since",
            "opens_again_at",
            "rate",
            "configured_rate",
            "burst",
            "bucket",
            "delivered_at",
            "paused",
        ),
    }
    assert (gate["breaker"], gate["why"], gate["paused"]) == ("open", "status 503", None)
    assert gate["since"] < gate["opens_again_at"]


@pytest.mark.parametrize(
    ("name", "shown", "kind", "region"),
    [
        ("http://anna:s3cret@mlflow.example/x", "http://***@mlflow.example/x", "mlflow", None),
        ("arn:aws:sagemaker:eu-west-1:1:mlflow-tracking-server/a", None, "tracking-server", "eu-west-1"),
        ("arn:aws:sagemaker:eu-west-1:1:mlflow-app/app-A", None, "app", "eu-west-1"),
    ],
)
def test_an_upstream_is_named_without_its_password(name: str, shown: str | None, kind: str, region: str | None) -> None:
    found = identity_of(name)

    assert (found.name, found.kind, found.region) == (shown or name, kind, region)
    assert len(found.id) == 12
    assert found.id == identity_of(name).id != identity_of(f"{name}/").id


def test_an_upstream_that_does_not_exist_is_not_found(http: Http) -> None:
    answers = [
        http.get(f"{PATH}/x/failures"),
        http.post(f"{PATH}/x/probe"),
        http.put(f"{PATH}/x/pause", json={"paused": True, "why": WHY}),
    ]

    assert [answer.status_code for answer in answers] == [404] * 3
    assert upstream(http)["gate"]["paused"] is None


def test_failed_calls_are_paged_from_the_newest_to_the_oldest(http: Http, api: Api) -> None:
    api.operations.call_log.add([failure(number) for number in range(5)], {"unavailable": 5})
    path = f"{PATH}/{upstream(http)['id']}/failures"

    first = http.get(f"{path}?limit=3").get_json()
    # What comes meanwhile moves no page.
    api.operations.call_log.add([failure(9)], {"unavailable": 1})
    second = http.get(f"{path}?limit=3&cursor={first['next']}").get_json()

    assert [each["request_id"] for each in first["failures"]] == ["q4", "q3", "q2"]
    assert [each["request_id"] for each in second["failures"]] == ["q1", "q0"]
    assert second["next"] is None


def test_what_has_not_changed_is_not_sent_again(http: Http, api: Api) -> None:
    for path in (PATH, f"{PATH}/{upstream(http)['id']}/failures"):
        first = http.get(path)
        again = http.get(path, headers={"If-None-Match": first.headers["ETag"]})
        assert (first.headers["Cache-Control"], again.status_code) == ("no-cache", 304)

    tag = http.get(PATH).headers["ETag"]
    api.flow_control.pause(why=WHY, by="anna", until=None)

    assert http.get(PATH, headers={"If-None-Match": tag}).status_code == 200


@pytest.mark.parametrize("query", ["limit=0", "limit=1001", "limit=x", "since=1"])
def test_a_wrong_query_is_refused(http: Http, query: str) -> None:
    assert http.get(f"{PATH}/{upstream(http)['id']}/failures?{query}").status_code == 400


def test_a_pause_is_shown_everywhere_and_ends_with_its_order(http: Http, api: Api) -> None:
    until = dt.datetime.now(dt.UTC).replace(microsecond=0) + dt.timedelta(hours=1)
    answer = ordered(http, paused=True, why=f"  {WHY} ", until=until.isoformat())
    ready, mine = http.get("/readyz").get_json(), http.get("/v1/backlog/mine").get_json()
    total = http.get("/v1/backlog").get_json()
    gauges = http.get("/metrics").get_data(as_text=True)
    resumed = ordered(http, paused=False)

    pause = answer.get_json()["gate"]["paused"]
    assert (answer.status_code, pause["why"], pause["by"]) == (200, WHY, "anonymous")
    assert dt.datetime.fromisoformat(pause["until"]) == until
    assert (ready["status"], ready["upstream"]["gate"]["paused"]["why"]) == ("degraded", WHY)
    assert total["paused"]["why"] == WHY
    assert mine["upstream"]["delivering"] is False
    assert mine["upstream"]["reason"] == "paused"
    assert dt.datetime.fromisoformat(mine["upstream"]["next_attempt_at"]) == until
    assert "mlflow_bridge_deliveries_paused 1.0" in gauges
    assert (resumed.status_code, resumed.get_json()["gate"]["paused"]) == (200, None)
    assert http.get("/v1/backlog").get_json()["paused"] is None
    assert not api.flow_control.is_paused()


@pytest.mark.parametrize(
    "order",
    [
        {"paused": True},
        {"paused": True, "why": " \n "},
        {"paused": True, "why": "w" * 501},
        {"paused": True, "why": WHY, "until": "2020-01-01T00:00:00Z"},
        {"paused": True, "why": WHY, "until": "2090-01-01T00:00:00"},
        {"paused": True, "why": WHY, "till": None},
        {"why": WHY},
        [],
    ],
)
def test_an_order_that_says_too_little_or_too_much_is_refused(http: Http, order: Any) -> None:
    answer = http.put(f"{PATH}/{upstream(http)['id']}/pause", json=order)

    assert answer.status_code == 400
    assert upstream(http)["gate"]["paused"] is None


def test_reads_do_not_wait_for_deliveries_in_a_pause(http: Http, api: Api, front: SignatureFront) -> None:
    front.set_fault(Answer(200, {"Content-Type": "application/json"}, b'{"run": {"info": {}, "data": {}}}'))
    api.flow_control.pause(why=WHY, by="anna", until=None)
    accept_one(api.outbox, metric(1), client="anonymous")
    began = time.monotonic()

    answer = http.get(f"/api/2.0/mlflow/runs/get?run_id={RUN}", headers={"Prefer": "wait=20"})

    assert answer.status_code == 200
    assert answer.headers["Bridge-Pending-Writes"] == "1"
    assert time.monotonic() - began < 10


def test_work_that_waits_for_the_end_of_a_pause_is_not_late(api: Api) -> None:
    accept_one(api.outbox, metric(1), client="anonymous")
    later = dt.datetime.now(dt.UTC) + dt.timedelta(hours=1)
    api.flow_control.pause(why=WHY, by="anna", until=None)
    paused = read_gauges(api.outbox, api.flow_control, api.operations.counters, now=later)
    api.flow_control.resume()
    resumed = read_gauges(api.outbox, api.flow_control, api.operations.counters, now=later)

    named = [{metric.name: values.get((), 0.0) for metric, values in each.items()} for each in (paused, resumed)]
    assert named[0]["mlflow_bridge_oldest_due_seconds"] == 0.0
    assert named[0]["mlflow_bridge_oldest_pending_seconds"] > 3000
    assert named[1]["mlflow_bridge_oldest_due_seconds"] > 3000


def test_the_doctor_warns_of_a_pause(environ: dict[str, str], api: Api) -> None:
    api.flow_control.pause(why=WHY, by="anna", until=None)

    found = {finding.name: finding for finding in examine(environ, SystemClock())}

    assert found["flow control"].verdict == "warn"
    assert "anna has paused deliveries since" in found["flow control"].found
    assert WHY in found["flow control"].found
    assert "mlflow-bridge upstream resume" in found["flow control"].fix[0]


def probed(http: Http) -> dict[str, Any]:
    answer = http.post(f"{PATH}/{upstream(http)['id']}/probe")
    assert answer.status_code == 200
    document: dict[str, Any] = answer.get_json()
    return document


def test_a_probe_shows_each_step_also_in_a_pause_and_leaves_the_breaker_alone(http: Http, api: Api) -> None:
    api.flow_control.pause(why=WHY, by="anna", until=None)
    before = api.flow_control.state()

    document = probed(http)

    checks = {check["name"]: check for check in document["checks"]}
    assert document["reachable"] is True
    assert {"upstream name", "upstream connection", "upstream", "upstream clock"} <= checks.keys()
    assert all(check["ok"] for check in checks.values())
    assert "MLflow 3" in checks["upstream"]["detail"]
    assert api.flow_control.state() == before


def test_a_probe_says_what_fails_and_what_helps(http: Http, front: SignatureFront) -> None:
    front.set_fault(Answer(503, {}, b"no"))

    document = probed(http)

    [failed] = [check for check in document["checks"] if not check["ok"]]
    assert document["reachable"] is False
    assert (failed["name"], failed["verdict"]) == ("upstream", "fail")
    assert "status 503" in failed["detail"]
    assert failed["advice"]


def test_a_probe_ends_in_time(environ: dict[str, str], front: SignatureFront) -> None:
    front.set_fault(HANG)
    impatient = UpstreamProbe(read_settings(environ), SystemClock(), timeout_s=0.5)
    began = time.monotonic()

    document = impatient.run()

    assert time.monotonic() - began < 3
    assert document.reachable is False
    [late] = [check for check in document.checks if check.name == "upstream"]
    assert (late.ok, late.verdict) == (False, "skipped")
    assert "not finished within the 0.5 s" in late.detail


def test_operators_who_ask_together_get_one_probe(environ: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[str] = []

    def check() -> CheckResult:
        ran.append("upstream")
        return ok("MLflow responds")

    def counted(*_: Any) -> list[Check]:
        return [Check("upstream", check)]

    monkeypatch.setattr(probe, "upstream_checks", counted)
    shared = UpstreamProbe(read_settings(environ), SystemClock())

    assert [shared.run().reachable for _ in range(3)] == [True] * 3
    assert len(ran) == 1


def test_a_probe_shows_no_password_of_a_url(environ: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    settings = read_settings(environ | {"BRIDGE_UPSTREAM": "http://anna:s3cret-word@127.0.0.1:1"})
    monkeypatch.setattr(probe, "upstream_checks", lambda *_: [Check("upstream", lambda: ok("at s3cret-word"))])

    document = UpstreamProbe(settings, SystemClock()).run()

    assert document.checks[0].detail == "at ***"


def test_who_is_limited_to_experiments_is_still_looked_up_in_a_pause(
    environ: dict[str, str], http_with: Callable[[dict[str, str]], Http], front: SignatureFront
) -> None:
    """The look-up is a read: the write is accepted although nothing is delivered."""
    guarded = build_api(read_settings(environ | {"BRIDGE_AUTH": "keys"}))
    key = new_key()
    guarded.api_keys.put_client(Client(name="limited", experiments=frozenset({"0"})))
    guarded.api_keys.add_key("limited", key, now=dt.datetime.now(dt.UTC), expires_at=None)
    guarded.flow_control.pause(why=WHY, by="anna", until=None)
    front.set_fault(Answer(200, {"Content-Type": "application/json"}, b'{"run": {"info": {"experiment_id": "0"}}}'))
    http = http_with({"BRIDGE_AUTH": "keys"})

    answer = http.post("/api/2.0/mlflow/runs/log-metric", json=METRIC, headers={"Authorization": f"Bearer {key.text}"})

    assert answer.status_code == 200
