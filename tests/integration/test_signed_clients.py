# SPDX-License-Identifier: Apache-2.0
"""Clients that sign their requests with a key of the bridge: whose signatures count, for how long, and how often."""

import base64
import datetime as dt
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from bridge.auth.api_keys import AccessKey, SecretUnreadable, TooManyKeys, new_access_key, new_key
from bridge.auth.sigv4 import UNDER_WAY
from bridge.bootstrap.processes import Api, build_api
from bridge.config.environment import read_settings
from bridge.events import Event, SecretDecryptionFailed
from bridge.outbox import Settlement
from bridge.process.clock import SystemClock
from schemas.client import Client, Scope
from tests.factories import RUN
from tests.servers import wait_until
from tests.signature_front import SignatureFront
from tests.signing_client import HOST, Signed, SigningClient, signed, signing_client
from tests.upstream_faults import Answer as Faulty

SECRETS_KEY, OTHER_KEY = (base64.b64encode(bytes([number]) * 32).decode() for number in (1, 2))
LOG_METRIC = "/api/2.0/mlflow/runs/log-metric"
SET_TAG = "/api/2.0/mlflow/runs/set-tag"
CREATE_RUN = "/api/2.0/mlflow/runs/create"
SEARCH = "/api/2.0/mlflow/runs/search"
JOBS = f"/v1/jobs?run_id={RUN}"
LEASE = dt.timedelta(seconds=30)


def metric(value: float = 1) -> bytes:
    return json.dumps({"run_id": RUN, "key": "m", "value": value, "timestamp": 1}).encode()


def tag(value: str) -> bytes:
    return json.dumps({"run_id": RUN, "key": "t", "value": value}).encode()


class ShiftedClock(SystemClock):
    """The clock of a host that is off by so much."""

    def __init__(self, offset: dt.timedelta) -> None:
        self._offset = offset

    def now(self) -> dt.datetime:
        return super().now() + self._offset


@pytest.fixture
def told() -> list[Event]:
    return []


@pytest.fixture
def bridge(environ: dict[str, str], told: list[Event]) -> Api:
    settings = environ | {"BRIDGE_AUTH": "keys,sigv4", "BRIDGE_ENCRYPTION_KEYS": SECRETS_KEY}
    return replace(build_api(read_settings(settings)), observe=told.append)


@pytest.fixture
def http(bridge: Api) -> Iterator[SigningClient]:
    with signing_client(bridge) as client:
        yield client


@pytest.fixture
def key(bridge: Api) -> AccessKey:
    return key_for(bridge)


def key_for(bridge: Api, name: str = "c", *, expires_at: dt.datetime | None = None, **permissions: Any) -> AccessKey:
    """A new key to sign with, of a client who may do this."""
    bridge.api_keys.put_client(Client(name=name, **permissions))
    key = new_access_key()
    bridge.api_keys.add_key(name, key, now=dt.datetime.now(dt.UTC), expires_at=expires_at)
    return key


def pending(bridge: Api) -> int:
    return bridge.outbox.extents([RUN])[RUN].pending


@pytest.mark.parametrize("declares", [True, False])
@pytest.mark.parametrize("service", ["sagemaker-mlflow", "sagemaker"])
def test_who_signs_with_a_key_of_the_bridge_is_its_client(
    http: SigningClient, bridge: Api, key: AccessKey, service: str, *, declares: bool
) -> None:
    answer = http.send(signed(key, "POST", LOG_METRIC, metric(), service=service, declares=declares))

    assert (answer.status, answer.text) == (200, "{}")
    claim = bridge.outbox.claim(RUN, lease=LEASE)
    assert claim
    assert [job.client for job in claim.jobs] == ["c"]


def test_a_client_is_informed_that_api_gateway_removed_its_signature(http: SigningClient, key: AccessKey) -> None:
    sent = signed(key, "POST", LOG_METRIC, metric())
    kept = tuple((name, value) for name, value in sent.headers if name.lower() != "authorization")

    answer = http.send(replace(sent, headers=(*kept, ("X-Amzn-Apigateway-Api-Id", "a1b2c3"))))

    assert answer.status == 401
    assert "API Gateway removes AWS signatures" in answer.text


