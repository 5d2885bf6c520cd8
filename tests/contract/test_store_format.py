# SPDX-License-Identifier: Apache-2.0
"""The version of the store's format: no release reads what it can't, and a newer declaration is never taken back."""

import datetime as dt
import subprocess
from pathlib import Path
from typing import Any

import pytest

from bridge.bootstrap.startup_checks import check_store
from bridge.errors import EX_CONFIG, CannotStart
from bridge.redis_store import keys
from bridge.redis_store.client import read_durability
from bridge.redis_store.outbox import RedisOutbox, connect
from bridge.redis_store.store_format import (
    NEWEST_READABLE,
    OLDEST_READABLE,
    READS_FROM,
    WRITTEN_BY,
    StoreFormat,
    declare_format,
    read_format,
)
from tests.servers import clean_environ, free_port, redis_at, running, script

OURS = StoreFormat(written_by=WRITTEN_BY, reads_from=READS_FROM)
NEWER = {"written_by": NEWEST_READABLE + 2, "reads_from": NEWEST_READABLE + 1}
SENTENCE = (
    f"its data needs format {NEWEST_READABLE + 1}, and this release reads up to {NEWEST_READABLE}: run the release"
)


def test_a_release_reads_what_it_writes() -> None:
    assert OLDEST_READABLE <= READS_FROM <= WRITTEN_BY <= NEWEST_READABLE


def test_an_empty_store_has_no_format_until_a_process_declares_it(client: Any, outbox: RedisOutbox) -> None:
    before = read_format(client)
    outbox.declare_format()

    assert (before, read_format(client)) == (None, OURS)


def test_a_newer_format_that_this_release_can_read_is_not_taken_back(client: Any) -> None:
    client.zadd(keys.FORMAT, {"written_by": WRITTEN_BY + 5, "reads_from": READS_FROM})

    declare_format(client)

    stored = read_format(client)
    assert stored == StoreFormat(written_by=WRITTEN_BY + 5, reads_from=READS_FROM)
    assert stored.fault is None


def test_a_store_that_this_release_can_not_read_is_refused(client: Any, outbox: RedisOutbox) -> None:
    client.zadd(keys.FORMAT, NEWER)

    assert any(fault.startswith(SENTENCE) for fault in read_durability(client).faults)
    with pytest.raises(CannotStart, match="this release reads up to") as caught:
        check_store(outbox, lambda _: None)
    assert caught.value.exit_status == EX_CONFIG
    assert read_format(client) == StoreFormat(**NEWER)


def test_a_store_that_is_too_old_is_refused() -> None:
    fault = StoreFormat(written_by=OLDEST_READABLE - 1, reads_from=OLDEST_READABLE - 1).fault

    assert fault
    assert "run the releases in between first" in fault


@pytest.mark.parametrize("program", ["mlflow-bridge-api", "mlflow-bridge-worker"])
def test_a_process_over_a_store_that_it_can_not_read_ends_with_one_sentence(program: str, short_dir: Path) -> None:
    store, url = redis_at(short_dir / f"newer-{program}")
    with running(store):
        connect(url, timeout=dt.timedelta(seconds=5), connections=1).zadd(keys.FORMAT, NEWER)
        environ = {"BRIDGE_STORE_URL": url, "BRIDGE_UPSTREAM": "http://127.0.0.1:9", "BRIDGE_PORT": str(free_port())}
        ended = subprocess.run(
            [script(program)], env=clean_environ() | environ, capture_output=True, text=True, timeout=60, check=False
        )

    assert ended.returncode == EX_CONFIG
    [line] = ended.stderr.splitlines()
    assert SENTENCE in line
