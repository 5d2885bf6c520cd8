# SPDX-License-Identifier: Apache-2.0
"""What reads whole templates: cdk-nag, cfn-lint, CDK's own command-line tool."""

import json
import os
import subprocess
import sys
from pathlib import Path

from conftest import REQUIRED, ROOT, VARIANTS, Variant, synthesised

CDK = ROOT / "deploy" / "cdk" / "node_modules" / "aws-cdk" / "bin" / "cdk"
CFN_LINT = Path(sys.executable).parent / "cfn-lint"
#: Rules of cfn-lint that are not followed, each with its reason.
IGNORED = {
    "W6001": "The command for the first key names subnets of the store stack.",
}
GOVCLOUD = "us-gov-west-1"


def _lint(path: Path, region: str) -> str:
    command = [str(CFN_LINT), "-r", region, "--non-zero-exit-code", "none", "-f", "parseable"]
    completed = subprocess.run(
        [*command, "-i", ",".join(IGNORED), "-t", str(path)], capture_output=True, text=True, check=True, timeout=120
    )
    return completed.stdout


def test_cdk_nag_finds_nothing_that_was_not_accepted(variant: Variant) -> None:
    assert variant.findings == []


def test_cfn_lint_finds_nothing_not_even_warnings(variant: Variant) -> None:
    region = GOVCLOUD if variant.name == "given-server" else "eu-central-1"

    assert [_lint(stack.path, region) for stack in variant.stacks] == ["", ""]


def test_an_app_can_only_be_created_where_aws_has_apps() -> None:
    assert "E3006" in _lint(synthesised("new-app").store.path, GOVCLOUD)


def test_cfn_lint_would_notice_an_action_that_iam_lacks(server: Variant, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.json"
    wrong.write_text(
        server.service.path.read_text().replace("sagemaker-mlflow:LogMetric", "sagemaker-mlflow:LogMetrics")
    )

    assert "W3037" in _lint(wrong, "eu-central-1")


def test_synthesis_asks_aws_for_nothing(variant: Variant) -> None:
    manifest = json.loads((variant.out / "manifest.json").read_text())
    stacks = [each for each in manifest["artifacts"].values() if each["type"] == "aws:cloudformation:stack"]

    assert "missing" not in manifest
    assert {stack["environment"] for stack in stacks} == {"aws://unknown-account/unknown-region"}
    assert not [stack for stack in variant.stacks if "dummy" in json.dumps(stack.template)]


def test_the_stacks_hold_no_code_of_their_own(variant: Variant) -> None:
    kinds = {each["Type"] for stack in variant.stacks for each in stack.template["Resources"].values()}

    assert not {kind for kind in kinds if kind.startswith(("AWS::Lambda", "Custom::", "AWS::CloudFormation::Custom"))}


def test_the_pinned_tool_reads_what_is_synthesised(tmp_path: Path) -> None:
    context = {**REQUIRED, **VARIANTS["new-server"]}
    arguments = [argument for name, value in context.items() for argument in ("-c", f"{name}={value}")]
    options = ["--no-lookups", "--no-notices", "--no-path-metadata", "--no-version-reporting", "--quiet"]

    completed = subprocess.run(
        [
            "node",
            str(CDK),
            "synth",
            "--app",
            f"{sys.executable} app.py",
            "--output",
            str(tmp_path),
            *options,
            *arguments,
        ],
        cwd=ROOT / "deploy" / "cdk",
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        env={**os.environ, "HOME": str(tmp_path), "AWS_EC2_METADATA_DISABLED": "true"},
    )

    assert completed.returncode == 0, completed.stderr[-2000:]
    assert (
        json.loads((tmp_path / "mlflow-bridge-store.template.json").read_text())
        == synthesised("new-server").store.template
    )


def test_a_wrong_parameter_ends_the_tool_with_one_sentence() -> None:
    completed = subprocess.run(
        [sys.executable, "app.py"],
        cwd=ROOT / "deploy" / "cdk",
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={**os.environ, "CDK_CONTEXT_JSON": json.dumps({"certificate": "x"})},
    )

    assert completed.returncode == 1
    assert completed.stderr.strip().splitlines()[-1].startswith("mlflow-bridge: missing parameter: image, upstream")