def test_what_is_passed_on_holds_nothing_of_the_signature(
    http: SigningClient, key: AccessKey, front: SignatureFront
) -> None:
    front.set_fault(Faulty(200, {"Content-Type": "application/json"}, b"{}"))
    sent = signed(key, "PUT", "/api/2.0/mlflow-artifacts/artifacts/0/r/artifacts/a%2Fb%20c", b"x" * 100_000)

    assert http.send(sent).status == 200
    [call] = front.calls
    assert len(call.body) == 100_000
    assert not any(name == "authorization" or name.startswith("x-amz-") for name in call.headers)
    assert key.key_id not in str(call.headers)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda good: replace(good, body=metric(2)),
        lambda good: replace(good, body=b""),
        lambda good: replace(good, target=SET_TAG),
        lambda good: replace(good, target=f"{LOG_METRIC}?a=1"),
        lambda good: replace(good, method="PATCH"),
        lambda good: good.having("Content-Type", "application/json;x"),
        lambda good: good.having("Host", "localhost:8081"),
        lambda good: good.having("X-Amz-Target", "x"),
        lambda good: good.having("X-MLFLOW-WORKSPACE", "other"),
        lambda good: good.having("X-Amz-Content-SHA256", "UNSIGNED-PAYLOAD"),
        lambda good: good.having("X-Amz-Date"),
        lambda good: good.having("Authorization", good.header("Authorization")[:-1] + "x"),
        lambda good: good.having("Authorization", good.header("Authorization"), good.header("Authorization")),
    ],
)
@pytest.mark.parametrize("declares", [True, False])
def test_what_was_not_signed_so_is_not_taken(
    http: SigningClient, bridge: Api, key: AccessKey, spoil: Callable[[Signed], Signed], *, declares: bool
) -> None:
    good = signed(key, "POST", LOG_METRIC, metric(), declares=declares)
    assert spoil(good) != good

    answer = http.send(spoil(good))

    assert answer.status == 401
    assert json.loads(answer.text)["error_code"] == "UNAUTHENTICATED"
    assert "www-authenticate" in answer.headers
    assert pending(bridge) == 0
    assert http.send(good).status == 200, "it was not used up by that"


@pytest.mark.parametrize(
    "path", ["/api/2.0/mlflow-artifacts/artifacts/0/r/artifacts/a", "/v1/writes", "/v1/jobs/lookup"]
)
def test_a_body_that_was_not_signed_reaches_nobody(
    http: SigningClient, bridge: Api, front: SignatureFront, path: str
) -> None:
    good = signed(key_for(bridge, scopes=(Scope.ADMIN,)), "PUT" if "artifacts" in path else "POST", path, b"[1]" * 9)

    assert http.send(replace(good, body=b"[2]" * 9)).status == 401
    assert http.send(replace(good, body=b"").having("Content-Length")).status == 401
    assert list(front.calls) == []


@pytest.mark.parametrize("secret", ["", "another"])
def test_a_wrong_secret_and_an_unknown_key_are_told_the_same(http: SigningClient, key: AccessKey, secret: str) -> None:
    wrong = http.send(signed(AccessKey(key.key_id, secret), "POST", LOG_METRIC, metric()))
    unknown = http.send(signed(new_access_key(), "POST", LOG_METRIC, metric()))

    assert (wrong.status, wrong.text) == (unknown.status, unknown.text) == (401, wrong.text)


def test_an_access_key_of_aws_is_nobodys_and_leaves_other_ways_open(http: SigningClient, bridge: Api) -> None:
    bridge.api_keys.put_client(Client(name="c"))
    api_key = new_key()
    bridge.api_keys.add_key("c", api_key, now=dt.datetime.now(dt.UTC), expires_at=None)
    sent = signed(AccessKey("AKIAIOSFODNN7EXAMPLE", "s"), "POST", LOG_METRIC, metric())

    assert http.send(sent).status == 401
    assert http.send(sent.having("X-Api-Key", api_key.text)).status == 200


