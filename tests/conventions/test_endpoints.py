# SPDX-License-Identifier: Apache-2.0
"""The table of MLflow's calls is whole, and says of each what the bridge does with it."""

import importlib
import re
from typing import Any

import pytest

from schemas.endpoints import ENDPOINTS, QUEUED, Way, endpoint_of, find
from schemas.write import Op


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
    assert sorted(route for route in routes if find(*route) is None) == []


def test_no_call_has_two_rows() -> None:
    calls = [(endpoint.method, path) for endpoint in ENDPOINTS for path in endpoint.paths]

    assert len(calls) == len(set(calls))


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: f"{endpoint.method} {endpoint.path}")
def test_a_row_says_all_that_its_way_needs(endpoint: Any) -> None:
    queued = endpoint.answer is Way.QUEUED

    assert endpoint.kind in {"read", "write", "stream"}
    assert endpoint.again in {"same", "another", "400", "404", "-"}
    assert (endpoint.op != "-", endpoint.checked != "-") == (queued, queued)
    if queued:
        assert (endpoint.kind, endpoint.again == "-") == ("write", False)
        assert endpoint.lane in {"run", "experiment", "trace", "traces"}
        assert hasattr(importlib.import_module(f"schemas.{endpoint.checked}"), "Write")


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
    found = find(method, path)

    assert found
    assert found.subject == subject


@pytest.mark.parametrize("path", ["/api/2.0/mlflow/traces//tags", "/api/9.0/mlflow/x", "/v1/tracesx", ""])
def test_what_is_not_in_the_table_is_not_found(path: str) -> None:
    assert find("PATCH", path) is None
