# SPDX-License-Identifier: Apache-2.0
"""Servers that tests share: each is started once a session, on a free port, and stopped at its end."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.amounts import choose
from tests.servers import Server, mlflow_at, redis_at, redis_cluster_at, running
from tests.system import System, system

#: The slowest first, so that none of them is what the others wait for at the end.
_ORDER = ("faults", "acceptance", "contract", "integration", "unit", "docs", "conventions")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="put the bridge through each fault at length: tests/faults")
    parser.addoption("--full", action="store_true", help="generate all examples, not only some: tests/amounts.py")


def pytest_configure(config: pytest.Config) -> None:
    choose(full=_is_full(config))


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not _is_full(config):
        only_full = [item for item in items if item.get_closest_marker("full")]
        config.hook.pytest_deselected(items=only_full)
        items[:] = [item for item in items if item not in only_full]
    tests = Path(__file__).parent
    items.sort(key=lambda item: _ORDER.index(item.path.relative_to(tests).parts[0]))


def _is_full(config: pytest.Config) -> bool:
    return bool(config.getoption("--full") or config.getoption("--long"))


@pytest.fixture(scope="session")
def short_dir() -> Iterator[Path]:
    """A directory whose path is short enough for a socket's."""
    with tempfile.TemporaryDirectory(prefix="bridge-", ignore_cleanup_errors=True) as directory:
        yield Path(directory)


@pytest.fixture(scope="session")
def mlflow_url(short_dir: Path) -> Iterator[str]:
    """A real MLflow server."""
    server, url = mlflow_at(short_dir / "mlflow")
    with running(server):
        yield url


@pytest.fixture(scope="session")
def redis_server(short_dir: Path) -> Iterator[tuple[Server, str]]:
    """A real Valkey, as durable as the embedded store."""
    server, url = redis_at(short_dir / "redis")
    with running(server):
        yield server, url


@pytest.fixture(scope="session")
def oldest_redis(short_dir: Path) -> Iterator[str]:
    """A real Redis, as old as may be: the one of this machine."""
    program = shutil.which("redis-server")
    if not program:
        assert "CI" not in os.environ, "CI installs a redis-server"
        pytest.skip("the oldest Redis that the bridge runs on is tried where redis-server is installed")
    server, url = redis_at(short_dir / "oldest", program=Path(program))
    with running(server):
        yield url


@pytest.fixture(scope="session")
def redis_cluster(short_dir: Path) -> Iterator[str]:
    """A real Redis in cluster mode, with three masters."""
    with redis_cluster_at(short_dir / "cluster") as url:
        yield url


@pytest.fixture(scope="session")
def shared_system(mlflow_url: str, short_dir: Path) -> Iterator[System]:
    with system(mlflow_url, short_dir / "system") as running_system:
        yield running_system


@pytest.fixture
def bridge(shared_system: System) -> Iterator[System]:
    """A whole bridge of real processes; what went wrong upstream in the last test is over."""
    shared_system.front.set_fault(None)
    yield shared_system
    shared_system.front.set_fault(None)
