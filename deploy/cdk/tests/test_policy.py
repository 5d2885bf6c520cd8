# SPDX-License-Identifier: Apache-2.0
"""Least privilege: what the roles may do is what the bridge calls, and no more."""

import csv
import importlib.resources
import json
import re
from fnmatch import fnmatchcase
from typing import Any

from conftest import APP_ARN, ROOT, SERVER_ARN, UPSTREAM_ROLE, Variant, synthesised

from policy import IAM_ACTIONS, RUN_CREATION_CALLS, UI_ACTION, api_actions, worker_actions


def _statements(variant: Variant, role: str) -> list[dict[str, Any]]:
    policies = variant.service.all("IAM::Policy").items()
    return [
        statement
        for key, policy in policies
        if key.startswith(role)
        for statement in policy["Properties"]["PolicyDocument"]["Statement"]
    ]


def _actions(statements: list[dict[str, Any]]) -> set[str]:
    named = [each["Action"] for each in statements]
    return {action for each in named for action in ([each] if isinstance(each, str) else each)}


def _mlflow(statements: list[dict[str, Any]]) -> set[str]:
    return {each.split(":")[1] for each in _actions(statements) if each.startswith("sagemaker-mlflow:")}


def test_the_list_of_iam_actions_is_what_cfn_lint_knows() -> None:
    policies = importlib.resources.files("cfnlint.data.AdditionalSpecs") / "Policies.json"
    known = set(json.loads(policies.read_text())["sagemaker-mlflow"]["Actions"])

    assert {action.lower() for action in IAM_ACTIONS} == known


def test_every_iam_action_is_one_that_the_bridge_knows() -> None:
    with (ROOT / "schemas" / "endpoints.tsv").open(newline="") as lines:
        named = {row["action"] for row in csv.DictReader(lines, delimiter="\t")}

    assert IAM_ACTIONS - named == set()


def test_the_api_may_call_what_it_forwards_and_workers_what_they_deliver() -> None:
    variant = synthesised("new-server")

    assert _mlflow(_statements(variant, "ApiTaskRole")) == api_actions() == IAM_ACTIONS - {UI_ACTION}
    assert _mlflow(_statements(variant, "WorkerTaskRole")) == worker_actions()
    assert {"LogBatch", "LogMetric", "SetTag", "UpdateRun"} <= worker_actions()


def test_workers_may_make_each_call_that_creates_a_named_run() -> None:
    source = (ROOT / "bridge" / "delivery" / "run_creation.py").read_text()

    assert set(re.findall(r'_send\(\s*f?"/([a-z-]+/[a-z-]+)', source)) == RUN_CREATION_CALLS
    assert {"GetExperimentByName", "CreateExperiment", "SearchRuns", "CreateRun"} <= worker_actions()


def test_the_documented_policies_allow_what_the_roles_may_do() -> None:
    page = (ROOT / "docs" / "how-to" / "sagemaker.md").read_text()
    documents = [json.loads(block) for block in re.findall(r"^```json\n(.*?)^```", page, re.MULTILINE | re.DOTALL)]
    statements = [each for document in documents for each in document["Statement"] if "Sid" in each]
    patterns = {each["Sid"]: each["Action"] for each in statements}

    assert patterns.pop("App") == ["sagemaker:CallMlflowAppApi"]
    assert _matched(patterns["Api"]) == api_actions()
    assert _matched(patterns["Ui"]) == {UI_ACTION}
    assert _matched(patterns["Worker"]) == worker_actions()


def _matched(patterns: list[str]) -> frozenset[str]:
    """Return the actions of a tracking server that IAM's patterns allow."""
    return frozenset(
        action for action in IAM_ACTIONS if any(fnmatchcase(f"sagemaker-mlflow:{action}", each) for each in patterns)
    )


def test_workers_can_delete_no_run_and_no_model() -> None:
    assert {action for action in worker_actions() if action.startswith("Delete")} == {"DeleteTag", "DeleteTraceTag"}


def test_calls_are_limited_to_one_server() -> None:
    statements = _statements(synthesised("given-server"), "WorkerTaskRole")

    assert {each["Resource"] for each in statements if "sagemaker-mlflow:LogBatch" in each["Action"]} == {SERVER_ARN}


def test_an_app_has_one_action_and_nothing_else() -> None:
    variant = synthesised("new-app")

    for role in ("ApiTaskRole", "WorkerTaskRole"):
        calls = [each for each in _statements(variant, role) if "secretsmanager" not in json.dumps(each["Action"])]
        upstream = [each for each in calls if "kms" not in json.dumps(each["Action"])]
        assert _actions(upstream) == {"sagemaker:CallMlflowAppApi"}
        assert "*" not in {json.dumps(each["Resource"]) for each in upstream}
    assert synthesised("given-app").store.template["Outputs"]["UpstreamArn"]["Value"] == APP_ARN


def test_the_ui_is_opened_only_where_it_is_wanted() -> None:
    assert UI_ACTION not in _mlflow(_statements(synthesised("new-server"), "ApiTaskRole"))
    wanted = [each for each in _statements(synthesised("given-server"), "ApiTaskRole") if each["Resource"] == "*"]
    assert _actions(wanted) == {f"sagemaker-mlflow:{UI_ACTION}"}
    assert not [each for each in _statements(synthesised("given-server"), "WorkerTaskRole") if each["Resource"] == "*"]


def test_where_a_role_is_assumed_nothing_else_of_upstream_is_allowed() -> None:
    variant = synthesised("given-app")

    for role in ("ApiTaskRole", "WorkerTaskRole"):
        statements = _statements(variant, role)
        assert "sagemaker:CallMlflowAppApi" not in _actions(statements)
        assert [each["Resource"] for each in statements if each["Action"] == "sts:AssumeRole"] == [UPSTREAM_ROLE]


def test_who_reads_a_secret_may_use_its_key_for_that_alone(variant: Variant) -> None:
    readers = (
        "ApiTaskRole",
        "KeysTaskRole",
        *(f"{name}TaskDefinitionExecutionRole" for name in ("Api", "Worker", "Keys")),
    )

    for reader in readers:
        (use,) = (each for each in _statements(variant, reader) if "kms:Decrypt" in each["Action"])
        assert list(use["Condition"]["StringEquals"]) == ["kms:ViaService"]
        assert "secretsmanager." in json.dumps(use["Condition"])
        assert "Key" in json.dumps(use["Resource"])
    assert not [each for each in _statements(variant, "WorkerTaskRole") if "kms" in json.dumps(each["Action"])]


def test_no_role_of_the_service_holds_a_wildcard_action(variant: Variant) -> None:
    for role in ("ApiTaskRole", "WorkerTaskRole", "KeysTaskRole"):
        assert not {action for action in _actions(_statements(variant, role)) if "*" in action}


def test_only_the_key_task_writes_a_secret_and_only_the_first_key(variant: Variant) -> None:
    assert "secretsmanager:PutSecretValue" in _actions(_statements(variant, "KeysTaskRole"))
    assert _mlflow(_statements(variant, "KeysTaskRole")) == set()
    for role in ("ApiTaskRole", "WorkerTaskRole"):
        assert "secretsmanager:PutSecretValue" not in _actions(_statements(variant, role))
    assert "secretsmanager:GetSecretValue" not in _actions(_statements(variant, "WorkerTaskRole"))
