# SPDX-License-Identifier: Apache-2.0
"""Each variant of the deployment, synthesised once and read as plain JSON."""

import functools
import json
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aws_cdk import Validations
from cdk_nag import AwsSolutionsChecks

from app import build_app

ROOT = Path(__file__).parents[3]
FEATURE_FLAGS = json.loads((ROOT / "deploy" / "cdk" / "cdk.json").read_text())["context"]
REQUIRED = {
    "certificate": "arn:aws:acm:eu-central-1:123456789012:certificate/0a1b2c3d",
    "image": f"mlflow-bridge@sha256:{'0' * 64}",
}
SERVER_ARN = "arn:aws-us-gov:sagemaker:us-gov-west-1:123456789012:mlflow-tracking-server/experiments"
APP_ARN = "arn:aws:sagemaker:eu-central-1:123456789012:mlflow-app/app-0123456789"
UPSTREAM_ROLE = "arn:aws:iam::210987654321:role/mlflow"

#: Both kinds of upstream, created and given; both images; both networks; both audiences.
VARIANTS: dict[str, dict[str, str]] = {
    "new-server": {"upstream": "tracking-server", "server_size": "Medium"},
    "new-app": {
        "upstream": "app",
        "image": "build",
        "architecture": "ARM64",
        "internet_facing": "true",
        "alarm_email": "operator@example.com",
    },
    "given-server": {
        "upstream": SERVER_ARN,
        "ui": "true",
        "vpc": "vpc-0a1b2c3d4e5f60718",
        "zones": "us-gov-west-1a,us-gov-west-1b",
        "private_subnets": "subnet-0a1b2c3d4e5f60718,subnet-0b1c2d3e4f5061728",
        "clients": "10.0.0.0/8,192.168.0.0/16",
    },
    "given-app": {
        "upstream": APP_ARN,
        "name": "other",
        "settings": json.dumps(
            {
                "BRIDGE_AUTH": "keys,sigv4",
                "BRIDGE_ASSUME_ROLE_ARN": UPSTREAM_ROLE,
            }
        ),
    },
}


@dataclass(frozen=True)
class Stack:
    """A synthesised template."""

    path: Path
    template: dict[str, Any]

    def all(self, kind: str) -> dict[str, dict[str, Any]]:
        """Return the resources of a type by their logical ids."""
        return {key: each for key, each in self.template["Resources"].items() if each["Type"] == f"AWS::{kind}"}

    def one(self, kind: str, containing: str = "") -> dict[str, Any]:
        """Return the properties of the only resource of a type, or of the only one with a text in its id."""
        (found,) = (each for key, each in self.all(kind).items() if containing in key)
        properties: dict[str, Any] = found["Properties"]
        return properties


@dataclass(frozen=True)
class Variant:
    """What synthesis wrote for one choice of parameters."""

    name: str
    out: Path
    store: Stack
    service: Stack

    @property
    def stacks(self) -> tuple[Stack, Stack]:
        return self.store, self.service

    @property
    def findings(self) -> list[str]:
        """What cdk-nag found and the stacks do not accept."""
        report = json.loads((self.out / "validation-report.json").read_text())
        return [
            f"{violation['ruleName']} {construct['constructPath']}"
            for plugin in report["pluginReports"]
            for violation in plugin["violations"]
            for construct in violation["violatingConstructs"]
        ]


@functools.cache
def synthesised(name: str) -> Variant:
    """Synthesise a variant, once."""
    out = Path(tempfile.mkdtemp(prefix=f"mlflow-bridge-{name}-"))
    _DIRECTORIES.append(out)
    app = build_app({**FEATURE_FLAGS, **REQUIRED, **VARIANTS[name]}, outdir=out)
    Validations.of(app).add_plugins(AwsSolutionsChecks(app))
    try:
        app.synth()
    except RuntimeError as error:
        # The templates are written all the same: test_lint names the findings.
        if "ValidationFailed" not in str(error):
            raise
    prefix = VARIANTS[name].get("name", "mlflow-bridge")
    return Variant(name, out, _read(out, f"{prefix}-store"), _read(out, f"{prefix}-service"))


def _read(out: Path, stack: str) -> Stack:
    path = out / f"{stack}.template.json"
    return Stack(path, json.loads(path.read_text()))


_DIRECTORIES: list[Path] = []


@pytest.fixture(scope="session", autouse=True)
def _cleanup() -> Iterator[None]:
    yield
    for path in _DIRECTORIES:
        shutil.rmtree(path)


@pytest.fixture(params=VARIANTS)
def variant(request: pytest.FixtureRequest) -> Variant:
    """Each variant in turn."""
    return synthesised(request.param)


@pytest.fixture
def server() -> Variant:
    """The default: a new tracking server, a new network, internal."""
    return synthesised("new-server")
