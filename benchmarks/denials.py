# SPDX-License-Identifier: Apache-2.0
"""The effect of denied runs on other runs."""

import json
import statistics
from collections.abc import Iterator
from typing import Any

import requests

from benchmarks import contenders
from benchmarks.fairness import accept_to_settled
from benchmarks.table import Row, Setting
from tests.servers import wait_until
from tests.signature_front import SignatureFront
from tests.upstream_faults import Answer

_RUNS = 100
_DENIED = Answer(403, {"x-amzn-ErrorType": "AccessDeniedException"}, b'{"Message": "not authorized"}')
_DATASET = {"dataset": {"name": "d", "digest": "x", "source_type": "local", "source": "{}"}}


def denied(setting: Setting) -> Iterator[Row]:
    """The time from accept to settled of a run's writes, alone and beside a hundred denied runs."""
    runs, rounds, writes = setting.amount(_RUNS), 1 if setting.smoke else 2 * setting.rounds + 1, setting.amount(200)
    with (
        contenders.mlflow(setting, "mlflow") as mlflow,
        SignatureFront(mlflow, check=None) as front,
        contenders.bridge(front.url, setting.place("alone")) as alone,
        contenders.bridge(front.url, setting.place("beside")) as beside,
    ):
        front.set_fault(_DENIED, matching=lambda _, path: path.endswith("/log-inputs"))
        _log_denied(beside.url, mlflow, runs)
        seen: dict[str, list[float]] = {alone.url: [], beside.url: []}
        p99: dict[str, list[float]] = {alone.url: [], beside.url: []}
        for number in range(rounds):
            setting.show_progress(f"round {number + 1} of {rounds}")
            for url in (alone.url, beside.url):
                lags = _lags(url, _created(mlflow), writes)
                seen[url] += lags
                p99[url].append(statistics.quantiles(lags, n=100)[-1] if len(lags) > 1 else lags[0])
    ratios = sorted(one / other for one, other in zip(p99[beside.url], p99[alone.url], strict=True))
    medians = (f"p99 {statistics.median(p99[url]) * 1000:.0f} ms" for url in (beside.url, alone.url))
    yield Row(
        name=f"accept to settled, p99, beside {_RUNS} denied runs / alone",
        ratio=statistics.median(ratios),
        target="<= 1.5",
        figures=f"{', '.join(medians)}; rounds {ratios[0]:.2f} to {ratios[-1]:.2f}",
        needs_full_run=not setting.is_full,
    )


def _log_denied(url: str, mlflow: str, runs: int) -> None:
    """Log a call that upstream denies to a number of runs, and wait until each job reports the denial."""
    with requests.Session() as http:
        jobs = []
        for _ in range(runs):
            body: dict[str, Any] = {"run_id": _created(mlflow), "datasets": [_DATASET]}
            answer = http.post(f"{url}/api/2.0/mlflow/runs/log-inputs", json=body, timeout=30)
            jobs.append(answer.headers["Job-Id"])

        def all_denied() -> bool:
            found = http.post(f"{url}/v1/jobs/lookup", json={"job_ids": jobs}, timeout=30).json()["jobs"]
            return all(job["error"] for job in found)

        wait_until(all_denied, timeout=120)


def _created(mlflow: str) -> str:
    url = f"{mlflow}/api/2.0/mlflow/runs/create"
    return str(requests.post(url, json={"experiment_id": "0"}, timeout=30).json()["run"]["info"]["run_id"])


def _lags(url: str, run_id: str, writes: int) -> list[float]:
    with requests.Session() as http:
        http.headers.update({"Prefer": "wait=10", "Content-Type": "application/json"})
        return [
            accept_to_settled(
                http, url, json.dumps({"run_id": run_id, "key": "m", "value": 1, "step": step, "timestamp": 1}).encode()
            )
            for step in range(writes)
        ]