@pytest.mark.parametrize(("minutes", "status"), [(-6, 401), (-4, 200), (4, 200), (6, 401)])
def test_a_signature_counts_for_five_minutes(bridge: Api, key: AccessKey, minutes: int, status: int) -> None:
    with signing_client(replace(bridge, clock=ShiftedClock(dt.timedelta(minutes=minutes)))) as http:
        answer = http.send(signed(key, "POST", LOG_METRIC, metric()))

    assert answer.status == status
    assert status == 200 or "within five minutes" in answer.text


def test_a_signature_in_the_query_is_not_taken(http: SigningClient, key: AccessKey) -> None:
    good = signed(key, "GET", f"{LOG_METRIC}?X-Amz-Signature=0")

    assert "in the query" in http.send(good).text
    assert http.send(replace(good, headers=(("Host", HOST),))).status == 401


def test_who_may_not_is_told_what(http: SigningClient, bridge: Api) -> None:
    reader = key_for(bridge, "reader", scopes=(Scope.READ,))

    answer = http.send(signed(reader, "POST", LOG_METRIC, metric()))

    assert answer.status == 403
    assert "'reader' may not LogMetric;" in answer.text


def test_a_key_ends_when_it_expires_or_is_revoked_and_not_before(bridge: Api) -> None:
    now = dt.datetime.now(dt.UTC)
    expired = key_for(bridge, expires_at=now - dt.timedelta(seconds=1))
    live = key_for(bridge, expires_at=now + dt.timedelta(hours=1))

    def status(key: AccessKey) -> int:
        with signing_client(bridge) as anew:
            return anew.send(signed(key, "GET", JOBS)).status

    assert (status(expired), status(live)) == (401, 200)
    assert bridge.api_keys.revoke(key_id=live.key_id) == 1
    assert status(live) == 401


def test_what_is_remembered_of_a_revoked_key_ends_with_its_time(http: SigningClient, bridge: Api) -> None:
    key = key_for(bridge)
    assert http.send(signed(key, "GET", JOBS)).status == 200
    bridge.api_keys.revoke(key_id=key.key_id)
    verifier: Any = http.app.admission.authentication._signatures  # noqa: SLF001 - as if five seconds had passed
    cached = verifier._cache[key.key_id]  # noqa: SLF001
    assert cached.expires_at <= time.monotonic() + 5
    cached.expires_at = 0

    assert http.send(signed(key, "GET", JOBS)).status == 401


def test_two_keys_of_each_kind_are_live_while_one_is_replaced(http: SigningClient, bridge: Api) -> None:
    now = dt.datetime.now(dt.UTC)
    first, second, api_key = key_for(bridge), key_for(bridge), new_key()
    bridge.api_keys.add_key("c", api_key, now=now, expires_at=None)
    with pytest.raises(TooManyKeys):
        key_for(bridge)

    assert [http.send(signed(key, "GET", JOBS)).status for key in (first, second)] == [200, 200]
    bridge.api_keys.expire_others("c", second.key_id, at=now)

    shown = {each.key_id: each for each in bridge.api_keys.keys()}  # noqa: SIM118 - no dictionary
    assert shown[first.key_id].expires_at == now
    assert shown[second.key_id].expires_at is None
    assert shown[second.key_id].last_used_at is not None
    assert shown[api_key.key_id].expires_at is None, "keys of another kind go on"
    with signing_client(bridge) as anew:
        assert [anew.send(signed(key, "GET", JOBS)).status for key in (first, second)] == [401, 200]


