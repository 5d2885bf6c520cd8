# SPDX-License-Identifier: Apache-2.0
"""Long writes take a way of their own to the store, past the event loop, and have the store's time."""

import json
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from werkzeug.test import Client

from bridge.bootstrap.processes import Api
from bridge.errors import StoreUnavailable
from bridge.outbox import Offer, Verdict
from bridge.outbox.intake import LONG_WRITES_BYTES, Intake
from tests.factories import RUN

API = "/api/2.0/mlflow/runs"


@pytest.fixture
def threads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the threads in which writes are accepted alone."""
    names: list[str] = []
    accept = Intake.accept

    def accepted(intake: Intake, offers: Sequence[Offer]) -> Iterator[Verdict | Exception]:
        names.append(threading.current_thread().name)
        yield from accept(intake, offers)

    monkeypatch.setattr(Intake, "accept", accepted)
    return names


def profile(length: int) -> dict[str, Any]:
    dataset = {"name": "d", "digest": "1", "source_type": "local", "source": "{}", "profile": "p" * length}
    return {"run_id": RUN, "datasets": [{"dataset": dataset}]}


@pytest.mark.parametrize(
    ("call", "body", "is_long"),
    [
        ("log-inputs", profile(10), False),
        ("log-inputs", profile(LONG_WRITES_BYTES - 1000), False),
        ("log-inputs", profile(LONG_WRITES_BYTES), True),
        ("log-batch", {"run_id": RUN, "tags": [{"key": f"t{n}", "value": "v" * 8000} for n in range(40)]}, True),
    ],
    ids=["short", "nearly long", "long", "a long batch"],
)
def test_a_long_write_does_not_keep_the_event_loop(
    http: Client, api: Api, threads: list[str], call: str, body: dict[str, Any], *, is_long: bool
) -> None:
    answer = http.post(f"{API}/{call}", json=body)

    assert answer.status_code == 200
    assert [name.startswith("long-write") for name in threads] == [True] * is_long
    assert api.outbox.extents([RUN])[RUN].pending


def test_what_comes_of_a_long_write_is_answered_as_of_any_other(
    http_with: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    http, key = http_with({"BRIDGE_MAX_PENDING_RUN": "1MiB"}), {"Idempotency-Key": "once"}

    first = http.post(f"{API}/log-inputs", json=profile(600_000), headers=key)
    again = http.post(f"{API}/log-inputs", json=profile(600_000), headers=key)
    other = http.post(f"{API}/log-inputs", json=profile(600_001), headers=key)
    full = http.post(f"{API}/log-inputs", json=profile(600_000))
    never = http.post(f"{API}/log-inputs", json=profile(2_000_000))
    monkeypatch.setattr(Intake, "accept", lambda *_: iter([StoreUnavailable("down")]))
    down = http.post(f"{API}/log-inputs", json=profile(600_000))

    assert again.headers["Job-Id"] == first.headers["Job-Id"]
    statuses = [each.status_code for each in (first, again, other, full, never, down)]
    # MLflow 3.18 repeats this call after a 429 only.
    assert statuses == [200, 200, 422, 429, 413, 429]
    assert json.loads(down.data)["error_code"] == "TEMPORARILY_UNAVAILABLE"
