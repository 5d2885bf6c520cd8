# SPDX-License-Identifier: Apache-2.0
"""What one version has stored, read by the other: jobs, dead letters, drains, keys, idempotency records."""

import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import requests

from deploy.rehearse.version import Version
from tests.faults.load import Sent
from tests.servers import running, wait_until

_TIMEOUT_S = 30
_MAX_JOBS = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """A version with an api that runs."""

    version: Version
    url: str

    def call(self, method: str, path: str, *, expected: int = 200, **options: Any) -> requests.Response:  # noqa: ANN401 - as requests.request
        """Send a request and check its status."""
        answer = requests.request(method, f"{self.url}{path}", timeout=_TIMEOUT_S, **options)
        shown = f"{self.version.name}: {method} {path}: {answer.status_code} {answer.text[:200]}"
        assert answer.status_code == expected, shown
        return answer


def differences(one: Side, other: Side, sent: Sequence[Sent], run_id: str) -> Iterator[str]:
    """Yield a line for each kind of record that one of the versions can't read as the other does."""
    checks: tuple[tuple[str, Callable[[], None]], ...] = (
        ("job ids", lambda: _jobs(one, other, sent)),
        ("idempotency records", lambda: _both(one, other, lambda a, b: _idempotency(a, b, run_id))),
        ("dead letters", lambda: _dead_letters(one, other)),
        ("drains", lambda: _both(one, other, _drains)),
        ("keys", lambda: _both(one, other, _keys)),
    )
    for name, check in checks:
        try:
            check()
        except (AssertionError, requests.RequestException) as error:
            yield f"{name}: {error}"


def _both(one: Side, other: Side, check: Callable[[Side, Side], None]) -> None:
    check(one, other)
    check(other, one)


def _jobs(one: Side, other: Side, sent: Sequence[Sent]) -> None:
    ids = [each.job_id for each in sent if each.job_id]
    assert ids, "no client has received a job id"
    for job_id in ids[:: max(1, len(ids) // _MAX_JOBS)]:
        first, second = (side.call("GET", f"/v1/jobs/{job_id}").json() for side in (one, other))
        assert _agree(first, second), f"{job_id}: {first} and {second}"


def _idempotency(writer: Side, reader: Side, run_id: str) -> None:
    body = {"run_id": run_id, "key": f"tag-{uuid.uuid4()}", "value": writer.version.name}
    path, headers = "/api/2.0/mlflow/runs/set-tag", {"Idempotency-Key": f'"{uuid.uuid4()}"'}
    first = writer.call("POST", path, json=body, headers=headers)
    again = reader.call("POST", path, json=body, headers=headers)
    assert again.headers.get("Idempotency-Replayed") == "true", f"{reader.version.name} accepted the write twice"
    assert again.headers["Job-Id"] == first.headers["Job-Id"]
    reader.call("POST", path, json=body | {"value": "another"}, headers=headers, expected=422)


def _dead_letters(one: Side, other: Side) -> None:
    first, second = (side.call("GET", "/v1/dead-letters?limit=1000").json()["letters"] for side in (one, other))
    assert first, "the load has left no dead letter"
    assert _agree(first, second), "the lists of the two versions differ"
    for letter in (first[0], first[-1]):
        shown = [side.call("GET", f"/v1/dead-letters/{letter['letter_id']}").json() for side in (one, other)]
        assert _agree(*shown), f"{letter['letter_id']} differs"


def _agree(first: Any, second: Any) -> bool:  # noqa: ANN401 - JSON
    """Return whether two documents agree, apart from fields that the newer version has added."""
    if isinstance(first, dict) and isinstance(second, dict):
        shared = first.keys() & second.keys()
        return shared in (first.keys(), second.keys()) and all(_agree(first[name], second[name]) for name in shared)
    if isinstance(first, list) and isinstance(second, list):
        return len(first) == len(second) and all(map(_agree, first, second))
    return bool(first == second)


def _drains(writer: Side, reader: Side) -> None:
    """A drain that one version begins, with a rate that keeps it running, is read and cancelled by the other."""
    begun = writer.call("POST", "/v1/dead-letters/replay", json={"filter": {}, "rate": 0.001}, expected=202).json()
    path = f"/v1/dead-letters/drains/{begun['drain_id']}"
    found = reader.call("GET", path).json()
    assert (found["state"], found["total"]) == ("running", begun["total"]), found
    reader.call("DELETE", path, expected=204)
    wait_until(lambda: writer.call("GET", path).json()["state"] == "cancelled", timeout=_TIMEOUT_S)


def _keys(writer: Side, reader: Side) -> None:
    """A key that one version creates is accepted by the other with authentication on, and a wrong one is not."""
    name = f"client-{uuid.uuid4().hex[:8]}"
    lines = writer.version.run("keys", "create", name, "--admin").split()
    api, url = reader.version.api(f"keys-{reader.version.name}-{name}", {"BRIDGE_AUTH": "keys"})
    with running(api):
        guarded = Side(version=reader.version, url=url)
        accepted = [word for word in lines if _status(url, word) == 200]
        assert accepted, f"{reader.version.name} accepts no key of {writer.version.name}"
        guarded.call("GET", "/v1/backlog", headers={"Authorization": "Bearer wrong"}, expected=401)


def _status(url: str, key: str) -> int:
    return requests.get(f"{url}/v1/backlog", headers={"Authorization": f"Bearer {key}"}, timeout=_TIMEOUT_S).status_code
