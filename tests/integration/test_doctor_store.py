# SPDX-License-Identifier: Apache-2.0
"""The doctor before a real Redis in good and bad states."""

import base64
import datetime as dt
import json
import re
import subprocess
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from bridge.auth.api_keys import new_access_key, new_key
from bridge.bootstrap.auth import api_key_store_at
from bridge.bootstrap.processes import build_api
from bridge.config.environment import read_settings
from bridge.doctor import Finding, examine
from bridge.doctor.redis_checks import _PERMISSIONS_FIX
from bridge.process.clock import SystemClock
from bridge.redis_store.client import disconnect
from bridge.redis_store.outbox import connect
from bridge.redis_store.scripts import self_test
from schemas.client import Client, Scope
from tests.factories import accept_one, metric
from tests.fakes import FakeClock
from tests.servers import Server, clean_environ, free_port, running, script
from tests.servers import redis_at as redis_in

NOBODY = "http://127.0.0.1:1"


@pytest.fixture
def store(redis_server: tuple[Server, str]) -> Iterator[Any]:
    """A client of the store, whose configuration is as before when the test ends."""
    client: Any = connect(redis_server[1], timeout=dt.timedelta(seconds=5), connections=2)
    client.flushall()
    names = ("maxmemory-policy", "appendonly", "appendfsync", "maxmemory")
    before = {name: client.config_get(name)[name] for name in names}
    yield client
    for name, value in before.items():
        client.config_set(name, value)
    client.flushall()


@pytest.fixture
def environ(redis_server: tuple[Server, str]) -> dict[str, str]:
    return {"BRIDGE_STORE_URL": redis_server[1], "BRIDGE_UPSTREAM": NOBODY, "BRIDGE_PORT": str(free_port())}


def looked(environ: dict[str, str], clock: Any = None) -> dict[str, Finding]:
    found = {finding.name: finding for finding in examine(environ, clock or SystemClock())}
    assert [finding.name for finding in found.values() if finding.verdict == "fail" and not finding.fix] == []
    return found


@pytest.mark.usefixtures("store")
def test_a_good_store_is_well(environ: dict[str, str]) -> None:
    found = looked(environ)

    of_store = {name: finding.verdict.value for name, finding in found.items() if name.startswith("store")}
    assert of_store == dict.fromkeys(
        ["store", "store durability", "store format", "store scripts", "store memory", "store replicas", "store clock"],
        "ok",
    )
    assert re.search(r"responds in \d+\.\d ms, (Redis|Valkey) \d", found["store"].found)
    assert found["store durability"].found.startswith("noeviction, fsync-always")
    assert found["broker"].found == "the store itself"
    assert found["workers"].verdict == "warn"
    assert found["dead letters"].verdict == found["lag"].verdict == found["flow control"].verdict == "ok"


def test_nothing_is_left_in_the_store_but_the_seal_of_nobody(environ: dict[str, str], store: Any) -> None:
    looked(environ)

    assert store.keys("*") == []


def test_a_store_that_evicts_fails(environ: dict[str, str], store: Any) -> None:
    store.config_set("maxmemory-policy", "allkeys-lru")

    durability = looked(environ)["store durability"]

    assert durability.verdict == "fail"
    assert "allkeys-lru, which can evict pending writes" in durability.found
    assert durability.fix == ("set it to noeviction, with CONFIG SET and in its configuration",)


def test_a_store_without_an_append_only_file_fails(environ: dict[str, str], store: Any) -> None:
    store.config_set("appendonly", "no")

    durability = looked(environ)["store durability"]

    assert durability.verdict == "fail"
    assert "a restart of the store loses pending writes" in durability.found


def test_a_store_that_syncs_once_a_second_is_warned_of(environ: dict[str, str], store: Any) -> None:
    store.config_set("appendfsync", "everysec")

    assert looked(environ)["store durability"].verdict == "warn"


def test_a_store_beyond_its_watermark_fails_and_one_near_to_it_is_warned_of(
    environ: dict[str, str], store: Any
) -> None:
    # Made over there: what is sent fills a buffer that counts as well, and is gone a moment later.
    store.setrange("filling", 40_000_000, b"x")

    store.config_set("maxmemory", int(store.info("memory")["used_memory"] / 0.7))
    near = looked(environ)["store memory"]
    # Measured again: what tests before this one have sent may have been let go of meanwhile.
    store.config_set("maxmemory", int(store.info("memory")["used_memory"] / 0.9))
    beyond = looked(environ)["store memory"]

    assert near.verdict == "warn"
    assert beyond.verdict == "fail"
    assert beyond.fix == ("raise maxmemory of the store",)