def test_a_request_is_carried_out_once_for_all_server_processes(
    http: SigningClient, bridge: Api, key: AccessKey, front: SignatureFront
) -> None:
    other_process = build_api(bridge.settings)
    front.set_fault(Faulty(200, {"Content-Type": "application/json"}, b"{}"))
    create = signed(key, "POST", CREATE_RUN, b'{"experiment_id": "0"}')

    assert http.send(create).status == 200
    with signing_client(other_process) as elsewhere:
        again = elsewhere.send(create)

    assert again.status == 401
    assert "carried out already" in again.text
    assert len(front.calls) == 1


def test_many_at_once_are_carried_out_once(
    http: SigningClient, bridge: Api, key: AccessKey, front: SignatureFront
) -> None:
    front.set_fault(Faulty(200, {"Content-Type": "application/json"}, b"{}"))
    create = signed(key, "POST", CREATE_RUN, b'{"experiment_id": "0"}')

    statuses = sorted(answer.status for answer in http.send_all(*[create] * 8))

    assert statuses[0] == 200
    assert set(statuses[1:]) <= {401, 429}
    assert len(front.calls) == 1
    assert pending(bridge) == 0


def test_a_burst_of_a_client_whom_nobody_knows_yet_is_taken_whole(
    http: SigningClient, bridge: Api, key: AccessKey
) -> None:
    burst = [signed(key, "POST", LOG_METRIC, metric(number)) for number in range(200)]

    answers = http.send_all(*burst)

    assert {answer.status for answer in answers} == {200}
    assert pending(bridge) == len(burst)


def test_what_was_not_carried_out_may_come_again(
    http: SigningClient, bridge: Api, key: AccessKey, front: SignatureFront
) -> None:
    create, log = signed(key, "POST", CREATE_RUN, b'{"experiment_id": "0"}'), signed(key, "POST", LOG_METRIC, metric())
    front.set_fault(Faulty(503, {"Content-Type": "application/json"}, b"{}"))
    bridge.stopping.set()
    assert (http.send(create).status, http.send(log).status) == (503, 503)
    front.set_fault(Faulty(200, {"Content-Type": "application/json"}, b"{}"))
    bridge.stopping.clear()

    assert (http.send(create).status, http.send(log).status) == (200, 200)
    assert (http.send(create).status, pending(bridge)) == (401, 1)


def test_a_write_whose_answer_was_lost_is_answered_with_its_job_and_not_written_again(
    http: SigningClient, bridge: Api, key: AccessKey
) -> None:
    log = signed(key, "POST", LOG_METRIC, metric())
    first, again = http.send(log), http.send(log)

    assert (first.status, again.status) == (200, 200)
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"
    assert again.headers["job-id"] == first.headers["job-id"]
    assert pending(bridge) == 1
    claim = bridge.outbox.claim(RUN, lease=LEASE)
    assert claim
    bridge.outbox.settle(claim, Settlement(count=1, status=200), lease=LEASE)
    assert (http.send(log).status, pending(bridge)) == (200, 0)


def test_a_repeat_that_would_undo_a_later_write_is_refused(http: SigningClient, bridge: Api, key: AccessKey) -> None:
    on = signed(key, "POST", SET_TAG, tag("on"))
    assert http.send(on).status == 200
    assert http.send(signed(key, "POST", SET_TAG, tag("off"))).status == 200

    assert http.send(on).status == 401
    assert pending(bridge) == 2


def test_a_request_that_another_process_is_carrying_out_may_come_later(
    http: SigningClient, bridge: Api, key: AccessKey
) -> None:
    log = signed(key, "POST", LOG_METRIC, metric())
    signature = log.header("Authorization")[-64:]
    assert bridge.clients.replay_cache.begin(signature, lease=LEASE) is None

    answer = http.send(log)

    assert (answer.status, answer.headers["retry-after"]) == (503, "10")
    bridge.clients.replay_cache.forget(signature)
    assert http.send(log).status == 200
    assert bridge.clients.replay_cache.begin(signature, lease=LEASE) not in (None, UNDER_WAY)


