# SPDX-License-Identifier: Apache-2.0
"""Clients that begin and never come to an end: who has not sent a head in time, or sends nothing more, is cut off.

They begin with the first attack on the api (`conftest.unfinished`), so that their time passes while others are tested.
"""

import pytest

from tests.guarded_api import HEALTH, IDLE, GuardedApi, Unfinished
from tests.servers import wait_until

#: What the server waits for a head, and some seconds for a machine that is busy.
PATIENCE = IDLE + 20


@pytest.mark.full
def test_who_does_not_finish_what_he_begins_is_cut_off(
    guarded_alone: GuardedApi, unfinished: dict[str, Unfinished]
) -> None:
    wait_until(lambda: all(each.ended for each in unfinished.values()), timeout=PATIENCE)

    assert {name: each.received[9:12] for name, each in unfinished.items() if each.received} == {
        "no second request": b"200",
        "half a second request": b"200",
    }
    assert guarded_alone.ask(HEALTH).statuses == [200]
