# SPDX-License-Identifier: Apache-2.0
"""Holds clients who are limited to experiments to these: what they ask for must be about experiments of theirs.

What can't be told, is refused; what can't be told now, is to be asked for again. Answers are not looked into, so a call
that tells of all experiments is refused as a whole.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import msgspec

from api.auth.authorization import OPEN, route_of
from api.http.exceptions import OutsideExperiments
from api.http.paths import is_own_path
from api.http.polling import Bulkhead
from api.http.request import Request
from bridge.auth.experiment_scope import ExperimentLookup
from bridge.errors import ExperimentUnknown
from schemas.bodies.references import (
    Kind,
    Reference,
    UnresolvedReference,
    has_ids_in_query,
    references_in_call,
    references_in_write,
)
from schemas.client import rule_of_op
from schemas.endpoints import EndpointMatch, ExperimentRule, Handling
from schemas.errors import InvalidWrite
from schemas.lane import NamedRun, check_run_name
from schemas.write import Op, Write

T = TypeVar("T")

#: A longer body of a proxied call is not read, and so not sent on.
_LONGEST = 1 << 20
#: One that is not shorter than this is read in a thread, so that short ones need not wait for it.
_LONG = 64 * 1024
#: How many look-ups may be under way, of all clients and of one request, and how long one request waits, in seconds.
_MOST_UNDER_WAY, _TOGETHER, _PATIENCE = 64, 4, 10.0
#: How many of them may be one client's.
_MOST_OF_ONE = 16

_RUNS, _LETTERS = "/v1/runs/", "/v1/dead-letters"

#: The bridge's own calls, and what they must name. Jobs and dead letters are the client's own whatever they are about.
OWN: dict[tuple[str, str], ExperimentRule] = {
    # Each of their writes is checked once it has been read.
    ("POST", "/v1/writes"): ExperimentRule.RUN,
    ("POST", "/v1/runs"): ExperimentRule.RUN,
    ("GET", "/v1/runs/<path:name>"): ExperimentRule.RUN,
    ("GET", "/v1/runs/<path:run>/backlog"): ExperimentRule.RUN,
    ("GET", "/v1/jobs"): ExperimentRule.HARMLESS,
    ("GET", "/v1/jobs/<job_id>"): ExperimentRule.HARMLESS,
    ("POST", "/v1/jobs/lookup"): ExperimentRule.HARMLESS,
    ("GET", "/v1/backlog"): ExperimentRule.HARMLESS,
    ("GET", "/metrics"): ExperimentRule.HARMLESS,
    ("GET", _LETTERS): ExperimentRule.HARMLESS,
    ("GET", f"{_LETTERS}/<letter_id>"): ExperimentRule.HARMLESS,
    ("POST", f"{_LETTERS}/<letter_id>/replay"): ExperimentRule.REFUSED,
    ("DELETE", f"{_LETTERS}/<letter_id>"): ExperimentRule.REFUSED,
    ("POST", f"{_LETTERS}/replay"): ExperimentRule.REFUSED,
    ("POST", f"{_LETTERS}/discard"): ExperimentRule.REFUSED,
    ("GET", f"{_LETTERS}/drains/<drain_id>"): ExperimentRule.REFUSED,
    ("DELETE", f"{_LETTERS}/drains/<drain_id>"): ExperimentRule.REFUSED,
}


class ExperimentScope:
    """Asked only about clients who are limited."""

    def __init__(self, experiments: ExperimentLookup) -> None:
        self._experiments = experiments
        # Its own, so that an upstream that hangs keeps nobody else from a thread.
        self._threads = ThreadPoolExecutor(_TOGETHER, thread_name_prefix="limits")
        self._seats = Bulkhead(seats=_MOST_UNDER_WAY)
        self._taken: Counter[str] = Counter()

    async def check(self, request: Request, found: EndpointMatch | None) -> None:
        """Raise ``OutsideExperiments`` unless the request is about its client's experiments."""
        if request.path in OPEN:
            return
        request.decision = "denied"
        try:
            await self._check_named(request, found)
        except UnresolvedReference as error:
            raise OutsideExperiments(request.client, request.action, reason=str(error)) from error
        request.decision = "allowed"

    async def check_writes(self, request: Request, writes: Sequence[Write]) -> None:
        """Raise ``OutsideExperiments``, with the number of the first write outside the scope."""
        request.decision = "denied"
        is_short = len(writes) == 1 and writes[0].size < _LONG
        named = _about(writes) if is_short else await asyncio.to_thread(_about, writes)
        outside = await self._outside(request, (subject for each in named for subject in each.subjects))
        for number, (write, each) in enumerate(zip(writes, named, strict=True)):
            if each.reason is not None or not outside.isdisjoint(each.subjects):
                request.action = rule_of_op(write.op).action
                raise OutsideExperiments(request.client, request.action, reason=each.reason or "", number=number)
        await self._note_names(writes, named)
        request.decision = "allowed"

    async def check_run(self, request: Request, run_id: str) -> None:
        """Raise ``OutsideExperiments`` unless the client may know of this run."""
        await self._check(request, {Reference(Kind.RUN, run_id)})

    def learn(self, found: EndpointMatch | None, answer: bytes) -> None:
        """Note where a run is that has just been made, so that nobody need be asked while upstream is away."""
        if found is None or found.endpoint.path != "/api/2.0/mlflow/runs/create":
            return
        try:
            info = msgspec.json.decode(answer, type=_Made).run.info
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return
        self._experiments.learn(info.run_id, info.experiment_id)
        # Whether it succeeds or not: who does not find it there asks upstream.
        self._threads.submit(self._experiments.remember, info.run_id, info.experiment_id)

    async def _check_named(self, request: Request, found: EndpointMatch | None) -> None:
        if found:
            await self._check_upstreams(request, found)
        elif is_own_path(request.path):
            await self._check_own(request)
        else:
            raise UnresolvedReference("The bridge does not know the call.")

    async def _check_upstreams(self, request: Request, found: EndpointMatch) -> None:
        within = found.endpoint.within
        if within is ExperimentRule.REFUSED:
            raise UnresolvedReference(_INSTEAD.get(found.endpoint.action, ""))
        if within is ExperimentRule.HARMLESS or found.endpoint.answer is Handling.QUEUED:
            return
        query = request.scope["query_string"].decode("latin-1")
        if has_ids_in_query(found):
            _check_bodiless(request, found)
            named = references_in_call(found, query, b"")
        else:
            body = await _body_of(request)
            read = partial(references_in_call, found, query, body)
            named = read() if len(body) < _LONG else await asyncio.to_thread(read)
            request.put_back(named.body)
        await self._check(request, named.subjects)

    async def _check_own(self, request: Request) -> None:
        within = OWN.get(route_of(request.method, request.path) or ("", ""), ExperimentRule.REFUSED)
        if within is ExperimentRule.REFUSED:
            raise UnresolvedReference("")
        if within is ExperimentRule.RUN and request.path.startswith(_RUNS):
            name = request.path.removeprefix(_RUNS).removesuffix("/backlog")
            await self._check(request, {_run_of(name, request.workspace)})

    async def _check(self, request: Request, subjects: Iterable[Reference]) -> None:
        if await self._outside(request, subjects):
            raise OutsideExperiments(request.client, request.action)

    async def _outside(self, request: Request, subjects: Iterable[Reference]) -> set[Reference]:
        """Return which of these are not within the client's experiments: the first few, if there are any."""
        among, workspace = request.client.experiments or frozenset(), request.workspace
        unseen = [each for each in dict.fromkeys(subjects) if not self._experiments.is_seen_within(each, among)]
        outside: set[Reference] = set()
        try:
            async with asyncio.timeout(_PATIENCE):
                for begin in range(0, len(unseen), _TOGETHER):
                    some = unseen[begin : begin + _TOGETHER]
                    ask = partial(self._experiments.is_within, among=among, workspace=workspace)
                    inside = await asyncio.gather(*(self._find_out(request, partial(ask, each)) for each in some))
                    outside.update(each for each, is_inside in zip(some, inside, strict=True) if not is_inside)
                    if outside:
                        break
        except TimeoutError as error:
            raise ExperimentUnknown("it takes too long to find out") from error
        return outside

    async def _note_names(self, writes: Sequence[Write], named: Sequence["_About"]) -> None:
        for write, each in zip(writes, named, strict=True):
            if write.op is Op.CREATE_RUN:
                [experiment] = [subject.id for subject in each.subjects if subject.kind is Kind.EXPERIMENT]
                await self._in_thread(partial(self._experiments.remember, write.lane, experiment))

    async def _find_out(self, request: Request, work: Callable[[], T]) -> T:
        """Do so in a thread, unless the client has as much of that under way as one may."""
        name = request.client.name
        if self._taken[name] >= _MOST_OF_ONE:
            raise ExperimentUnknown("too much is being found out for this client already")
        self._taken[name] += 1
        try:
            return await self._in_thread(work)
        finally:
            self._taken[name] -= 1
            if not self._taken[name]:
                del self._taken[name]

    async def _in_thread(self, work: Callable[[], T]) -> T:
        if not self._seats.try_enter():
            raise ExperimentUnknown("too much is being found out already")
        working = self._threads.submit(work)
        # Also for work that nobody waits for any more.
        working.add_done_callback(lambda _: self._seats.leave())
        return await asyncio.wrap_future(working)