def test_a_store_that_does_not_answer_fails_once_and_the_rest_is_told(environ: dict[str, str]) -> None:
    found = looked({**environ, "BRIDGE_STORE_URL": f"redis://user:s3cret-word@127.0.0.1:{free_port()}"})

    assert found["store"].verdict == "fail"
    assert found["store"].fix == ("start it, or correct BRIDGE_STORE_URL",)
    assert found["store memory"].verdict == found["workers"].verdict == "skipped"
    assert found["upstream connection"].verdict == "fail"
    assert "s3cret-word" not in str(found)


def test_a_frozen_store_is_not_waited_for(environ: dict[str, str], redis_server: tuple[Server, str]) -> None:
    with redis_server[0].frozen():
        found = looked(environ)

    assert found["store"].verdict == "fail"
    assert found["store"].fix == ("allow connections to it: security group, firewall, route",)


@pytest.mark.parametrize(("minutes", "verdict"), [(0, "ok"), (1, "warn"), (-10, "fail")])
@pytest.mark.usefixtures("store")
def test_our_clock_is_compared_with_the_stores(environ: dict[str, str], minutes: int, verdict: str) -> None:
    clock = FakeClock(dt.datetime.now(dt.UTC) + dt.timedelta(minutes=minutes))

    assert looked(environ, clock)["store clock"].verdict == verdict


@pytest.fixture
def listening(short_dir: Path) -> Iterator[str]:
    """Another Redis, to do with as a test likes."""
    server, url = redis_in(short_dir / "doctor")
    with running(server):
        connect(url, timeout=dt.timedelta(seconds=5), connections=1).flushall()
        yield url


def test_an_account_that_may_not_run_the_scripts_fails_and_with_what_the_fix_gives_all_is_well(
    environ: dict[str, str], listening: str
) -> None:
    client: Any = connect(listening, timeout=dt.timedelta(seconds=5), connections=1)
    client.execute_command("ACL", "SETUSER", "bridge", "on", ">pass-word", "~bridge:*", "+@all", "-hincrby")
    url = f"{listening}?username=bridge&password=pass-word"
    as_bridge = {**environ, "BRIDGE_STORE_URL": url, "BRIDGE_BROKER_URL": listening}

    poor = looked(as_bridge)
    client.execute_command("ACL", "SETUSER", "bridge", "+hincrby", "-@scripting")
    poorer = looked(as_bridge)
    rights = re.findall(r"`([^`]*)`", _PERMISSIONS_FIX)[0].split()
    client.execute_command("ACL", "SETUSER", "bridge", "reset", "on", ">pass-word", *rights)
    enough = looked(as_bridge)
    stranger = looked({**as_bridge, "BRIDGE_STORE_URL": url.replace("pass-word", "wrong-word")})

    assert poor["store scripts"].verdict == "fail"
    assert "HINCRBY" in poor["store scripts"].found
    assert poorer["store scripts"].verdict == "fail"
    assert poor["store scripts"].fix == poorer["store scripts"].fix == (_PERMISSIONS_FIX,)
    assert "SETUSER" not in str(poor)
    assert {name: finding.verdict.value for name, finding in enough.items() if finding.verdict == "fail"} == {
        "upstream connection": "fail"
    }
    assert enough["store durability"].verdict == "ok"
    assert stranger["store"].fix == ("correct the user and the password in BRIDGE_STORE_URL",)
    assert "wrong-word" not in str(stranger)
    assert "pass-word" not in str(enough)


def test_those_rights_are_enough_to_deliver_with(environ: dict[str, str], listening: str) -> None:
    client: Any = connect(listening, timeout=dt.timedelta(seconds=5), connections=1)
    rights = re.findall(r"`([^`]*)`", _PERMISSIONS_FIX)[0].split()
    client.execute_command("ACL", "SETUSER", "bridge", "reset", "on", ">pass-word", *rights)
    bridge = build_api(
        read_settings({**environ, "BRIDGE_STORE_URL": f"{listening}?username=bridge&password=pass-word"})
    )

    accept_one(bridge.outbox, metric(1), client="a")
    claim = bridge.outbox.claim(metric(1).lane, lease=dt.timedelta(seconds=5))

    assert claim
    assert len(claim.jobs) == 1
    bridge.outbox.release(claim, after=dt.timedelta())
    found = bridge.outbox.due(limit=1, guard=dt.timedelta(milliseconds=1))
    assert [each.lane for each in found] == [metric(1).lane]
    client.acl_deluser("bridge")


def test_each_command_of_the_scripts_is_tried(store: Any) -> None:
    scripts = {path.name: path.read_text() for path in Path(str(files("bridge.redis_store"))).rglob("*.lua")}

    tried = set(re.findall(r"try\('(\w+)'", scripts.pop("self_test.lua")))
    used = set(re.findall(r"redis\.p?call\(\s*'(\w+)'", "".join(scripts.values())))

    assert used - tried == set()
    assert used
    assert self_test(store) == []


