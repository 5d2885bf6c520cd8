# SPDX-License-Identifier: Apache-2.0
"""A store that is too old for the scripts is refused in one sentence, at the start and by the doctor."""

import datetime as dt
from typing import Any

import pytest

from bridge.bootstrap.startup_checks import check_store
from bridge.doctor.checks import CheckStatus
from bridge.doctor.redis_checks import check_connection
from bridge.errors import CannotStart
from bridge.redis_store.client import outdated_servers
from bridge.redis_store.outbox import RedisOutbox
from tests.fakes import FakeStore

DAY = dt.timedelta(days=1)


class OldStore(FakeStore):
    """A store that says which version it is."""

    says: Any = "6.2.14"

    def info(self, section: Any = None, *_: Any, **__: Any) -> Any:
        return {"redis_version": self.says} if section == "server" else {}


@pytest.mark.parametrize("version", ["6.2.14", "6.0.16", "5.0.0"])
def test_an_older_redis_is_refused_at_the_start(version: str) -> None:
    store = OldStore()
    store.says = version

    with pytest.raises(CannotStart) as refused:
        check_store(RedisOutbox(store, retention=DAY, idempotency_ttl=DAY), warn=print)

    assert str(refused.value).endswith(f"it is Redis {version}: use Redis or Valkey 7.0 or newer")


def test_an_older_redis_fails_the_doctor_whichever_setting_names_it() -> None:
    found = check_connection(OldStore, "redis://old:6379", "BRIDGE_STORE_URL")

    assert (found.verdict, found.found) == (CheckStatus.FAIL, "redis://old:6379 is Redis 6.2.14")
    assert found.fix == ("use Redis or Valkey 7.0 or newer in BRIDGE_STORE_URL",)


@pytest.mark.parametrize("version", ["7.0.0", "7.2.4", "8.1.8", "10.0.1", "7.0", "255.255.255", "", None])
def test_a_newer_one_and_one_that_does_not_say_are_used(version: str | None) -> None:
    store = OldStore()
    store.says = version

    assert outdated_servers(store) == []