@dataclass(frozen=True, slots=True)
class _About:
    """What a write is about, or why that can't be told."""

    subjects: frozenset[Reference] = frozenset()
    reason: str | None = None


def _about(writes: Iterable[Write]) -> list[_About]:
    return [_about_one(write) for write in writes]


def _about_one(write: Write) -> _About:
    try:
        return _About(references_in_write(write))
    except UnresolvedReference as error:
        return _About(reason=str(error))


def _check_bodiless(request: Request, found: EndpointMatch) -> None:
    """Raise for what MLflow might read in another way than as the query of a GET."""
    if request.method == "HEAD" and found.endpoint.within is not ExperimentRule.ARTIFACT_PATH:
        raise UnresolvedReference("Send a GET.")
    if request.method in ("GET", "HEAD") and request.has_body:
        raise UnresolvedReference("A GET must not have a body.")


async def _body_of(request: Request) -> bytes:
    """Return the body of a call that may be a JSON object and nothing else."""
    body = await request.body(longest=_LONGEST)
    kind = (request.header(b"content-type") or "").split(";")[0].strip().lower()
    if body and (kind != "application/json" or request.header(b"content-encoding") is not None):
        raise UnresolvedReference("The body must be JSON, with Content-Type: application/json and no Content-Encoding.")
    return body


def _run_of(name: str, workspace: str | None) -> Reference:
    """Return the run that is meant by a client's name for it, or else by its id."""
    try:
        return Reference(Kind.NAME, NamedRun(check_run_name(name), workspace).lane)
    except InvalidWrite:
        return Reference(Kind.RUN, name)


class _Info(msgspec.Struct):
    run_id: str
    experiment_id: str


class _Run(msgspec.Struct):
    info: _Info


class _Made(msgspec.Struct):
    run: _Run


_BY_ID = "Name experiments by their ids."
#: By its action, what to do in place of a call that is refused.
_INSTEAD = {
    "GetExperimentByName": _BY_ID,
    "SearchExperiments": _BY_ID,
    "StartTrace": "It can't be told whose a trace is that a call brings.",
}