def test_a_replica_fails(environ: dict[str, str], listening: str, store: Any) -> None:
    client: Any = connect(listening, timeout=dt.timedelta(seconds=5), connections=1)
    client.execute_command("REPLICAOF", "127.0.0.1", "1")

    found = looked({**environ, "BRIDGE_STORE_URL": listening})["store"]

    client.execute_command("REPLICAOF", "NO", "ONE")
    assert found.verdict == "fail"
    assert found.fix == ("name the primary in BRIDGE_STORE_URL",)
    assert store.ping()


def test_a_cluster_is_looked_at_as_a_whole(environ: dict[str, str], redis_cluster: str, listening: str) -> None:
    client = connect(redis_cluster, timeout=dt.timedelta(seconds=5), connections=2)
    client.flushall()
    disconnect(client, in_use=True)

    # In a process of its own: a client of a cluster keeps its connections until the process ends.
    given = clean_environ() | environ | {"BRIDGE_STORE_URL": redis_cluster, "BRIDGE_BROKER_URL": listening}
    command = [script("mlflow-bridge"), "doctor", "--json"]
    done = subprocess.run(command, env=given, capture_output=True, text=True, timeout=60, check=False)

    found = {check["name"]: check for check in json.loads(done.stdout)["checks"]}
    assert "a cluster of 3 primaries" in found["store replicas"]["found"]
    assert [name for name, check in found.items() if check["verdict"] == "fail"] == ["upstream connection"]
    assert found["broker place"]["found"] == "another server than the store"


def test_a_broker_that_evicts_or_shares_the_stores_server_is_warned_of(environ: dict[str, str], store: Any) -> None:
    url = environ["BRIDGE_STORE_URL"]
    other_database = {**environ, "BRIDGE_BROKER_URL": f"{url}?db=1"}
    store.config_set("maxmemory-policy", "volatile-lru")

    found = looked(other_database)

    assert found["broker memory"].verdict == "warn"
    assert "another database of the store's own server" in found["broker place"].found


def test_a_broker_that_is_gone_fails(environ: dict[str, str]) -> None:
    found = looked({**environ, "BRIDGE_BROKER_URL": f"redis://127.0.0.1:{free_port()}"})

    assert found["broker"].verdict == "fail"
    assert found["broker place"].verdict == "skipped"
    assert found["store"].verdict == "ok"


@pytest.fixture
def alone(environ: dict[str, str], short_dir: Path) -> Iterator[dict[str, str]]:
    """Settings of a bridge with a store that nothing else uses: whatever claims a lane there makes it not late."""
    store, url = redis_in(short_dir / "doctor-alone")
    with running(store):
        yield environ | {"BRIDGE_STORE_URL": url}


def test_what_waits_without_a_worker_fails(alone: dict[str, str]) -> None:
    environ = alone
    bridge = build_api(read_settings(environ))
    accept_one(bridge.outbox, metric(1), client="a")

    waiting = looked(environ, FakeClock(dt.datetime.now(dt.UTC) + dt.timedelta(seconds=60)))
    long = looked(environ, FakeClock(dt.datetime.now(dt.UTC) + dt.timedelta(seconds=400)))
    bridge.outbox.report_worker("w")
    worked = looked(environ)

    assert waiting["workers"].verdict == "fail"
    assert waiting["lag"].verdict == "warn", waiting["lag"].found
    assert long["lag"].verdict == "fail"
    assert worked["workers"].found == "1 worker process is alive"
    assert worked["lag"].verdict == "ok"


def test_a_write_that_will_soon_be_given_up_is_warned_of(environ: dict[str, str]) -> None:
    bridge = build_api(read_settings(environ))
    accepted_at = accept_one(bridge.outbox, metric(1), client="a").accepted_at
    claim = bridge.outbox.claim(metric(1).lane, lease=dt.timedelta(hours=100))
    assert claim

    early = looked(environ, FakeClock(accepted_at + dt.timedelta(hours=35)))
    late = looked(environ, FakeClock(accepted_at + dt.timedelta(hours=36)))

    assert early["lag"].verdict == "ok"
    assert late["lag"].verdict == "warn"
    assert "the oldest write has an age of 129600 s, the longest-due lane a delay of 0 s" in late["lag"].found
    assert "BRIDGE_MAX_WRITE_AGE" in late["lag"].fix[0]


