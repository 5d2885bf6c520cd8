# SPDX-License-Identifier: Apache-2.0
"""A parameter that can't work ends with a sentence before anything is deployed."""

import json
import re
from pathlib import Path

import pytest
from conftest import REQUIRED, ROOT

from parameters import ParameterError, known_settings, read_parameters

VALID = {**REQUIRED, "upstream": "app"}


def test_defaults_need_three_parameters() -> None:
    parameters = read_parameters(VALID)

    assert parameters.name == "mlflow-bridge"
    assert not parameters.internet_facing
    assert parameters.client_blocks == ("10.20.0.0/16",)


def test_values_from_the_command_line_and_from_a_file_are_the_same() -> None:
    text = {**VALID, "ui": "true", "api_min": "3", "clients": "10.0.0.0/8"}

    assert read_parameters(text) == read_parameters({**VALID, "ui": True, "api_min": 3, "clients": "10.0.0.0/8"})


def test_a_file_holds_parameters_and_the_command_line_has_precedence(tmp_path: Path) -> None:
    file = tmp_path / "production.json"
    file.write_text(json.dumps({**VALID, "api_min": 4, "clients": ["10.0.0.0/8"], "settings": {"BRIDGE_AUTH": "jwt"}}))

    parameters = read_parameters({"file": str(file), "api_min": "5"})

    assert (parameters.api_min, parameters.clients) == (5, ("10.0.0.0/8",))
    assert parameters.settings == {"BRIDGE_AUTH": "jwt"}


@pytest.mark.parametrize("text", ["", "[]", "{"])
def test_a_file_that_can_not_be_read_is_named(tmp_path: Path, text: str) -> None:
    file = tmp_path / "production.json"
    file.write_text(text)

    with pytest.raises(ParameterError, match=file.name):
        read_parameters({"file": str(file)})


def test_the_example_is_valid_once_it_is_filled_in() -> None:
    example = ROOT / "deploy" / "cdk" / "example.json"

    assert set(json.loads(example.read_text())) == {"certificate", "image", "upstream"}
    assert read_parameters({"file": str(example)}).upstream == "tracking-server"


def test_the_file_in_the_documentation_is_valid() -> None:
    page = (ROOT / "deploy" / "README.md").read_text()
    (text,) = re.findall(r"^```json\n(.*?)^```", page, re.MULTILINE | re.DOTALL)

    assert read_parameters(json.loads(text)).client_blocks == ("10.0.0.0/8", "192.168.0.0/16")


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"certificate": "arn:aws:iam::1:server-certificate/x"}, "certificate"),
        ({"image": "mlflow-bridge:latest"}, "image"),
        ({"upstream": "arn:aws:s3:::bucket"}, "upstream"),
        ({"upstream": "server"}, "upstream"),
        ({"name": "Not-lower"}, "name"),
        ({"clients": "10.0.0.1/8"}, "CIDR"),
        ({"vpc": "vpc-0a"}, "zones"),
        ({"zones": "a,b"}, "zones"),
        ({"store_node": "cache.t4g.medium"}, "store_node"),
        ({"server_size": "Huge"}, "server_size"),
        ({"api_min": "11"}, "api_min"),
        ({"worker_min": "0"}, "worker_min"),
        ({"worker_min": "many"}, "worker_min"),
        ({"ui": "yes"}, "ui"),
        ({"architecture": "RISCV"}, "architecture"),
        ({"settings": "BRIDGE_AUTH=keys"}, "settings"),
        ({"settings": json.dumps({"BRIDGE_AUHT": "keys"})}, "BRIDGE_AUHT"),
        ({"certificates": "x"}, "certificates"),
    ],
    ids=lambda value: json.dumps(value) if isinstance(value, dict) else "",
)
def test_what_can_not_work_is_refused_by_name(change: dict[str, str], problem: str) -> None:
    with pytest.raises(ParameterError, match=problem):
        read_parameters({**VALID, **change})


@pytest.mark.parametrize("name", ["certificate", "image", "upstream"])
def test_what_is_missing_is_named(name: str) -> None:
    with pytest.raises(ParameterError, match=f"missing parameter: {name}"):
        read_parameters({key: value for key, value in VALID.items() if key != name})


def test_the_settings_are_read_from_the_documentation() -> None:
    assert len(known_settings()) > 50
    assert {"BRIDGE_UPSTREAM", "BRIDGE_STORE_URL"} <= known_settings()
