# SPDX-License-Identifier: Apache-2.0
"""What starts the bridge elsewhere than on a laptop agrees with the code and with each other."""

import dataclasses
import re
import tomllib
from pathlib import Path
from typing import Any

import yaml

from bridge.config.settings import Settings, variable

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
PROCFILE = dict(line.split(": ", 1) for line in (ROOT / "Procfile").read_text().splitlines() if line)
DOCKERFILE = (ROOT / "Dockerfile").read_text()
SCRIPTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
VARIABLES = {variable(field) for field in dataclasses.fields(Settings)}

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
