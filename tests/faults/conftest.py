# SPDX-License-Identifier: Apache-2.0
"""A bridge whose broker is a Redis of its own, mended before each test, and the table of what the tests found."""

import datetime as dt
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults.load import Size
from tests.faults.report import Row, table
from tests.servers import redis_at, running, wait_until
from tests.system import System, system

_ROW = "fault"
_SHORT = Size(clients=6, runs_per_client=2, pause=0.05, most_writes_per_client=1_000)
_LONG = Size(clients=8, runs_per_client=4, pause=0.1, most_writes_per_client=2_000)


@pytest.fixture(scope="module")
def besieged(mlflow_url: str, short_dir: Path) -> Iterator[System]:
    """Its leases are short, and its workers hold few lanes, so that one that is killed leaves some for the next."""
    broker, broker_url = redis_at(short_dir / "broker")
    settings = {
        "BRIDGE_BROKER_URL": broker_url,
        "BRIDGE_CONNECT_TIMEOUT": "500ms",
        "BRIDGE_READ_TIMEOUT": "1500ms",
        "BRIDGE_WORKER_CONCURRENCY": "3",
    }
    with running(broker), system(mlflow_url, short_dir / "faults", settings=settings) as running_system:
        yield running_system


@pytest.fixture
def bridge(besieged: System) -> System:
    """All of it is up and nothing waits, whatever the last test has left."""
    besieged.front.set_fault(None)
    besieged.front.clock_offset = dt.timedelta()
    for server in (besieged.store, *besieged.workers, besieged.api):
        if server.child.exit_status is not None:
            server.start()
    wait_until(lambda: besieged.ready()["status"] == "ready", timeout=60)
    return besieged


@pytest.fixture(scope="session")
def long(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--long"))


@pytest.fixture(scope="session")
def size(*, long: bool) -> Size:
    return _LONG if long else _SHORT


@pytest.fixture
def report(request: pytest.FixtureRequest) -> Callable[[Row], None]:
    """Adds a row to the table that ends the session."""
    return lambda row: request.node.user_properties.append((_ROW, row.cells()))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reports = [each for state in ("passed", "failed") for each in terminalreporter.stats.get(state, [])]
    rows = [value for each in reports for name, value in each.user_properties if name == _ROW]
    if rows:
        terminalreporter.section("what became of every write")
        for line in table(rows):
            terminalreporter.write_line(line)
