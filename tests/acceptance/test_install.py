# SPDX-License-Identifier: Apache-2.0
"""Locks install as they are, whatever else the index has: into a real environment, from an index on disk."""

import hashlib
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers import clean_environ

#: Environments and languages of their own.
pytestmark = pytest.mark.full


WHEEL = "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
REQUIREMENTS = Path(__file__).parents[2] / "requirements"


class Index:
    """A directory of wheels, and locks for the installer beside a copy of it."""

    def __init__(self, directory: Path) -> None:
        self.wheels = directory / "wheels"
        self.locks = directory / "locks"
        self.wheels.mkdir()
        self.locks.mkdir()
        shutil.copy(REQUIREMENTS / "install.py", self.locks)
        self._python = directory / "venv" / "bin" / "python"
        # It costs three seconds: pip has to be put into it.
        subprocess.run([sys.executable, "-m", "venv", directory / "venv"], check=True)

    def wheel(self, name: str, version: str, *metadata: str) -> str:
        """Add a package; return the line that pins it."""
        path, info = self.wheels / f"{name}-{version}-py3-none-any.whl", f"{name}-{version}.dist-info"
        with zipfile.ZipFile(path, "w") as archive:
            about = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}", *metadata]
            archive.writestr(f"{info}/METADATA", "\n".join(about) + "\n")
            archive.writestr(f"{info}/WHEEL", WHEEL)
            archive.writestr(f"{info}/RECORD", f"{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n")
        return f"{name}=={version} --hash=sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"

    def install(self, *pins: str) -> "subprocess.CompletedProcess[str]":
        (self.locks / "tried.txt").write_text("\n".join(pins) + "\n")
        offline = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(self.wheels), "PIP_CONFIG_FILE": "/dev/null"}
        environ = {name: value for name, value in clean_environ().items() if not name.startswith("PIP_")} | offline
        return self._run("python", str(self.locks / "install.py"), "tried.txt", environ=environ)

    def uninstall(self) -> None:
        names = {path.name.partition("-")[0] for path in self.wheels.iterdir()}
        self._run("python", "-m", "pip", "uninstall", "--yes", "--quiet", *names, environ=clean_environ())

    def versions(self) -> dict[str, str]:
        listed = self._run("python", "-m", "pip", "list", "--format=freeze", environ=clean_environ()).stdout
        return dict(line.split("==") for line in listed.splitlines())

    def _run(self, *command: str, environ: dict[str, str]) -> "subprocess.CompletedProcess[str]":
        command = (str(self._python), *command[1:])
        return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture(scope="module")
def shared_index(tmp_path_factory: pytest.TempPathFactory) -> Index:
    return Index(tmp_path_factory.mktemp("index"))


@pytest.fixture
def index(shared_index: Index) -> Iterator[Index]:
    yield shared_index
    # What one test has installed is not the next one's.
    shared_index.uninstall()


def test_a_pin_that_is_no_longer_the_newest_still_installs_where_another_names_it_with_an_extra(index: Index) -> None:
    addon = index.wheel("addon", "1.0")
    base = index.wheel("base", "1.0", "Provides-Extra: more", 'Requires-Dist: addon; extra == "more"')
    user = index.wheel("user", "1.0", "Requires-Dist: base[more]>=1.0")
    index.wheel("base", "2.0", "Provides-Extra: more", 'Requires-Dist: addon; extra == "more"')
    index.wheel("addon", "2.0")

    done = index.install(user, base, addon)

    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.split() == ["tried.txt:", "installed"]
    assert {"base": "1.0", "addon": "1.0", "user": "1.0"}.items() <= index.versions().items()


def test_a_lock_that_lacks_a_package_fails_and_names_it(index: Index) -> None:
    lonely = index.wheel("lonely", "1.0", "Requires-Dist: absent>=3")

    done = index.install(lonely)

    assert done.returncode == 1
    assert done.stderr == "  lonely 1.0 requires absent, which is not installed.\n"


def test_a_package_that_was_tampered_with_fails_in_one_line(index: Index) -> None:
    pin = index.wheel("tampered", "1.0")

    done = index.install(re.sub("sha256:.", "sha256:0", pin) if "sha256:0" not in pin else pin.replace(":0", ":1"))

    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "HASHES" in done.stderr


#: Half a minute each; `make` has installed the other locks to get here.
@pytest.mark.parametrize("locks", [("production.txt", "tracing.txt"), ("embedded.txt", "build.txt"), ("audit.txt",)])
def test_an_environment_made_from_a_lock_alone_is_whole(tmp_path: Path, locks: tuple[str, ...]) -> None:
    subprocess.run([sys.executable, "-m", "venv", tmp_path], check=True)

    for lock in locks:
        command = [str(tmp_path / "bin" / "python"), str(REQUIREMENTS / "install.py"), lock]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
