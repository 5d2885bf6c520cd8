# SPDX-License-Identifier: Apache-2.0
"""What `bridge.auth.experiment_scope.ExperimentMemory` promises."""

from typing import Any

from bridge.redis_store import keys
from bridge.redis_store.run_lookups import RedisExperimentMemory
from tests.factories import RUN


def test_where_something_is_is_remembered_for_a_day(client: Any) -> None:
    memory = RedisExperimentMemory(client)

    assert memory.experiment_of(RUN) is None
    memory.remember(RUN, "7")
    memory.remember("run:n", "8")
    assert (memory.experiment_of(RUN), memory.experiment_of("run:n")) == ("7", "8")
    assert 86_000 < client.ttl(keys.experiment(RUN)) <= 86_400
