# SPDX-License-Identifier: Apache-2.0
"""Asks a bridge and MLflow itself the same, and tells what each makes of it."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import requests
from google.protobuf.json_format import ParseError  # type: ignore[import-untyped] # protobuf ships no types
from mlflow.protos.service_pb2 import (
    DeleteTag,
    LogBatch,
    LogInputs,
    LogMetric,
    LogOutputs,
    LogParam,
    SetTag,
    UpdateRun,
)
from mlflow.utils.proto_json_utils import parse_dict
from werkzeug.test import Client

from bridge.bootstrap.processes import build_api
from bridge.config.environment import read_settings
from schemas.endpoints import endpoint_of
from schemas.write import Op
from tests.acceptance.parity_bodies import Request
from tests.asgi_client import client_of

_MESSAGES: dict[Op, Any] = {
    Op.LOG_METRIC: LogMetric,
    Op.LOG_PARAMETER: LogParam,
    Op.SET_TAG: SetTag,
    Op.LOG_BATCH: LogBatch,
    Op.DELETE_TAG: DeleteTag,
    Op.UPDATE_RUN: UpdateRun,
    Op.LOG_INPUTS: LogInputs,
    Op.LOG_OUTPUTS: LogOutputs,
}
_UNKNOWN_RUN = re.compile(r"Run with id=([a-zA-Z0-9][\w\-]{0,255}) not found")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a request."""

    status: int
    error_code: str = ""
    message: str = ""

    @property
    def is_of_a_run_that_is_not_there(self) -> bool:
        """Whether MLflow has no such run, though it could."""
        return bool(_UNKNOWN_RUN.fullmatch(self.message))

    @property
    def is_of_the_state(self) -> bool:
        """Whether it is about what MLflow holds, which no bridge can know, and not about the request."""
        unknown_model = self.error_code == "BAD_REQUEST" and "FOREIGN KEY constraint failed" in self.message
        no_such_tag = self.status == 404 and self.message.startswith("No tag with name: ")
        return unknown_model or no_such_tag or self.is_of_a_run_that_is_not_there


@dataclass(frozen=True)
class Seen:
    """A request and both verdicts."""

    request: Request
    theirs: Verdict
    ours: Verdict

    @property
    def agree(self) -> bool:
        """Whether the bridge refuses in the same words, or takes what MLflow takes and keeps all of."""
        if self.ours.status == 200:
            return self.theirs.is_of_the_state or (self.theirs.status == 200 and self.is_read_whole)
        return self.theirs == self.ours

    @cached_property
    def is_read_whole(self) -> bool:
        """Whether MLflow's parser reads all of it; else it keeps what it had read before it gave up."""
        try:
            _parse(self.fields, _MESSAGES[self.request.op]())
        except (ParseError, ValueError, TypeError, AttributeError, OverflowError, RecursionError):
            return False
        return True

    @cached_property
    def fields(self) -> Any:
        """The body as MLflow reads it, with all that JSON's decoder takes."""
        try:
            loaded = json.loads(self.request.body)
            return json.loads(loaded) if isinstance(loaded, str) else loaded
        except (ValueError, RecursionError):
            return None


_parse: Any = parse_dict


class Sides:
    """Both servers."""

    def __init__(self, bridge: Client, mlflow_url: str) -> None:
        self._bridge = bridge
        self._mlflow_url = mlflow_url
        self._http = requests.Session()
        self._run_id = self.create_run()

    def ask(self, request: Request) -> Seen:
        """Ask both."""
        theirs = self._ask_mlflow(request)
        if theirs.message.startswith("Changing param values") or "UNIQUE constraint failed" in theirs.message:
            # What was asked before is in the way. If it is not that, a new run will say the same.
            self._run_id = self.create_run()
            theirs = self._ask_mlflow(request)
        ours = self._bridge.post(
            endpoint_of(request.op).path, data=request.about(self._run_id), headers=request.headers
        )
        return Seen(request, theirs, _verdict(ours.status_code, ours.data))

    def create_run(self) -> str:
        run = self.post("/api/2.0/mlflow/runs/create", b'{"experiment_id":"0","run_name":"one of many"}').json()["run"]
        return str(run["info"]["run_id"])

    def post(self, path: str, body: bytes) -> requests.Response:
        return self._http.post(self._mlflow_url + path, body, headers={"Content-Type": "application/json"}, timeout=60)

    def stored(self, run_id: str) -> Any:
        """Return all that MLflow holds of a run, without what every run has of its own."""
        run = self._get("runs/get", run_id=run_id)["run"]
        history = [self._get("metrics/get-history", run_id=run_id, metric_key=key) for key in ("k", "été")]
        info = {name: value for name, value in run["info"].items() if name in ("run_name", "status", "end_time")}
        return json.loads(
            json.dumps([info, run["data"], run["inputs"], run.get("outputs"), history]).replace(run_id, "")
        )

    def _get(self, call: str, **query: str) -> Any:
        answer = self._http.get(f"{self._mlflow_url}/api/2.0/mlflow/{call}", params=query, timeout=60)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def _ask_mlflow(self, request: Request) -> Verdict:
        url = self._mlflow_url + endpoint_of(request.op).path
        answer = self._http.post(url, request.about(self._run_id), headers=request.headers, timeout=60)
        return _verdict(answer.status_code, answer.content)


@contextmanager
def sides(store_url: str, mlflow_url: str) -> Iterator[Sides]:
    """Yield a bridge of this process, without workers, and MLflow."""
    environ = {"BRIDGE_STORE_URL": store_url, "BRIDGE_UPSTREAM": mlflow_url, "BRIDGE_MAX_PENDING_RUN": "1GiB"}
    with client_of(build_api(read_settings(environ))) as bridge:
        yield Sides(bridge, mlflow_url)


def _verdict(status: int, body: bytes) -> Verdict:
    if status == 200:
        return Verdict(200)
    try:
        error = json.loads(body)
    except ValueError:
        return Verdict(status)
    return Verdict(status, error["error_code"], error["message"])
