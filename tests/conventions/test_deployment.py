# SPDX-License-Identifier: Apache-2.0
"""What starts the bridge elsewhere than on a laptop agrees with the code and with each other."""

import dataclasses
import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import yaml

from bridge.config.settings import Settings, variable
from bridge.telemetry.metric_catalogue import CATALOGUE

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
PROCFILE = dict(line.split(": ", 1) for line in (ROOT / "Procfile").read_text().splitlines() if line)
DOCKERFILE = (ROOT / "Dockerfile").read_text()
SCRIPTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
VARIABLES = {variable(field) for field in dataclasses.fields(Settings)}

METRICS = {metric.name for metric in CATALOGUE}

# The keys of a service that the Compose specification knows and this file may use.
SERVICE_KEYS = {
    *("build", "image", "restart", "init", "environment", "stop_grace_period", "command", "ports", "healthcheck"),
    *("depends_on", "deploy", "volumes"),
}


def test_compose_is_well_formed() -> None:
    assert {key for key in COMPOSE if not key.startswith("x-")} == {"services", "volumes"}
    for name, service in COMPOSE["services"].items():
        assert set(service) <= SERVICE_KEYS, name
        assert "image" in service, name
        assert set(service.get("depends_on", {})) <= set(COMPOSE["services"]), name
        for mount in service.get("volumes", []):
            assert mount.split(":")[0] in COMPOSE["volumes"], name
        for dependency, condition in service.get("depends_on", {}).items():
            assert condition == {"condition": "service_healthy"}
            assert "healthcheck" in COMPOSE["services"][dependency]


def test_compose_and_procfile_run_the_same_processes() -> None:
    assert {name: service["command"] for name, service in COMPOSE["services"].items() if name in PROCFILE} == {
        name: [command] for name, command in PROCFILE.items()
    }
    assert set(PROCFILE.values()) <= set(SCRIPTS)


def test_every_setting_that_is_named_exists() -> None:
    text = DOCKERFILE + (ROOT / "docker-compose.yml").read_text()

    assert set(re.findall(r"BRIDGE_[A-Z_]+", text)) <= VARIABLES


def test_the_store_of_compose_is_durable_and_never_evicts() -> None:
    command = " ".join(COMPOSE["services"]["store"]["command"])

    assert "--appendonly yes --appendfsync always" in command
    assert "--maxmemory-policy noeviction" in command
    assert COMPOSE["services"]["store"]["volumes"]


def test_the_image_installs_only_what_is_locked_and_runs_as_nobody_special() -> None:
    installs = re.findall(r"pip install[^\n]*-r (\S+)", DOCKERFILE)

    assert installs == ["requirements/production.txt", "requirements/build.txt"]
    assert DOCKERFILE.count("--require-hashes") == 2
    assert re.search(r"^USER 10001:10001$", DOCKERFILE, re.MULTILINE)
    for source in re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.MULTILINE):
        assert all((ROOT / path).exists() for path in source.split())


def test_a_stop_is_given_longer_than_the_bridge_takes_for_it() -> None:
    grace = {field.name: field.metadata["default"] for field in dataclasses.fields(Settings)}["shutdown_timeout"]

    assert int(COMPOSE["x-bridge"]["stop_grace_period"].rstrip("s")) > int(grace.rstrip("s"))


def _texts(directory: str) -> dict[str, str]:
    """Return the text of each file that the repository has, or is about to have, below a directory."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", directory]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return {name: path.read_text() for name in listed.split("\0") if name and (path := ROOT / name).is_file()}


def test_every_metric_that_deployments_name_is_in_the_catalogue() -> None:
    named = {
        (name, re.sub("_(bucket|sum|count)$", "", metric))
        for name, text in _texts("deploy").items()
        for metric in re.findall(r"mlflow_bridge_[a-z]\w*", text)
    }

    assert {metric for _, metric in named} >= {"mlflow_bridge_workers", "mlflow_bridge_oldest_due_seconds"}
    assert {use for use in named if use[1] not in METRICS} == set()


def test_the_chart_is_for_this_version() -> None:
    chart = yaml.safe_load((ROOT / "deploy/helm/mlflow-bridge/Chart.yaml").read_text())

    assert chart["appVersion"] == tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]


def test_every_setting_that_the_chart_names_exists() -> None:
    named = {
        (name, setting)
        for name, text in _texts("deploy/helm").items()
        for setting in re.findall(r"BRIDGE_[A-Z]+(?:_[A-Z]+)*", text)
    }

    assert {setting for _, setting in named} >= {"BRIDGE_UPSTREAM", "BRIDGE_STORE_URL", "BRIDGE_SHUTDOWN_TIMEOUT"}
    assert {use for use in named if use[1] not in VARIABLES} == set()
