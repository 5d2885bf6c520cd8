# SPDX-License-Identifier: Apache-2.0
"""Looks up the experiment of a run, model or trace, for clients that are limited to some experiments.

Results are cached in this process and in the store, because a run never changes its experiment. A cached result never
denies: a denial is looked up in upstream again. So its message and duration do not show whether the object exists.
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

_MAX_CACHED_EXPERIMENTS = 10_000
_CACHE_TTL = dt.timedelta(hours=1)
#: The call that returns the experiment, the field that its response must have, and the path to the id.
_LOOKUP_CALLS = {
    Kind.RUN: ("/api/2.0/mlflow/runs/get?run_id={}", "run", ("run", "info", "experiment_id")),
    Kind.TRACE: ("/api/2.0/mlflow/traces/{}/info", "trace_info", ("trace_info", "experiment_id")),
    Kind.MODEL: ("/api/2.0/mlflow/logged-models/{}", "model", ("model", "info", "experiment_id")),
}


class ExperimentLookup:
    """Looks up experiments in the caches and in upstream. All methods but `is_seen_within` and `learn` may block.

    ``among`` has the ids of the experiments to which a client is limited.
    """

    def __init__(self, *, memory: "ExperimentMemory", names: RunNames, sender: UpstreamSender, clock: Clock) -> None:
        self._memory = memory
        self._names = names
        self._sender = sender
        self._clock = clock
        #: The end of an entry's validity (monotonic time), and the experiment id.
        self._experiment_ids: OrderedDict[Reference, tuple[dt.timedelta, str]] = OrderedDict()
        self._cache_lock = threading.Lock()

    def is_seen_within(self, subject: Reference, among: Container[str]) -> bool:
        """Return whether this process has cached that the subject is within these experiments. Never blocks."""
        if subject.kind is Kind.EXPERIMENT:
            return subject.id in among
        valid_until, experiment_id = self._experiment_ids.get(subject, (dt.timedelta(), ""))
        return experiment_id in among and valid_until > self._clock.monotonic()

    def is_within(self, subject: Reference, among: Container[str], *, workspace: str | None) -> bool:
        """Return whether the subject is within these experiments. A subject that does not exist is not.

        Raises ``ExperimentUnknown`` or ``StoreUnavailable``.
        """
        if subject.kind in (Kind.NAME, Kind.NEW_NAME):
            return self._is_named_within(subject, among, workspace)
        if self.is_seen_within(subject, among):
            return True
        if subject.kind is Kind.EXPERIMENT or not subject.is_possible:
            return False
        if subject.kind is Kind.TRACE:
            # Not cached: a client that may create traces can move one.
            return self._look_up(subject, workspace) in among
        lane = subject.id if subject.kind is Kind.RUN else f"model:{subject.id}"
        experiment_id = self._memory.experiment_of(lane)
        if experiment_id is None or experiment_id not in among:
            # The cache never denies, so that a denial takes as long whether or not the subject exists.
            experiment_id = self._look_up(subject, workspace)
            if experiment_id is None or experiment_id not in among:
                return False
            with suppress(StoreUnavailable):
                self._memory.remember(lane, experiment_id)
        self._cache(subject, experiment_id)
        return True

    def learn(self, run_id: str, experiment_id: str) -> None:
        """Cache in this process the experiment of a new run. Never blocks."""
        self._cache(Reference(Kind.RUN, run_id), experiment_id)

    def remember(self, lane: str, experiment_id: str) -> None:
        """Cache in the store the experiment of a run, or of a permitted creation of a run by this name."""
        self._memory.remember(lane, experiment_id)

    def _is_named_within(self, subject: Reference, among: Container[str], workspace: str | None) -> bool:
        """Return whether a named run is within these experiments.

        Raises ``ExperimentUnknown`` for a run that is not created yet, if its creation was permitted there.
        """
        run_id = self._names.run_id(subject.id)
        if run_id is not None:
            return self.is_within(Reference(Kind.RUN, run_id), among, workspace=workspace)
        if subject.kind is Kind.NEW_NAME:
            # The call creates the run. The experiment that it names is checked as a reference of its own.
            return True
        if self._memory.experiment_of(subject.id) in among:
            raise ExperimentUnknown("the run of this name is not created yet")
        return False

    def _cache(self, subject: Reference, experiment_id: str) -> None:
        with self._cache_lock:
            self._experiment_ids[subject] = (self._clock.monotonic() + _CACHE_TTL, experiment_id)
            self._experiment_ids.move_to_end(subject)
            if len(self._experiment_ids) > _MAX_CACHED_EXPERIMENTS:
                self._experiment_ids.popitem(last=False)

    def _look_up(self, subject: Reference, workspace: str | None) -> str | None:
        """Return the experiment id from upstream, None if the subject does not exist there."""
        path, response_field, id_path = _LOOKUP_CALLS[subject.kind]
        call = Call(
            method="GET",
            path=path.format(quote(subject.id, safe="")),
            body=b"",
            workspace=workspace,
            response_field=response_field,
            reads=True,
            optional=subject.kind is not Kind.RUN,
        )
        match self._sender.send([call], NO_JOBS, renew=lambda: None):
            case Delivered(body=body):
                return _text_at(msgspec.json.decode(body), id_path)
            # An upstream that lacks the call lacks such objects, too.
            case Refused() | Unavailable(missing=True):
                return None
        raise ExperimentUnknown("upstream does not respond")


class ExperimentMemory(Protocol):
    """The cache in the store. Every method raises ``StoreUnavailable``."""

    def experiment_of(self, lane: str) -> str | None:
        """Return the experiment id of the subject of a lane, None if it is not cached."""
        ...

    def remember(self, lane: str, experiment_id: str) -> None:
        """Cache an experiment id for a day."""
        ...


def _text_at(document: Any, path: tuple[str, ...]) -> str | None:  # noqa: ANN401 - JSON
    for name in path:
        document = document.get(name) if isinstance(document, dict) else None
    return document if isinstance(document, str) else None
