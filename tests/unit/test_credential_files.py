# SPDX-License-Identifier: Apache-2.0
"""Credentials as files: each secret setting is read from the file that names it, and is never set twice."""

import dataclasses
from pathlib import Path

import pytest
from click.testing import CliRunner

from bridge.cli import main
from bridge.config.environment import read_settings, resolve_credentials
from bridge.config.settings import CREDENTIALS, Settings, variable
from bridge.doctor.configuration import read_configuration, secrets_in, with_credentials
from bridge.errors import EX_CONFIG, InvalidSettings

REQUIRED = {"BRIDGE_UPSTREAM": "http://mlflow.example", "BRIDGE_STORE_URL": "redis://store.example"}
VALUES = {
    "store_url": "redis://:pa55word@store.example",
    "broker_url": "redis://:pa55word@broker.example",
    "proxy": "http://user:pa55word@proxy.example:3128",
    "oidc_client_secret": "pa55word",
    "encryption_keys": "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0c2U=",
}


def _faults(environ: dict[str, str]) -> list[str]:
    with pytest.raises(InvalidSettings) as caught:
        read_settings(environ)
    return str(caught.value).splitlines()


def _given_as_file(name: str, kind: str, directory: Path) -> dict[str, str]:
    """Return an environment that gives a credential as a file of this kind."""
    path = directory / f"BRIDGE_{name.upper()}"
    path.write_text(f"{VALUES[name]}\n")
    if kind == "named":
        return {f"BRIDGE_{name.upper()}_FILE": str(path)}
    return {"CREDENTIALS_DIRECTORY": str(directory)}


def test_every_credential_has_a_value_in_this_test() -> None:
    assert set(VALUES) == CREDENTIALS
    assert {variable(field) for field in dataclasses.fields(Settings)} >= {f"BRIDGE_{name.upper()}" for name in VALUES}


@pytest.mark.parametrize("kind", ["named", "directory"])
@pytest.mark.parametrize("name", VALUES)
def test_a_credential_in_a_file_is_the_same_setting(name: str, kind: str, tmp_path: Path) -> None:
    setting = f"BRIDGE_{name.upper()}"
    others = {key: text for key, text in REQUIRED.items() if key != setting}

    from_file = read_settings({**others, **_given_as_file(name, kind, tmp_path)})

    assert from_file == read_settings({**others, setting: VALUES[name]})
    assert "pa55word" not in repr(from_file)
    assert "secretsecret" not in repr(from_file)


@pytest.mark.parametrize("kind", ["named", "directory"])
@pytest.mark.parametrize("name", VALUES)
def test_a_credential_that_is_set_twice_is_refused(name: str, kind: str, tmp_path: Path) -> None:
    setting = f"BRIDGE_{name.upper()}"

    [fault] = _faults({**REQUIRED, setting: VALUES[name], **_given_as_file(name, kind, tmp_path)})

    assert fault.startswith(f"{setting} and ")
    assert fault.endswith(" exclude each other: set one")
    assert VALUES[name] not in fault


def test_two_files_of_one_credential_are_refused(tmp_path: Path) -> None:
    files = {**_given_as_file("store_url", "named", tmp_path), **_given_as_file("store_url", "directory", tmp_path)}

    [fault] = _faults({"BRIDGE_UPSTREAM": "http://mlflow.example", **files})

    assert fault == ("BRIDGE_STORE_URL_FILE and $CREDENTIALS_DIRECTORY/BRIDGE_STORE_URL exclude each other: set one")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "a file that this process can read (No such file or directory)"),
        (b"\xff", "a file that this process can read (it is not UTF-8)"),
        (b" \n", "a file that is not empty"),
    ],
)
def test_a_file_that_can_not_be_used_is_one_fault(content: bytes | None, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "store-url"
    if content is not None:
        path.write_bytes(content)

    [fault] = _faults({"BRIDGE_UPSTREAM": "http://mlflow.example", "BRIDGE_STORE_URL_FILE": str(path)})

    assert fault == f"BRIDGE_STORE_URL_FILE='{path}' must be {reason}"


def test_a_wrong_value_in_a_file_is_refused_without_its_password(tmp_path: Path) -> None:
    (tmp_path / "BRIDGE_STORE_URL").write_text("http://:pa55word@store.example")

    [fault] = _faults({"BRIDGE_UPSTREAM": "http://mlflow.example", "CREDENTIALS_DIRECTORY": str(tmp_path)})

    assert fault.startswith("BRIDGE_STORE_URL='http://***@store.example' must be a URL")


def test_only_credentials_may_be_files_and_an_empty_name_is_none() -> None:
    assert _faults({**REQUIRED, "BRIDGE_PORT_FILE": "/port"}) == ["BRIDGE_PORT_FILE: there is no such setting"]
    assert read_settings({**REQUIRED, "BRIDGE_STORE_URL_FILE": ""}) == read_settings(REQUIRED)


def test_a_resolved_environment_is_read_as_it_is_by_child_processes(tmp_path: Path) -> None:
    environ = {"PATH": "/bin", **_given_as_file("store_url", "directory", tmp_path)}

    resolved = resolve_credentials(environ)

    assert resolved == {"PATH": "/bin", "BRIDGE_STORE_URL": VALUES["store_url"]}
    assert resolve_credentials(resolved) == resolved


def test_a_command_on_the_host_refuses_a_file_that_it_can_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BRIDGE_STORE_URL_FILE", str(tmp_path / "none"))

    ended = CliRunner().invoke(main, ["keys", "list"])

    assert ended.exit_code == EX_CONFIG
    assert f"BRIDGE_STORE_URL_FILE='{tmp_path}/none' must be a file" in ended.output


def test_the_doctor_reads_credentials_in_files_and_names_one_that_it_can_not_read(tmp_path: Path) -> None:
    environ = {**REQUIRED, **_given_as_file("encryption_keys", "named", tmp_path)}
    unreadable = {"BRIDGE_UPSTREAM": "http://mlflow.example", "BRIDGE_STORE_URL_FILE": str(tmp_path / "none")}

    readable = read_configuration(with_credentials(environ))
    broken = read_configuration(with_credentials(unreadable))

    assert readable.result.verdict == "ok"
    assert VALUES["encryption_keys"] in secrets_in(with_credentials(environ))
    assert f"BRIDGE_STORE_URL_FILE='{tmp_path}/none'" in str(broken.result)
    assert broken.settings is not None
    assert broken.unnamed == {"store", "broker"}
