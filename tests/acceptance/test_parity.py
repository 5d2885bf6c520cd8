# SPDX-License-Identifier: Apache-2.0
"""The bridge judges thousands of requests, good and bad, as a real MLflow server does, and in its words."""

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings

from schemas.endpoints import QUEUED
from schemas.write import Op
from tests.acceptance.parity_absent import requests_without
from tests.acceptance.parity_bodies import Request, requests_for
from tests.acceptance.parity_difference import Difference
from tests.acceptance.parity_known import KNOWN
from tests.acceptance.parity_sides import Sides, sides
from tests.amounts import amount
from tests.servers import Server

CALLS = [Op(each.op) for each in QUEUED if each.lane == "run" and each.op != Op.LINK_TRACES]


@pytest.fixture(scope="module")
def both(redis_server: tuple[Server, str], mlflow_url: str) -> Iterator[Sides]:
    with sides(redis_server[1], mlflow_url) as both:
        yield both


@pytest.mark.parametrize("op", CALLS)
def test_a_request_is_judged_as_mlflow_judges_it(both: Sides, op: Op) -> None:
    @settings(
        max_examples=amount(40, 260),
        deadline=None,
        derandomize=True,
        print_blob=True,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
    )
    @given(requests_for(op))
    def judge(request: Request) -> None:
        seen = both.ask(request)
        assert seen.agree or any(known.holds(seen) for known in KNOWN), seen

    judge()


#: What the bridge completes, and MLflow refuses to go without.
COMPLETED = {
    Op.LOG_METRIC: {"timestamp"},
    Op.LOG_BATCH: {"metrics.0.timestamp", "metrics.1.timestamp"},
}


@pytest.mark.parametrize("op", CALLS)
def test_a_request_that_lacks_any_one_of_its_fields_is_judged_as_mlflow_judges_it(both: Sides, op: Op) -> None:
    seen = {path: both.ask(request) for path, request in requests_without(op)}

    differ = {path for path, each in seen.items() if not each.agree}
    assert differ == COMPLETED.get(op, set()), {path: seen[path] for path in differ}
    assert {seen[path].ours.status for path in differ} <= {200}
    assert all("Missing value for required parameter" in seen[path].theirs.message for path in differ)


@pytest.mark.parametrize("known", KNOWN, ids=lambda known: known.reason)
def test_each_known_difference_is_still_one(both: Sides, known: Difference) -> None:
    seen = both.ask(known.example)

    assert not seen.agree, seen
    assert [each.reason for each in KNOWN if each.holds(seen)] == [known.reason], seen
