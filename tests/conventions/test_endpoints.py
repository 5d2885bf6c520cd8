# SPDX-License-Identifier: Apache-2.0
"""The table of MLflow's calls is whole, and says of each what the bridge does with it."""

import importlib
import re
from itertools import chain
from typing import Any

import pytest

from api.composition import create_app
from api.routes.table import ROUTES
from bridge.bootstrap.processes import build_api
from bridge.config.environment import read_settings
from schemas.client import ACTIONS, OWN_ACTIONS
from schemas.endpoints import ENDPOINTS, QUEUED, ExperimentRule, Handling, endpoint_of, find_endpoint
from schemas.write import Op

#: https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonsagemakerwithmlflow.html
IAM = {
    "AccessUI",
    "GetDownloadURIForModelVersionArtifacts",
    "GetExperiment",
    "GetExperimentByName",
    "GetLoggedModel",
    "GetMetricHistory",
    "GetModelVersion",
    "GetModelVersionByAlias",
    "GetRegisteredModel",
    "GetRun",
    "GetTraceInfo",
    "SearchExperiments",
    "SearchLoggedModels",
    "SearchModelVersions",
    "SearchRegisteredModels",
    "SearchRuns",
    "SearchTraces",
    "GetLatestModelVersions",
    "ListArtifacts",
    "ListLoggedModelArtifacts",
    "CreateExperiment",
    "CreateModelVersion",
    "CreateRegisteredModel",
    "CreateRun",
    "DeleteExperiment",
    "DeleteLoggedModel",
    "DeleteLoggedModelTag",
    "DeleteModelVersion",
    "DeleteModelVersionTag",
    "DeleteRegisteredModel",
    "DeleteRegisteredModelAlias",
    "DeleteRegisteredModelTag",
    "DeleteRun",
    "DeleteTag",
    "DeleteTraceTag",
    "DeleteTraces",
    "EndTrace",
    "FinalizeLoggedModel",
    "LogBatch",
    "LogInputs",
    "LogLoggedModelParams",
    "LogMetric",
    "LogModel",
    "LogOutputs",
    "LogParam",
    "RenameRegisteredModel",
    "RestoreExperiment",
    "RestoreRun",
    "SetExperimentTag",
    "SetLoggedModelTags",
    "SetModelVersionTag",
    "SetRegisteredModelAlias",
    "SetRegisteredModelTag",
    "SetTag",
    "SetTraceTag",
    "StartTrace",
    "TransitionModelVersionStage",
    "UpdateExperiment",
    "UpdateModelVersion",
    "UpdateRegisteredModel",
    "UpdateRun",
}


def _routes() -> set[tuple[str, str]]:
    """Method and path of each route of the MLflow that is installed, with `x` for what varies."""
    flask_app: Any = importlib.import_module("mlflow.server").app
    fastapi_app: Any = importlib.import_module("mlflow.server.fastapi_app").create_fastapi_app(flask_app)
    routes = {
        (method, re.sub(r"<(?:\w+:)?\w+>", "x", rule.rule))
        for rule in flask_app.url_map.iter_rules()
        for method in rule.methods - {"HEAD", "OPTIONS"}
    }
    for path, methods in fastapi_app.openapi()["paths"].items():
        routes |= {(method.upper(), re.sub(r"\{\w+\}", "x", path)) for method in methods}
    return routes


@pytest.mark.filterwarnings("ignore")
def test_each_call_of_the_installed_mlflow_has_its_row() -> None:
    routes = _routes()

    assert len(routes) > 450
    assert sorted(route for route in routes if find_endpoint(*route) is None) == []


def test_no_call_has_two_rows() -> None:
    calls = [(endpoint.method, path) for endpoint in ENDPOINTS for path in endpoint.paths]

    assert len(calls) == len(set(calls))


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: f"{endpoint.method} {endpoint.path}")
def test_a_row_says_all_that_its_way_needs(endpoint: Any) -> None:
    queued = endpoint.answer is Handling.QUEUED

    assert endpoint.kind in {"read", "write", "stream"}
    assert endpoint.again in {"same", "another", "400", "404", "-"}
    assert (endpoint.op != "-") == queued
    if queued:
        assert (endpoint.kind, endpoint.again == "-") == ("write", False)
        assert endpoint.lane in {"run", "experiment", "trace", "traces"}