def test_a_write_whose_process_died_may_come_again_when_that_is_certain(
    http: SigningClient, bridge: Api, key: AccessKey
) -> None:
    log = signed(key, "POST", LOG_METRIC, metric())
    bridge.clients.replay_cache.begin(log.header("Authorization")[-64:], lease=dt.timedelta(milliseconds=50))

    wait_until(lambda: http.send(log).status == 200, timeout=5)


class Watched:
    """The store's memory of signatures, and for how long it was asked to hold one under way."""

    def __init__(self, bridge: Api) -> None:
        self._replay_cache = bridge.clients.replay_cache
        self.leases: list[float] = []

    def begin(self, signature: str, *, lease: dt.timedelta) -> bytes | None:
        self.leases.append(lease.total_seconds())
        return self._replay_cache.begin(signature, lease=lease)

    def finish(self, signature: str, outcome: bytes, *, keep: dt.timedelta) -> None:
        self._replay_cache.finish(signature, outcome, keep=keep)

    def forget(self, signature: str) -> None:
        self._replay_cache.forget(signature)


def test_only_what_may_have_been_carried_out_is_under_way_until_its_window_ends(bridge: Api, key: AccessKey) -> None:
    watched = Watched(bridge)
    with signing_client(replace(bridge, clients=replace(bridge.clients, replay_cache=watched))) as http:
        http.send(signed(key, "POST", LOG_METRIC, metric()))
        http.send(signed(key, "POST", LOG_METRIC, metric(2), headers={"Prefer": "wait=1"}))
        http.send(signed(key, "POST", CREATE_RUN, b'{"experiment_id": "0"}'))

    write, that_waits, create = watched.leases
    assert (write, that_waits) == (30, 31)
    assert 300 < create <= 361


def test_a_signature_is_remembered_for_as_long_as_it_counts(http: SigningClient, bridge: Api, key: AccessKey) -> None:
    log = signed(key, "POST", LOG_METRIC, metric())
    http.send(log)
    store: Any = bridge.clients.replay_cache
    [name] = store._client.keys("bridge:signed:*")  # noqa: SLF001 - looking at the store itself

    assert 300_000 < store._client.pttl(name) <= 361_000  # noqa: SLF001


def test_reads_may_be_repeated_within_a_second(http: SigningClient, key: AccessKey, front: SignatureFront) -> None:
    front.set_fault(Faulty(200, {"Content-Type": "application/json"}, b"{}"))
    search = signed(key, "POST", SEARCH, b'{"experiment_ids": ["0"]}')

    for read in (search, signed(key, "GET", "/api/2.0/mlflow/runs/get?run_id=r"), signed(key, "GET", JOBS)):
        assert [http.send(read).status for _ in range(3)] == [200] * 3


def test_a_signed_idempotency_key_answers_repeats_by_itself(http: SigningClient, bridge: Api, key: AccessKey) -> None:
    writes = json.dumps({"writes": [{"op": "set-tag", "run_id": RUN, "key": "t", "value": "v"}]}).encode()
    bulk = signed(key, "POST", "/v1/writes", writes, headers={"Idempotency-Key": "k"})
    without = signed(key, "POST", "/v1/writes", writes)

    assert [http.send(bulk).status for _ in range(2)] == [202, 202]
    assert pending(bridge) == 1
    assert [http.send(without).status for _ in range(2)] == [202, 401]
    assert http.send(without.having("Idempotency-Key", "other")).status == 401
    assert pending(bridge) == 2


def test_a_body_whose_hash_was_not_sent_is_read_up_to_a_limit(environ: dict[str, str]) -> None:
    settings = environ | {"BRIDGE_AUTH": "sigv4", "BRIDGE_ENCRYPTION_KEYS": SECRETS_KEY, "BRIDGE_MAX_BODY_SIZE": "2MiB"}
    bridge = build_api(read_settings(settings))
    key, long = key_for(bridge), metric() + b" " * (1 << 20)
    with signing_client(bridge) as http:
        assert http.send(signed(key, "POST", LOG_METRIC, long, declares=False)).status == 413
        assert http.send(signed(key, "POST", LOG_METRIC, long)).status == 200


