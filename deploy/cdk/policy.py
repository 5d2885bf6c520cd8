# SPDX-License-Identifier: Apache-2.0
"""What the tasks may do to upstream: generated from the calls that the bridge makes, `schemas/endpoints.tsv`.

A tracking server has an IAM action for most calls of MLflow. An MLflow App has one action for all of them, so there
only the bridge can separate reads from writes.
"""

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path

from aws_cdk import aws_iam as iam

from parameters import REPOSITORY_ROOT, Parameters

#: IAM has no resource for it: https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonsagemakerwithmlflow.html
UI_ACTION = "AccessUI"
#: Workers probe upstream by this call: `bridge/upstream/http_client.py`.
PROBE_ACTION = "SearchExperiments"
#: The calls that create a named run, a write that has no row of its own: `bridge/delivery/run_creation.py`.
RUN_CREATION_CALLS = frozenset({"experiments/get-by-name", "experiments/create", "runs/search", "runs/create"})
_APP_ACTION = "sagemaker:CallMlflowAppApi"

#: Every action of the prefix `sagemaker-mlflow`; many calls of MLflow have none. cfn-lint's data proves it complete.
IAM_ACTIONS = frozenset((Path(__file__).parent / "iam_actions.txt").read_text(encoding="utf-8").split())


def api_actions() -> frozenset[str]:
    """Return the IAM actions of every call that the api sends upstream, without the UI's."""
    calls = {row["action"] for row in _endpoints() if row["answer"] != "refused"}
    return frozenset(calls & IAM_ACTIONS) - {UI_ACTION}


def worker_actions() -> frozenset[str]:
    """Return the IAM actions of the calls that workers make: queued writes, creations of named runs, and the probe."""
    paths = {f"/api/2.0/mlflow/{call}" for call in RUN_CREATION_CALLS}
    calls = {row["action"] for row in _endpoints() if row["answer"] == "queued" or row["path"] in paths}
    return frozenset(calls & IAM_ACTIONS) | {PROBE_ACTION}


def upstream_statements(parameters: Parameters, arn: str, actions: frozenset[str]) -> list[iam.PolicyStatement]:
    """Return what a task role needs for upstream: these actions on one tracking server, or an App's only action."""
    if role := parameters.settings.get("BRIDGE_ASSUME_ROLE_ARN"):
        return [_assume_role(role, parameters.settings)]
    if parameters.upstream_is_app:
        return [iam.PolicyStatement(sid="CallApp", actions=[_APP_ACTION], resources=[arn])]
    statements = [iam.PolicyStatement(sid="CallTrackingServer", actions=_qualified(actions), resources=[arn])]
    if parameters.ui and actions >= api_actions():
        statements.append(iam.PolicyStatement(sid="OpenUi", actions=_qualified({UI_ACTION}), resources=["*"]))
    return statements


def _assume_role(role: str, settings: Mapping[str, str]) -> iam.PolicyStatement:
    """Return the right to another account's role, which then holds the rights to upstream."""
    actions = ["sts:AssumeRole"]
    if settings.get("BRIDGE_ASSUME_ROLE_SESSION_NAME") == "source":
        actions.append("sts:SetSourceIdentity")
    return iam.PolicyStatement(sid="AssumeUpstreamRole", actions=actions, resources=[role])


def _qualified(actions: frozenset[str] | set[str]) -> list[str]:
    return [f"sagemaker-mlflow:{action}" for action in sorted(actions)]


def _endpoints() -> Iterator[dict[str, str]]:
    with (REPOSITORY_ROOT / "schemas" / "endpoints.tsv").open(encoding="utf-8", newline="") as lines:
        yield from csv.DictReader(lines, delimiter="\t")
