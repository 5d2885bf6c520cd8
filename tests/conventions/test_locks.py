# SPDX-License-Identifier: Apache-2.0
"""The lock files are complete, so that they install without resolving, on any day: `requirements/install.py`."""

import re
from importlib.metadata import Distribution, distributions
from itertools import chain
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
LOCKS = ROOT / "requirements"
#: The locks that are installed together, and the environment in which their packages are.
SETS = {
    "production": (("production.txt",), ROOT / ".venv"),
    "tracing": (("production.txt", "tracing.txt"), ROOT / ".venv"),
    "local": (("local.txt", "build.txt", "embedded.txt"), ROOT / ".venv"),
    "dev": (("local.txt", "build.txt", "embedded.txt", "dev.txt"), ROOT / ".venv"),
    "old-client": (("old-client.txt",), ROOT / ".venv" / "old-client"),
}
PIN = re.compile(r"^([\w.-]+)==([^ ;\\]+)(?: *; *([^\\]+))?", re.MULTILINE)


def pinned(*names: str) -> dict[str, str]:
    """Return the versions that the locks pin here."""
    pins = [found for name in names for found in PIN.findall((LOCKS / name).read_text())]
    return {
        canonicalize_name(name): version
        for name, version, marker in pins
        if not marker or Requirement(f"x ; {marker.strip()}").marker.evaluate()  # type: ignore[union-attr] # it has one
    }


def installed(environment: Path) -> dict[str, Distribution]:
    [packages] = environment.glob("lib/python3.*/site-packages")
    return {canonicalize_name(each.name): each for each in distributions(path=[str(packages)])}


def needs(requirements: list[str], extras: set[str]) -> list[Requirement]:
    """Return what applies here, with these extras."""
    read = map(Requirement, requirements)
    return [
        each
        for each in read
        if not each.marker or any(each.marker.evaluate({"extra": extra}) for extra in {"", *extras})
    ]


@pytest.mark.parametrize("name", SETS)
def test_a_lock_holds_all_that_its_packages_need_in_versions_that_they_accept(name: str) -> None:
    locks, environment = SETS[name]
    pins, there = pinned(*locks), installed(environment)
    asked: dict[str, set[str]] = {package: set() for package in pins}
    waiting = list(pins)
    missing = []
    while waiting:
        package = waiting.pop()
        for need in needs(there[package].requires or [], asked[package]):
            other = canonicalize_name(need.name)
            if other not in pins or not need.specifier.contains(pins[other], prereleases=True):
                missing.append(f"{package} needs {need}")
            elif not need.extras <= asked[other]:
                asked[other] |= need.extras
                waiting.append(other)

    assert len(pins) > 5
    assert missing == []
    assert {package: there[package].version for package in pins} == pins


def test_all_locks_pin_the_same_version_of_a_package() -> None:
    locks = [
        pinned(path.name)
        for path in LOCKS.glob("*.txt")
        if path.name not in ("old-client.txt", "old-server.txt", "audit.txt")
    ]
    versions: dict[str, set[str]] = {}
    for package, version in chain.from_iterable(lock.items() for lock in locks):
        versions.setdefault(package, set()).add(version)

    assert {package: found for package, found in versions.items() if len(found) > 1} == {}
