# SPDX-License-Identifier: Apache-2.0
"""Tags of experiments and traces, and links: each body, good or bad, is judged as a real MLflow server judges it."""

import itertools
import json
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from werkzeug.test import Client

from bridge.bootstrap.processes import build_api
from bridge.config.environment import read_settings
from tests.asgi_client import client_of
from tests.servers import Server

API = "/api/2.0/mlflow"
EXPERIMENT = f"{API}/experiments/set-experiment-tag"
NO_EXPERIMENT_TAG = f"{API}/experiments/delete-experiment-tag"
TRACE = "/api/3.0/mlflow/traces/tr-0123456789abcdef0123456789abcdef/tags"
LINK_RUN, LINK_PROMPTS = f"{API}/traces/link-to-run", f"{API}/traces/link-prompts"
CALLS = {EXPERIMENT: "POST", NO_EXPERIMENT_TAG: "POST", TRACE: "PATCH", LINK_RUN: "POST", LINK_PROMPTS: "POST"}

ABSENT: Any = object()
KEYS: list[Any] = ["k", "a/b", "ä", "k" * 250, "mlflow.note.content"]
KEYS += [ABSENT, None, "", 3, True, [], "a@b", "/a", "a//b", "..", "k" * 251]
VALUES = ["v", "", ABSENT, None, 3, True, {}, "x" * 8000, "x" * 20_000, "x" * 20_001]
IDS = ["0", ABSENT, None, "", 0]
TRACES = [["tr-1"], ["tr-1", "tr-1"], ABSENT, None, [], "tr-1", [1], [None], ["t"] * 100, ["t"] * 101]
PROMPTS = [[{"name": "p", "version": "1"}], ABSENT, None, [], "p", [{"name": "p", "version": 1}]]
PROMPTS += [[{"name": "p"}], [{"version": "1"}], [{}], [{"name": "p", "version": "1"}, {"name": "p"}]]

#: What only the server can know, or may change: neither is visible in a request.
STATE = ("No tag with name", "No trace tag with key", "FOREIGN KEY", "not found", "already exists", "UNIQUE")

#: Where the verdicts differ, and why: the bridge's words, MLflow's statuses and how MLflow's words begin.
KNOWN: dict[str, tuple[str, frozenset[int], str]] = {
    "'value' exceeds the maximum length of 8000": ("MLflow cuts a trace's tag", frozenset({200, 400}), ""),
    "MLflow would drop them": ("it drops what it can't read, or breaks down over it", frozenset({200, 400, 500}), ""),
    "It must be a whole number": ("it breaks down over a version that is no number", frozenset({500}), ""),
    "Missing value for": ("its parser gave up at a field before this", frozenset({400}), "Invalid value null for"),
}


def bodies(call: str) -> Iterator[dict[str, Any]]:
    """Each value of each field beside good ones, and some of them together."""
    if call == LINK_RUN:
        yield from _filled(
            {"trace_ids": each, "run_id": run} for each in TRACES for run in ("RUN", ABSENT, "", None, 3)
        )
    elif call == LINK_PROMPTS:
        yield from _filled(
            {"prompt_versions": each, "trace_id": trace} for each in PROMPTS for trace in ("tr-1", ABSENT, "", 3)
        )
    else:
        ids = IDS if "experiments" in call else [ABSENT]
        pairs = itertools.chain(((key, "v") for key in KEYS), (("k", value) for value in VALUES), [("", 3), (3, 3)])
        yield from _filled(
            {"experiment_id": each, "key": key, "value": value}
            for each, (key, value) in itertools.product(ids, list(pairs))
        )


def _filled(given: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for fields in given:
        yield {name: value for name, value in fields.items() if value is not ABSENT}


@pytest.fixture
def bridge(redis_server: tuple[Server, str], mlflow_url: str) -> Iterator[Client]:
    environ = {"BRIDGE_STORE_URL": redis_server[1], "BRIDGE_UPSTREAM": mlflow_url}
    with client_of(build_api(read_settings(environ))) as client:
        yield client


@pytest.mark.parametrize("call", CALLS)
def test_each_body_is_judged_as_mlflow_judges_it(bridge: Client, mlflow_url: str, call: str) -> None:
    created = requests.post(f"{mlflow_url}{API}/runs/create", json={"experiment_id": "0"}, timeout=30).json()
    run_id = created["run"]["info"]["run_id"]
    headers = {"Content-Type": "application/json"}
    differ = []
    with requests.Session() as http:
        for body in bodies(call):
            sent = json.dumps(body | ({"run_id": run_id} if body.get("run_id") == "RUN" else {}))
            theirs = http.request(CALLS[call], mlflow_url + call, data=sent, headers=headers, timeout=30)
            ours = bridge.open(call, method=CALLS[call], data=sent, headers=headers)
            verdicts = (ours.status_code, (ours.get_json() or {}).get("message", "")), _verdict(theirs)
            if not _agree(*verdicts):
                differ.append((sent[:200], *verdicts))

    assert differ == []


Verdict = tuple[int, str]


def _verdict(answer: requests.Response) -> Verdict:
    try:
        return answer.status_code, str(answer.json().get("message", ""))
    except ValueError:
        return answer.status_code, answer.text


def _agree(ours: Verdict, theirs: Verdict) -> bool:
    if ours == theirs:
        return True
    if ours[0] == 200:
        return any(word in theirs[1] for word in STATE)
    return ours[0] == 400 and any(
        said in ours[1] and theirs[0] in statuses and theirs[1].startswith(begins)
        for said, (_why, statuses, begins) in KNOWN.items()
    )
