# SPDX-License-Identifier: Apache-2.0
"""Rules about the whole tree: what it is made of, how long its parts are, and what importing it does."""

import ast
import importlib.util
import pkgutil
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ["api", "bridge", "schemas", "workers"]
PYTHON = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
LUA = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.lua"))

SPDX = "SPDX-License-Identifier: Apache-2.0"
LONGEST_FILE = 400
LONGEST_FUNCTION = 40

#: Hosts that packages come from. Which of them is used is the business of the machine that installs, not of the tree.
#: The brackets keep this line from naming one itself.
REGISTRIES = re.compile("pypi[.]org|python[h]osted|debian[.]org|npm[j]s")

_IMPORT_ALL = """
import importlib, sys, threading

def hook(event, args):
    if event.startswith("socket."):
        frame, files = sys._getframe(1), []
        while frame:
            files.append(frame.f_code.co_filename.replace("\\\\", "/"))
            frame = frame.f_back
        # On import, urllib3 binds one socket to see whether the machine has IPv6.
        if not any(file.endswith("urllib3/util/connection.py") for file in files):
            sys.exit(f"{event}{args} from {files[0]}")
    elif event in ("subprocess.Popen", "os.fork", "os.posix_spawn", "os.system"):
        sys.exit(f"{event}{args}")

sys.addaudithook(hook)
for name in sys.argv[1:]:
    importlib.import_module(name)
threads = [thread.name for thread in threading.enumerate() if thread is not threading.main_thread()]
sys.exit(f"threads were started: {threads}" if threads else 0)
"""


def _name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def _modules() -> Iterator[str]:
    for package in PACKAGES:
        yield package
        yield from (found.name for found in pkgutil.walk_packages([str(ROOT / package)], f"{package}."))


def _repository_files() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    return [path for name in listed.split("\0") if name and (path := ROOT / name).is_file()]


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_of_ours_is_this_checkouts(package: str) -> None:
    spec = importlib.util.find_spec(package)

    assert spec
    assert spec.origin == str(ROOT / package / "__init__.py")


def test_no_other_distribution_claims_a_package_of_ours() -> None:
    ours = {name for package in PACKAGES for name in (package, f"{package}.py")}

    claims = {
        (distribution.name, file.parts[0])
        for distribution in distributions()
        for file in distribution.files or []
        if file.parts[0] in ours
    }

    assert {claim for claim in claims if claim[0] != "mlflow-bridge"} == set()


def test_no_file_is_longer_than_can_be_read_at_once() -> None:
    lengths = {_name(path): len(path.read_text().splitlines()) for path in PYTHON + LUA}

    assert {name: length for name, length in lengths.items() if length > LONGEST_FILE} == {}


def test_no_function_is_longer_than_a_screen() -> None:
    lengths = {
        f"{_name(path)}:{node.name}": (node.end_lineno or 0) - node.lineno + 1
        for path in PYTHON
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }

    assert len(lengths) > len(PYTHON)
    assert {name: length for name, length in lengths.items() if length > LONGEST_FUNCTION} == {}


def test_each_file_says_in_two_lines_whose_it_is_and_what_it_is() -> None:
    assert [_name(path) for path in PYTHON if not path.read_text().startswith(f'# {SPDX}\n"""')] == []


def test_each_file_of_the_tests_names_its_licence() -> None:
    files = [path for path in (ROOT / "tests").rglob("*.py") if path.stat().st_size]

    assert [_name(path) for path in files if not path.read_text().startswith(f"# {SPDX}\n")] == []


@pytest.mark.parametrize("path", LUA, ids=_name)
def test_each_script_names_its_keys_arguments_and_result_at_its_head(path: Path) -> None:
    lines = path.read_text().splitlines()
    code_begins = next(number for number, line in enumerate(lines) if not line.startswith(("--", "#!lua")))
    head, code = "\n".join(lines[:code_begins]), "\n".join(lines[code_begins:])

    if code.startswith("local function "):
        assert re.search(r"Part of \w+", head), "what is no script by itself says which it is a part of"
    else:
        assert "-- KEYS[1] " in head
        assert "-- ARGV[1] " in head
        assert re.search(r"^-- Returns ", head, flags=re.MULTILINE)
    used = {f"{array}[{number}]" for array, number in re.findall(r"(KEYS|ARGV)\[(\d+)\]", code)}
    assert {name for name in used if name not in head} == set()


def test_importing_needs_no_environment_and_opens_no_socket_starts_no_thread_and_no_process() -> None:
    modules = sorted(_modules())
    assert "bridge.redis_store.scripts" in modules

    imported = subprocess.run(
        [sys.executable, "-W", "error", "-c", _IMPORT_ALL, *modules],
        cwd=ROOT,
        env={},
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert (imported.returncode, imported.stderr, imported.stdout) == (0, "", "")


def test_no_file_names_a_host_that_packages_come_from() -> None:
    files = _repository_files()
    assert ROOT / "pyproject.toml" in files

    naming = [path for path in files if REGISTRIES.search(path.read_text(encoding="utf-8", errors="replace"))]
    assert [_name(path) for path in naming] == []
