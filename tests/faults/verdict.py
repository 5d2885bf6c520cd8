# SPDX-License-Identifier: Apache-2.0
"""Judges the evidence: was anything lost, reordered, doubled, or said to be accepted that was not?"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from tests.faults.entities import Entity, carried
from tests.faults.evidence import Arrival, Evidence
from tests.faults.load import Sent, is_bad


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What came of all that was sent."""

    accepted: int
    #: Answers with another status and connections that broke; the client sent the write again.
    not_2xx: int
    upstream_calls: int
    #: Calls that brought MLflow something that it had already taken.
    redeliveries: int
    dead: int
    #: How many of the accepted writes MLflow was meant to refuse.
    bad: int
    #: Accepted, and neither in MLflow nor dead.
    lost: int
    #: Metrics that MLflow took for the first time after one that was accepted later.
    inversions: int
    #: Values that stand in MLflow's history of a metric besides the one that was logged for the step.
    duplicates: int
    #: Accepted, and neither in MLflow nor dead nor pending.
    false_2xx: int
    #: What the bridge said of each write that is lost, and the write.
    missing: tuple[tuple[str, Sent], ...]


def judge(evidence: Evidence) -> Verdict:
    accepted = [sent for sent in evidence.sent if sent.told and 200 <= sent.told[-1] < 300]
    statuses = [evidence.statuses.get(sent.job_id or "", "unknown") for sent in accepted]
    missing = tuple(
        (status, sent)
        for sent, status in zip(accepted, statuses, strict=True)
        if status != "dead" and not _is_held(sent, evidence.held[sent.run_id])
    )
    return Verdict(
        accepted=len(accepted),
        not_2xx=sum(not 200 <= status < 300 for sent in evidence.sent for status in sent.told),
        upstream_calls=len(evidence.arrivals),
        redeliveries=_redeliveries(evidence.arrivals),
        dead=statuses.count("dead"),
        bad=sum(map(is_bad, accepted)),
        lost=len(missing),
        inversions=_inversions(accepted, evidence.arrivals),
        duplicates=sum(map(_duplicates, evidence.held.values())),
        false_2xx=sum(status != "pending" for status, _ in missing),
        missing=missing,
    )


def _is_held(sent: Sent, held: Counter[Entity]) -> bool:
    return all(entity in held for entity in carried(sent.call, sent.body))


def _redeliveries(arrivals: Iterable[Arrival]) -> int:
    taken: set[tuple[str, Entity]] = set()
    count = 0
    for arrival in arrivals:
        if arrival.upstream_status is not None:
            entities = {(arrival.run_id, entity) for entity in arrival.entities}
            count += not taken.isdisjoint(entities)
            taken |= entities if arrival.upstream_status == 200 else set()
    return count


def _inversions(accepted: Iterable[Sent], arrivals: Iterable[Arrival]) -> int:
    """How often a metric was taken for the first time after one of its run that was accepted later.

    A call that MLflow refused does not count as an arrival: the metrics in it are delivered by the calls that follow.
    """
    order: dict[tuple[str, Entity], int] = {}
    for sent in accepted:
        for entity in carried(sent.call, sent.body):
            order.setdefault((sent.run_id, entity), len(order))
    latest: dict[str, int] = defaultdict(lambda: -1)
    count = 0
    for arrival in arrivals:
        for entity in arrival.entities if arrival.upstream_status == 200 else ():
            place = order.pop((arrival.run_id, entity), None) if entity.kind == "metric" else None
            if place is not None:
                count += place < latest[arrival.run_id]
                latest[arrival.run_id] = max(place, latest[arrival.run_id])
    return count


def _duplicates(held: Counter[Entity]) -> int:
    """Counts by step: the load never logs two values for one."""
    values = Counter((entity.key, entity.step) for entity in held.elements() if entity.kind == "metric")
    return sum(count - 1 for count in values.values())