def test_guesses_are_counted_and_shut_no_known_key_out(http: SigningClient, bridge: Api, key: AccessKey) -> None:
    assert http.send(signed(key, "GET", JOBS)).status == 200
    statuses = [http.send(signed(new_access_key(), "GET", JOBS)).status for _ in range(25)]

    assert statuses == [401] * 20 + [429] * 5
    assert http.send(signed(key_for(bridge, "late"), "GET", JOBS)).status == 429
    assert http.send(signed(key, "GET", JOBS)).status == 200


def test_secrets_are_kept_encrypted_for_their_client_and_key(
    http: SigningClient, bridge: Api, key: AccessKey, told: list[Event]
) -> None:
    store: Any = bridge.clients.replay_cache
    kept: dict[bytes, bytes] = store._client.hgetall("bridge:keys")  # noqa: SLF001 - looking at the store itself
    assert key.secret.encode() not in b"".join(kept.values())
    other = key_for(bridge, "admin", scopes=(Scope.ADMIN,))
    # Whoever can write to the store gives his own client's secret to another's key.
    kept = store._client.hgetall("bridge:keys")  # noqa: SLF001
    store._client.hset("bridge:keys", other.key_id, kept[key.key_id.encode()])  # noqa: SLF001

    assert http.send(signed(AccessKey(other.key_id, key.secret), "GET", "/v1/backlog")).status == 401
    assert SecretDecryptionFailed(access_key=other.key_id) in told
    assert not any(key.secret in repr(event) for event in told)


def test_an_encryption_key_is_replaced_without_a_gap(environ: dict[str, str], bridge: Api, key: AccessKey) -> None:
    def statuses(keys: str) -> int:
        anew = build_api(read_settings(environ | {"BRIDGE_AUTH": "sigv4", "BRIDGE_ENCRYPTION_KEYS": keys}))
        with signing_client(anew) as http:
            return http.send(signed(key, "GET", JOBS)).status

    both = build_api(
        read_settings(environ | {"BRIDGE_AUTH": "sigv4", "BRIDGE_ENCRYPTION_KEYS": f"{OTHER_KEY},{SECRETS_KEY}"})
    )
    assert (statuses(OTHER_KEY), statuses(f"{OTHER_KEY},{SECRETS_KEY}")) == (401, 200)
    assert both.api_keys.re_encrypt() == 1
    assert (statuses(OTHER_KEY), statuses(SECRETS_KEY)) == (200, 401)
    with pytest.raises(SecretUnreadable):
        bridge.api_keys.re_encrypt()


def test_without_a_store_nothing_that_changes_anything_is_carried_out(
    bridge: Api, key: AccessKey, front: SignatureFront
) -> None:
    class Gone:
        def __getattr__(self, name: str) -> Any:
            from bridge.errors import StoreUnavailable  # noqa: PLC0415

            raise StoreUnavailable(name)

    replay_cache: Any = Gone()
    with signing_client(replace(bridge, clients=replace(bridge.clients, replay_cache=replay_cache))) as http:
        assert http.send(signed(key, "POST", LOG_METRIC, metric())).status == 503
        assert http.send(signed(key, "POST", CREATE_RUN, b'{"experiment_id": "0"}')).status == 429
        front.set_fault(Faulty(200, {"Content-Type": "application/json"}, b"{}"))
        assert http.send(signed(key, "POST", SEARCH, b"{}")).status == 200
    assert len(front.calls) == 1


def test_signatures_count_only_where_they_are_among_the_kinds(
    environ: dict[str, str], bridge: Api, key: AccessKey
) -> None:
    assert bridge.api_keys.client("c")
    with signing_client(build_api(read_settings(environ | {"BRIDGE_AUTH": "keys"}))) as http:
        assert http.send(signed(key, "GET", JOBS)).status == 401
