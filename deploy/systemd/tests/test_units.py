# SPDX-License-Identifier: Apache-2.0
"""The unit files: known to systemd, hardened, and in agreement with the bridge's settings."""

import configparser
import dataclasses
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from machine import UNITS

from bridge.config.parsers import duration
from bridge.config.settings import Settings, variable

SERVICES = sorted(path.name for path in UNITS.glob("*.service"))
BRIDGE_SERVICES = [name for name in SERVICES if "@" in name]
DISTRIBUTION_UNITS = Path("/lib/systemd/system")
#: Ten times the exposure that systemd-analyze reports.
EXPOSURE_LIMIT = 15
DEFAULTS = {variable(field): field.metadata["default"] for field in dataclasses.fields(Settings)}

needs_systemd = pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed")


def _section(name: str, section: str) -> configparser.SectionProxy:
    parser = configparser.ConfigParser(strict=False, interpolation=None, delimiters=["="])
    parser.optionxform = str  # type: ignore[method-assign,assignment] - systemd's keys have capitals
    parser.read(UNITS / name)
    return parser[section]


def _example() -> dict[str, str]:
    lines = (UNITS / "bridge.env.example").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def _root_with_units(root: Path) -> Path:
    """Return a root that holds the distribution's units, ours, and a program for each ExecStart."""
    units = root / "usr" / "lib" / "systemd" / "system"
    shutil.copytree(DISTRIBUTION_UNITS, units, symlinks=True)
    (root / "lib").symlink_to("usr/lib")
    for path in [*UNITS.glob("*.service"), *UNITS.glob("*.target")]:
        shutil.copy(path, units)
        for program in re.findall(r"^ExecStart=(\S+)", path.read_text(), re.MULTILINE):
            stub = root / program.lstrip("/")
            stub.parent.mkdir(parents=True, exist_ok=True)
            stub.touch(mode=0o755)
    return units


def _verify(root: Path, *names: str) -> str:
    completed = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", f"--root={root}", *names],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    return completed.stderr


@needs_systemd
def test_systemd_knows_every_key_and_value(tmp_path: Path) -> None:
    _root_with_units(tmp_path)
    names = [name.replace("@.", "@a.") for name in SERVICES]

    # Its exit status is 0 for an unknown key.
    assert _verify(tmp_path, "mlflow-bridge.target", *names) == ""


@needs_systemd
def test_a_misspelt_key_is_noticed(tmp_path: Path) -> None:
    units = _root_with_units(tmp_path)
    unit = units / SERVICES[0]
    unit.write_text(unit.read_text().replace("KillMode=", "KillMod="))

    assert "KillMod" in _verify(tmp_path, SERVICES[0].replace("@.", "@a."))


@needs_systemd
@pytest.mark.parametrize("name", SERVICES)
def test_each_service_is_hardened(name: str) -> None:
    command = ["systemd-analyze", "security", "--offline=true", f"--threshold={EXPOSURE_LIMIT}", str(UNITS / name)]

    completed = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)

    assert completed.returncode == 0, completed.stdout[-300:]


@pytest.mark.parametrize("name", BRIDGE_SERVICES)
def test_a_stop_may_take_longer_than_the_bridge_needs(name: str) -> None:
    limit = duration(_section(name, "Service")["TimeoutStopSec"] + "s")

    for settings in (DEFAULTS, {**DEFAULTS, **_example()}):
        assert duration(settings["BRIDGE_SHUTDOWN_DELAY"]) + duration(settings["BRIDGE_SHUTDOWN_TIMEOUT"]) < limit
    assert _section(name, "Service")["KillMode"] == "mixed"


@pytest.mark.parametrize("name", BRIDGE_SERVICES)
def test_a_unit_starts_again_unless_its_settings_are_invalid(name: str) -> None:
    assert _section(name, "Service")["Restart"] == "on-failure"
    assert _section(name, "Service")["RestartPreventExitStatus"] == "78"
    assert _section(name, "Unit")["StartLimitIntervalSec"] == "0"
    assert _section(name, "Unit")["PartOf"] == "mlflow-bridge.target"


def test_the_example_names_settings_that_exist_and_no_secret() -> None:
    assert set(_example()) - {"AWS_REGION"} <= set(DEFAULTS)
    assert not re.search(r"(?i)secret_access_key|password|://[^/\s]*@", (UNITS / "bridge.env.example").read_text())


@pytest.mark.parametrize("name", ["install.sh", "hand-over.sh", "tests/boot.sh"])
def test_each_script_is_clean(name: str) -> None:
    program = shutil.which("shellcheck")
    if not program:
        pytest.skip("shellcheck is not installed")

    completed = subprocess.run([program, UNITS / name], capture_output=True, text=True, check=False, timeout=60)

    assert completed.stdout == ""