def test_each_kind_of_write_is_one_of_mlflows_calls_but_for_the_creation_of_a_named_run() -> None:
    assert {Op(endpoint.op) for endpoint in QUEUED} == set(Op) - {Op.CREATE_RUN}
    assert {endpoint_of(op).op for op in set(Op) - {Op.CREATE_RUN}} == set(Op) - {Op.CREATE_RUN}


@pytest.mark.parametrize(
    ("method", "path", "subject"),
    [
        ("PATCH", "/api/3.0/mlflow/traces/tr-1/tags", "tr-1"),
        ("DELETE", "/ajax-api/2.0/mlflow/traces/tr-1/tags", "tr-1"),
        ("GET", "/api/2.0/mlflow-artifacts/artifacts/0/run/artifacts/a%2Fb.txt", "0/run/artifacts/a%2Fb.txt"),
        ("HEAD", "/health", ""),
    ],
)
def test_a_call_is_found_with_what_varies_in_its_path(method: str, path: str, subject: str) -> None:
    found = find_endpoint(method, path)

    assert found
    assert found.path_parameter == subject


@pytest.mark.parametrize("path", ["/api/2.0/mlflow/traces//tags", "/api/9.0/mlflow/x", "/v1/tracesx", ""])
def test_what_is_not_in_the_table_is_not_found(path: str) -> None:
    assert find_endpoint("PATCH", path) is None


def test_each_call_has_an_action_and_what_can_not_be_undone_is_in_no_scope() -> None:
    granted = {endpoint.action for endpoint in ENDPOINTS if endpoint.grant != "-"}
    scopes = {action: {each.grant for each in ENDPOINTS if each.action == action} for action in ACTIONS}

    assert {endpoint.grant for endpoint in ENDPOINTS} == {"write", "read", "-"}
    assert {action for action, held in scopes.items() if len(held) > 1} == set(), "an action is held by one scope"
    assert {action for action in granted if action.startswith(("Delete", "Restore", "Rename", "Transition"))} == set()
    assert {
        endpoint.action for endpoint in ENDPOINTS if re.search("registered-models|model-versions", endpoint.path)
    } & {endpoint.action for endpoint in ENDPOINTS if endpoint.grant == "write"} == set()


def test_only_what_reads_is_harmless_and_what_is_no_experiments_is_refused_to_who_is_limited() -> None:
    within = {each: {endpoint.path for endpoint in ENDPOINTS if endpoint.within is each} for each in ExperimentRule}
    harmless = [endpoint for endpoint in ENDPOINTS if endpoint.within is ExperimentRule.HARMLESS]
    beyond = re.compile(
        "registered-models|model-versions|gateway|webhooks|graphql|workspaces|/jobs|assistant|v1/traces"
    )

    assert all(within.values()), "no value that no call has"
    assert {(each.kind, each.method, each.answer, each.grant) for each in harmless} <= {
        (kind, "GET", Handling.PROXIED, "read") for kind in ("read", "stream")
    }
    assert {path for path in chain(*within.values()) if beyond.search(path)} - within[ExperimentRule.REFUSED] == set()
    assert within[ExperimentRule.REFUSED] >= {
        endpoint.path for endpoint in ENDPOINTS if endpoint.answer is Handling.REFUSED
    }


def test_each_word_of_iam_that_aws_documents_is_one_of_our_actions() -> None:
    assert set() == IAM - ACTIONS


def test_each_route_in_the_table_is_served_and_no_other() -> None:
    bridge = build_api(read_settings({"BRIDGE_UPSTREAM": "http://upstream", "BRIDGE_STORE_URL": "redis://store"}))
    handler = create_app(bridge).handler
    rules = handler.routes_app.flask.url_map.iter_rules()
    in_flask = {(method, rule.rule) for rule in rules for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}}

    on_loop = {(route.method, route.path) for route in handler.loop_views}
    assert {(route.method, route.path) for route in ROUTES if route.is_queued} <= on_loop
    assert {(route.method, route.path) for route in ROUTES} == in_flask | on_loop
    assert not in_flask & on_loop


def test_each_action_of_our_own_is_needed_by_a_route() -> None:
    assert {route.action for route in ROUTES} - {None} - ACTIONS == OWN_ACTIONS
    assert set() == OWN_ACTIONS & ACTIONS
