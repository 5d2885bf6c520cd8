# SPDX-License-Identifier: Apache-2.0
"""Clients that log to runs of their own, one write after the other, and remember what they were told of each."""

import itertools
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Self

import requests

#: Seconds after which a client repeats a write that was not accepted.
_REPEATS_AFTER = 0.1
#: Seconds after which a client gives a write up, which fails the test.
_PATIENCE = 90.0
_SECOND_VALUE = "a second value"
_EPOCH = 1_700_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """A write as its client sent it, again and again until it was accepted."""

    run_id: str
    #: The last part of the path, such as ``log-metric``.
    call: str
    body: dict[str, Any]
    #: The status of each answer; 0 where the connection broke before there was one.
    told: tuple[int, ...]
    #: As the last answer named it.
    job_id: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How heavy a load is, and where it ends at the latest."""

    clients: int
    runs_per_client: int
    #: Seconds between two writes of a client.
    pause: float
    most_writes_per_client: int


class Load:
    """The clients, busy for as long as the ``with`` lasts; its end lets each finish the write in its hands."""

    def __init__(self, url: str, runs: Sequence[str], size: Size) -> None:
        self._url = url
        self._shares = [runs[client :: size.clients] for client in range(size.clients)]
        self._size = size
        self._over = threading.Event()
        self._changed = threading.Condition()
        self._accepted = 0
        self._threads = ThreadPoolExecutor(size.clients)
        self._futures: list[Future[list[Sent]]] = []

    def __enter__(self) -> Self:
        self._futures = [self._threads.submit(self._log, share) for share in self._shares]
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._threads.shutdown()

    def wait_accepted(self, more: int, *, timeout: float = _PATIENCE) -> None:
        """Return as soon as so many more writes are accepted."""
        with self._changed:
            enough = self._accepted + more
            assert self._changed.wait_for(lambda: self._accepted >= enough, timeout), "clients make no progress"

    def sent(self) -> list[Sent]:
        """Every write that the clients sent, those of each run in their order."""
        return [sent for future in self._futures for sent in future.result()]

    def _log(self, runs: Sequence[str]) -> list[Sent]:
        sent: list[Sent] = []
        turns = ((number, run_id) for number in itertools.count() for run_id in runs)
        with requests.Session() as http:
            for number, run_id in itertools.islice(turns, self._size.most_writes_per_client):
                sent.append(self._until_accepted(http, run_id, *planned(number, also_bad=run_id == runs[0])))
                with self._changed:
                    self._accepted += 1
                    self._changed.notify_all()
                if self._over.wait(self._size.pause):
                    break
        return sent

    def _until_accepted(self, http: requests.Session, run_id: str, call: str, fields: dict[str, Any]) -> Sent:
        """Send the very same write until it is accepted, as MLflow's client would."""
        body = {"run_id": run_id} | fields
        told: list[int] = []
        give_up_at = time.monotonic() + _PATIENCE
        while True:
            status, job_id = _post(http, f"{self._url}/api/2.0/mlflow/runs/{call}", body)
            told.append(status)
            if 200 <= status < 300:
                return Sent(run_id=run_id, call=call, body=body, told=tuple(told), job_id=job_id)
            assert time.monotonic() < give_up_at, f"a client was told {told} and gave up"
            time.sleep(_REPEATS_AFTER)


def _post(http: requests.Session, url: str, body: dict[str, Any]) -> tuple[int, str | None]:
    try:
        answer = http.post(url, json=body, timeout=10)
    except requests.RequestException:
        return 0, None
    return answer.status_code, answer.headers.get("Job-Id")


def planned(number: int, *, also_bad: bool = False) -> tuple[str, dict[str, Any]]:
    """The call and the fields of a run's write of this number: no two of a run have steps or keys in common.

    But for the few that are deliberately bad: they give a second value to a param, which MLflow refuses.
    """
    step = number * 10
    match number % 10:
        case 3:
            return "log-parameter", {"key": f"param-{number}", "value": f"value-{number}"}
        case 5:
            return "set-tag", {"key": f"tag-{number}", "value": f"value-{number}"}
        case 7:
            return "log-batch", {
                "metrics": [_metric(step + offset) for offset in range(3)],
                "params": [{"key": f"batch-{number}", "value": "a"}, {"key": f"batch-{number}-more", "value": "b"}],
                "tags": [{"key": f"batch-{number}", "value": "c"}],
            }
        case 4 if also_bad and number % 50 == 4:
            return "log-parameter", {"key": f"param-{number - 1}", "value": _SECOND_VALUE}
    return "log-metric", _metric(step)


def is_bad(sent: Sent) -> bool:
    """Whether MLflow is meant to refuse it."""
    return sent.body.get("value") == _SECOND_VALUE


def _metric(step: int) -> dict[str, Any]:
    return {"key": "m", "value": step / 8, "step": step, "timestamp": _EPOCH + step}
