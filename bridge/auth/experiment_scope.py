# SPDX-License-Identifier: Apache-2.0
"""Finds out whether something is within certain experiments, for clients who are limited to these.

What has been found out once is remembered for a while, in this process and in the store: a run never changes its
experiment. What is remembered only ever allows. What it would forbid is looked up again, so that the answer, and the
time that it takes, are the same for what is in another experiment and for what is nowhere.
"""

import datetime as dt
import threading
from collections import OrderedDict
from collections.abc import Container
from contextlib import suppress
from typing import Any, Protocol
from urllib.parse import quote

import msgspec

from bridge.errors import ExperimentUnknown, StoreUnavailable
from bridge.outbox import RunNames
from bridge.process.clock import Clock
from bridge.upstream import NO_JOBS, Call, Delivered, Refused, Unavailable
from bridge.upstream.sender import UpstreamSender
from schemas.bodies.references import Kind, Reference

_MOST_REMEMBERED = 10_000
_LASTS = dt.timedelta(hours=1)


class ExperimentMemory(Protocol):
    """What the store remembers. All methods raise ``StoreUnavailable`` when the store can't do its part."""

    def experiment_of(self, lane: str) -> str | None:
        """Return the id of the experiment that the subject of a lane is in, None if that is not remembered."""
        ...

    def remember(self, lane: str, experiment_id: str) -> None:
        """Remember it, for a day."""
        ...


class ExperimentLookup:
    """Knows what is in which experiment. To be asked in threads: the store and upstream may take their time."""

    def __init__(self, *, memory: ExperimentMemory, names: RunNames, sender: UpstreamSender, clock: Clock) -> None:
        self._memory = memory
        self._names = names
        self._sender = sender
        self._clock = clock
        self._seen: OrderedDict[Reference, tuple[dt.timedelta, str]] = OrderedDict()
        self._seeing = threading.Lock()

    def is_seen_within(self, subject: Reference, among: Container[str]) -> bool:
        """Return whether it is known in this process that something is within these experiments. At once."""
        if subject.kind is Kind.EXPERIMENT:
            return subject.id in among
        until, experiment_id = self._seen.get(subject, (dt.timedelta(), ""))
        return experiment_id in among and until > self._clock.monotonic()

    def is_within(self, subject: Reference, among: Container[str], *, workspace: str | None) -> bool:
        """Return whether something is within these experiments, or raise ``ExperimentUnknown`` or ``StoreUnavailable``.

        What there is not is not.
        """
        if subject.kind in (Kind.NAME, Kind.NEW_NAME):
            return self._is_named_within(subject, among, workspace)
        if self.is_seen_within(subject, among):
            return True
        if subject.kind is Kind.EXPERIMENT or not subject.is_possible:
            return False
        if subject.kind is Kind.TRACE:
            # Not remembered: whoever may make traces can move one.
            return self._ask(subject, workspace) in among
        lane = subject.id if subject.kind is Kind.RUN else f"model:{subject.id}"
        experiment_id = self._memory.experiment_of(lane)
        if experiment_id is None or experiment_id not in among:
            experiment_id = self._ask(subject, workspace)
            if experiment_id is None or experiment_id not in among:
                return False
            with suppress(StoreUnavailable):
                self._memory.remember(lane, experiment_id)
        self._see(subject, experiment_id)
        return True

    def learn(self, run_id: str, experiment_id: str) -> None:
        """Note in this process, at once, in which experiment a run was made."""
        self._see(Reference(Kind.RUN, run_id), experiment_id)

    def remember(self, lane: str, experiment_id: str) -> None:
        """Note in the store where a run is, or where one of this name was asked for by a client who may."""
        self._memory.remember(lane, experiment_id)

    def _is_named_within(self, subject: Reference, among: Container[str], workspace: str | None) -> bool:
        """Say it of the run that a name stands for. Before there is one, nobody knows whose it will turn out to be."""
        run_id = self._names.run_id(subject.id)
        if run_id is not None:
            return self.is_within(Reference(Kind.RUN, run_id), among, workspace=workspace)
        if subject.kind is Kind.NEW_NAME:
            return True
        if self._memory.experiment_of(subject.id) in among:
            raise ExperimentUnknown("the run of this name is not created yet")
        return False

    def _see(self, subject: Reference, experiment_id: str) -> None:
        with self._seeing:
            self._seen[subject] = (self._clock.monotonic() + _LASTS, experiment_id)
            self._seen.move_to_end(subject)
            if len(self._seen) > _MOST_REMEMBERED:
                self._seen.popitem(last=False)

    def _ask(self, subject: Reference, workspace: str | None) -> str | None:
        """Return what upstream says, None if it has no such thing."""
        path, answer, way = _CALLS[subject.kind]
        call = Call(
            method="GET",
            path=path.format(quote(subject.id, safe="")),
            body=b"",
            workspace=workspace,
            answer=answer,
            reads=True,
            optional=subject.kind is not Kind.RUN,
        )
        match self._sender.send([call], NO_JOBS, renew=lambda: None):
            case Delivered(body=body):
                return _found(msgspec.json.decode(body), way)
            # Where upstream does not have the call, it does not have what the call is about.
            case Refused() | Unavailable(missing=True):
                return None
        raise ExperimentUnknown("upstream can't be asked")


def _found(document: Any, way: tuple[str, ...]) -> str | None:  # noqa: ANN401 - JSON
    for name in way:
        document = document.get(name) if isinstance(document, dict) else None
    return document if isinstance(document, str) else None


#: Which call tells it, the field that its answer has, and the way from there.
_CALLS = {
    Kind.RUN: ("/api/2.0/mlflow/runs/get?run_id={}", "run", ("run", "info", "experiment_id")),
    Kind.TRACE: ("/api/2.0/mlflow/traces/{}/info", "trace_info", ("trace_info", "experiment_id")),
    Kind.MODEL: ("/api/2.0/mlflow/logged-models/{}", "model", ("model", "info", "experiment_id")),
}
