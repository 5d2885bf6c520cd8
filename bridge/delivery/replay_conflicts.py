# SPDX-License-Identifier: Apache-2.0
"""Finds what a replay of a dead letter would conflict with, for the page that shows the letter.

A conflict is a later write of the letter's lane, or a value in MLflow that differs from the letter's own. The pending
writes of the lane are applied to MLflow's answer about the run, then the letter's write, by MLflow's own rules
(`bridge.outbox.overlay`). A replay overwrites the values that this last step changes.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import quote

import msgspec

from bridge.outbox import Outbox, RunNames
from bridge.outbox.dead_letters import DeadLetters
from bridge.outbox.overlay import overlay
from bridge.upstream import NO_JOBS, Call, Delivered, Denied, Refused
from bridge.upstream.flow_control import Withheld
from bridge.upstream.sender import UpstreamSender
from schemas.client import Client
from schemas.dead_letter import Conflicts, Overwrite
from schemas.job import Job
from schemas.lane import run_of
from schemas.overlaid_reads import OverlayKind
from schemas.write import Write

#: Pending writes of the lane are regarded up to this many bytes.
_MAX_PENDING_BYTES = 4 << 20
_RUN_FIELDS: tuple[Literal["status", "end_time", "run_name"], ...] = ("status", "end_time", "run_name")
#: MLflow sets it with the name of the run.
_RUN_NAME_TAG = "mlflow.runName"

Json = dict[str, Any]


class Unchecked(Exception):
    """The letter can't be compared with MLflow's values; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayConflicts:
    """Finds conflicts. Reads the run from upstream, by the rules of every call that the bridge makes for itself."""

    letters: DeadLetters
    outbox: Outbox
    names: RunNames
    sender: UpstreamSender
    #: Whether calls are signed with the session of the client that asks.
    uses_client_sessions: bool = False

    def of(self, letter_id: str, *, asked_by: Client | None) -> Conflicts | None:
        """Return the conflicts of a letter, None if there is no such letter (any more).

        ``asked_by`` is None for a client that may not read runs: the response then has no stored value.
        """
        job = self.letters.job(letter_id)
        if job is None:
            return None
        later = self.letters.later_writes(job)
        try:
            overwrites = self._overwrites(job, asked_by)
        except Unchecked as error:
            return Conflicts(later_writes=later, overwrites=[], checked=False, why=str(error))
        return Conflicts(later_writes=later, overwrites=overwrites, checked=True)

    def _overwrites(self, job: Job, asked_by: Client | None) -> list[Overwrite]:
        if asked_by is None:
            raise Unchecked("To compare with what MLflow stores, the client needs the action GetRun.")
        answer = self._read_run(job, asked_by)
        pending, _ = self.outbox.undelivered(job.lane, after=0, max_bytes=_MAX_PENDING_BYTES)
        stored = overlay(OverlayKind.RUN, answer, [each.write for each in pending])
        return list(overwrites(stored, job.write))

    def _read_run(self, job: Job, asked_by: Client) -> bytes:
        run_id = run_of(job.lane) or self.names.run_id(job.lane)
        if run_id is None:
            raise Unchecked("Only writes to runs that exist are compared with MLflow.")
        call = Call(
            method="GET",
            path=f"/api/2.0/mlflow/runs/get?run_id={quote(run_id, safe='')}",
            body=b"",
            workspace=job.write.workspace,
            response_field="run",
            reads=True,
            client=asked_by.name if self.uses_client_sessions else None,
        )
        outcome = self.sender.send([call], NO_JOBS, renew=lambda: None)
        match outcome:
            case Delivered(body=body):
                _check_experiment(body, asked_by)
                return body
            case Refused(message=message):
                raise Unchecked(f"MLflow refuses to show the run: {message}")
            case Denied():
                raise Unchecked("Upstream does not allow the bridge to read the run.")
            case Withheld():
                raise Unchecked("Upstream is not asked now: the breaker is open.")
        raise Unchecked("Upstream does not answer.")


def overwrites(stored: bytes, write: Write) -> Iterator[Overwrite]:
    """Yield each value that a write changes in MLflow's answer about a run, and each param that it can't change."""
    before, after = _decode_run(stored), _decode_run(overlay(OverlayKind.RUN, stored, [write]))
    for name in _RUN_FIELDS:
        old, new = (_text(run["info"].get(name)) for run in (before, after))
        if old not in (None, "", new):
            yield Overwrite(kind=name, key=name, stored=old, letter=new)
    tags, new_tags = _values_by_key(before, "tags"), _values_by_key(after, "tags")
    for key, value in tags.items():
        if key != _RUN_NAME_TAG and new_tags.get(key) != value:
            yield Overwrite(kind="tag", key=key, stored=value, letter=new_tags.get(key))
    params = _values_by_key(before, "params")
    for key, value in _params_of(write).items():
        if key in params and params[key] != value:
            yield Overwrite(kind="param", key=key, stored=params[key], letter=value)


def _check_experiment(body: bytes, asked_by: Client) -> None:
    """Raise ``Unchecked`` if the client is limited to other experiments than that of the run."""
    if asked_by.experiments is None or asked_by.is_operator:
        return
    if _decode_run(body)["info"].get("experiment_id") not in asked_by.experiments:
        raise Unchecked("The run is not within the experiments of the client.")


def _decode_run(answer: bytes) -> Json:
    run = msgspec.json.decode(answer)["run"]
    return {"info": run.get("info") or {}, "data": run.get("data") or {}}


def _values_by_key(run: Json, name: str) -> dict[str, str]:
    return {item["key"]: item["value"] for item in run["data"].get(name) or ()}


def _params_of(write: Write) -> dict[str, str]:
    params = msgspec.json.decode(b"[" + write.params.json + b"]") if write.params.count else []
    return {param["key"]: param["value"] for param in params}


def _text(value: object) -> str | None:
    return None if value is None else str(value)
