# SPDX-License-Identifier: Apache-2.0
"""Whatever the order of events, the invariants of the outbox hold: on each kind of store, and with several masters."""

from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.amounts import amount
from tests.contract.conftest import client_of
from tests.contract.outbox_machine import OutboxMachine

#: Each step looks at everything, over a real connection; so a few long stories rather than many short ones.
EXAMPLES = {"valkey": amount(5, 25), "cluster": amount(3, 12), "fakeredis": amount(2, 6)} | amount({}, {"redis": 6})


@pytest.mark.parametrize("kind", EXAMPLES)
def test_any_interleaving_keeps_the_invariants(kind: str, request: pytest.FixtureRequest) -> None:
    client = client_of(kind, request)

    class Machine(OutboxMachine):
        @staticmethod
        def make_client() -> Any:
            client.flushall()
            return client

    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=EXAMPLES[kind],
            stateful_step_count=40,
            deadline=None,
            # A failure is told at once; to have it made shorter takes minutes, and is for whoever looks into it.
            phases=(Phase.explicit, Phase.reuse, Phase.generate),
            suppress_health_check=list(HealthCheck),
        ),
    )