@pytest.mark.usefixtures("store")
def test_keys_are_looked_at_where_they_count(environ: dict[str, str]) -> None:
    now, ring = dt.datetime.now(dt.UTC), api_key_store_at(environ["BRIDGE_STORE_URL"])
    keyed = {**environ, "BRIDGE_AUTH": "keys"}

    nobody = looked(keyed)["keys"]
    ring.put_client(Client(name="nightly", scopes=(Scope.WRITE,)))
    ring.add_key("nightly", new_key(), now=now, expires_at=None)
    no_admin = looked(keyed)["keys"]
    ring.put_client(Client(name="ops", scopes=(Scope.WRITE, Scope.READ, Scope.ADMIN)))
    ring.add_key("ops", new_key(), now=now, expires_at=now - dt.timedelta(seconds=1))
    expired = looked(keyed)["keys"]
    ring.add_key("ops", new_key(), now=now, expires_at=None)
    well = looked(keyed)["keys"]

    assert [each.verdict for each in (nobody, no_admin, expired, well)] == ["fail", "warn", "warn", "ok"]
    assert nobody.fix == ("create one: `mlflow-bridge keys create NAME --admin`",)
    assert "keys" not in looked(environ)


@pytest.mark.usefixtures("store")
def test_secrets_that_the_encryption_key_does_not_open_are_found(environ: dict[str, str]) -> None:
    keys = {name: base64.b64encode(name.encode() * 32).decode() for name in "ab"}

    def signing(*names: str) -> dict[str, str]:
        return environ | {"BRIDGE_AUTH": "sigv4", "BRIDGE_ENCRYPTION_KEYS": ",".join(keys[name] for name in names)}

    ring, key = build_api(read_settings(signing("a"))).api_keys, new_access_key()
    ring.put_client(Client(name="fleet"))
    ring.add_key("fleet", key, now=dt.datetime.now(dt.UTC), expires_at=None)

    well, other, both = (looked(signing(*names))["signing keys"] for names in ("a", "b", "ba"))

    assert (well.verdict, well.found) == ("ok", "1, all decrypted by the encryption keys")
    assert (other.verdict, both.verdict) == ("fail", "ok")
    assert key.key_id in other.found
    assert "BRIDGE_ENCRYPTION_KEYS" in other.fix[0]
    assert key.secret not in str((well, other, both))


def test_the_command_says_it_in_columns_and_in_json_and_by_its_status(environ: dict[str, str], tmp_path: Path) -> None:
    def run(*options: str, **further: str) -> subprocess.CompletedProcess[str]:
        command = [script("mlflow-bridge"), "doctor", *options]
        given = {**clean_environ(), **environ, **further}
        return subprocess.run(command, env=given, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)

    shown, as_json, wrong = run(), run("--json"), run("--nonsense")
    secret = run(BRIDGE_UPSTREAM=f"http://user:{quote('p@55-word')}@127.0.0.1:1")

    assert (shown.returncode, as_json.returncode, wrong.returncode) == (1, 1, 2)
    assert re.search(r"^ok      store durability     noeviction", shown.stdout, re.MULTILINE)
    assert re.search(r"^fail    upstream connection .*\n        fix: start the server", shown.stdout, re.MULTILINE)
    assert re.search(r"\d+ checks in \d+\.\d s: ", shown.stdout)
    assert "\x1b" not in shown.stdout
    document = json.loads(as_json.stdout)
    assert document["failed"] is True
    assert {"name", "verdict", "found", "fix"} == set(document["checks"][0])
    assert "p%4055-word" not in secret.stdout + secret.stderr
    assert (shown.stderr, as_json.stderr) == ("", "")


def test_a_password_in_a_setting_that_is_no_url_is_not_shown_either(environ: dict[str, str]) -> None:
    found = looked({**environ, "BRIDGE_STORE_URL": "redis:/:misplaced-word@host"})

    assert found["store"].verdict == "fail"
    assert found["store"].fix == ("write BRIDGE_STORE_URL as redis://USER:PASSWORD@HOST:PORT/DATABASE",)
    assert "misplaced-word" not in str(found)


@pytest.mark.usefixtures("store")
def test_an_installation_without_a_failure_ends_with_0_though_it_is_warned_of(
    environ: dict[str, str], mlflow_url: str, tmp_path: Path
) -> None:
    given = {**clean_environ(), **environ, "BRIDGE_UPSTREAM": mlflow_url}
    command = [script("mlflow-bridge"), "doctor", "--json"]

    done = subprocess.run(command, env=given, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)

    document = json.loads(done.stdout)
    assert (done.returncode, document["failed"], document["counts"]["fail"]) == (0, False, 0), done.stdout
    assert document["counts"]["warn"] == 1, "no worker is alive"
    assert [check["name"] for check in document["checks"] if check["verdict"] == "warn"] == ["workers"]
