# SPDX-License-Identifier: Apache-2.0
"""The promises under fire: clients log while something goes wrong, then every write is looked for in MLflow itself."""

from collections.abc import Callable

import pytest

from bridge.config.parsers import duration
from bridge.redis_store.keys import writes
from bridge.redis_store.outbox import connect
from tests.amounts import amount
from tests.faults.evidence import gather
from tests.faults.incidents import INCIDENTS, Incident, Scene
from tests.faults.load import Load, Size
from tests.faults.report import Row
from tests.faults.verdict import judge
from tests.system import System, stopwatch


@pytest.mark.parametrize(
    "incident",
    amount([each for each in INCIDENTS if not each.only_full], INCIDENTS),
    ids=lambda incident: incident.name,
)
def test_no_write_is_lost_reordered_doubled_or_falsely_accepted(
    bridge: System, incident: Incident, size: Size, report: Callable[[Row], None], *, long: bool
) -> None:
    row = put_through(bridge, incident, size, seconds=incident.long if long else incident.short)

    report(row)
    found = row.verdict
    assert (found.lost, found.inversions, found.duplicates, found.false_2xx) == (0, 0, 0, 0), found.missing
    assert found.dead == found.bad > 0
    if incident.unnoticed:
        assert found.not_2xx == 0


def test_what_is_lost_reordered_or_doubled_is_found(bridge: System) -> None:
    """The same load and the same verdict, but a store and an MLflow that somebody has tampered with."""
    run_id = bridge.create_run()
    before = len(bridge.front.calls)
    three_metrics = Size(clients=1, runs_per_client=1, pause=0.001, most_writes_per_client=3)

    with bridge.workers[0].frozen(), bridge.workers[1].frozen():
        with Load(bridge.url, [run_id], three_metrics) as load:
            load.wait_accepted(3)
        store = connect(bridge.store_url, timeout=duration("5s"), connections=1)
        first, _, third = store.lrange(writes(run_id), 0, -1)
        store.delete(writes(run_id))
        store.rpush(writes(run_id), third, first)
        store.close()
    again = load.sent()[0].body | {"timestamp": 1}
    bridge.http.post(f"{bridge.mlflow_url}/api/2.0/mlflow/runs/log-metric", json=again, timeout=30)
    bridge.drained()
    found = judge(gather(bridge, load.sent(), bridge.front.calls[before:]))

    assert (found.lost, found.inversions, found.duplicates, found.false_2xx) == (1, 1, 1, 1)


def put_through(bridge: System, incident: Incident, size: Size, *, seconds: float) -> Row:
    runs = [bridge.create_run() for _ in range(size.clients * size.runs_per_client)]
    before = len(bridge.front.calls)
    with Load(bridge.url, runs, size) as load:
        load.wait_accepted(2 * len(runs))
        incident.happen(Scene(system=bridge, load=load, seconds=seconds))
        watch = stopwatch()
        load.wait_accepted(5 * len(runs))
    bridge.drained(timeout=120)
    drained_in = watch.seconds
    evidence = gather(bridge, load.sent(), bridge.front.calls[before:])
    return Row(fault=incident.name, verdict=judge(evidence), drained_in=drained_in)
