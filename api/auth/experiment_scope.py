# SPDX-License-Identifier: Apache-2.0
"""Limits clients to experiments: what a request refers to must belong to one of its client's experiments.

A request is refused if its references can't be read, and gets a 503 if their experiments can't be looked up now.
Responses are not filtered, so a call that lists several experiments is refused as a whole.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import msgspec

from api.http.exceptions import OutsideExperiments
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

#: A proxied call with a longer body is refused.
_MAX_BODY_BYTES = 1 << 20
#: Bodies of at least this length are read in a thread, so that short ones do not wait for them.
_LONG_BODY_BYTES = 64 * 1024
#: Concurrent look-ups: of all clients, of one client, and of one request, which also is the number of threads.
_MAX_LOOKUPS, _MAX_LOOKUPS_OF_CLIENT, _MAX_LOOKUPS_OF_REQUEST = 64, 16, 4
#: The limit of all look-ups of a request together.
_LOOKUP_TIMEOUT_S = 10.0


class ExperimentScope:
    """Checks the requests of clients that are limited to experiments. Other clients are never checked."""

    def __init__(self, experiments: ExperimentLookup) -> None:
        self._experiments = experiments
        # Threads of their own, so that an upstream that hangs blocks no other work.
        self._threads = ThreadPoolExecutor(_MAX_LOOKUPS_OF_REQUEST, thread_name_prefix="limits")
        self._bulkhead = Bulkhead(_MAX_LOOKUPS)
        self._lookups: Counter[str] = Counter()

    async def check(self, request: Request, action: str | None) -> None:
        """Raise ``OutsideExperiments`` unless all that a request refers to is in its client's experiments.

        Queued writes are checked by ``check_writes``, once they have been read.
        """
        if request.is_open:
            return
        try:
            references = await self._references(request)
        except UnresolvedReference as error:
            raise OutsideExperiments(request.client, action, reason=str(error)) from error
        if await self._find_outside(request, references):
            raise OutsideExperiments(request.client, action)

    async def check_writes(self, request: Request, writes: Sequence[Write]) -> None:
        """Raise ``OutsideExperiments`` with the index of the first write that is not in the client's experiments."""
        is_short = len(writes) == 1 and writes[0].size < _LONG_BODY_BYTES
        read = _read_all(writes) if is_short else await asyncio.to_thread(_read_all, writes)
        outside = await self._find_outside(request, (reference for each in read for reference in each.references))
        for index, (write, each) in enumerate(zip(writes, read, strict=True)):
            if each.error is not None or not outside.isdisjoint(each.references):
                action = rule_of_op(write.op).action
                raise OutsideExperiments(request.client, action, reason=each.error or "", index=index)
        await self._remember_new_runs(writes, read)

    async def check_run(self, request: Request, run_id: str) -> None:
        """Raise ``OutsideExperiments`` unless the client may use the run that its name stands for."""
        if await self._find_outside(request, {Reference(Kind.RUN, run_id)}):
            raise OutsideExperiments(request.client, rule_of_op(Op.CREATE_RUN).action)

    def learn(self, match: EndpointMatch | None, body: bytes) -> None:
        """Remember the experiment of a run that upstream has just created, so that no look-up needs upstream."""
        if match is None or match.endpoint.path != "/api/2.0/mlflow/runs/create":
            return
        try:
            info = msgspec.json.decode(body, type=_CreatedRun).run.info
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return
        self._experiments.learn(info.run_id, info.experiment_id)
        # If this fails, a process that needs it asks upstream.
        self._threads.submit(self._experiments.remember, info.run_id, info.experiment_id)

    async def _references(self, request: Request) -> Iterable[Reference]:
        """Return what a request refers to, or raise ``UnresolvedReference``."""
        if request.is_own:
            return _references_of_own_route(request)
        if request.endpoint_match is None:
            raise UnresolvedReference("The bridge does not know the call.")
        match, rule = request.endpoint_match, request.endpoint_match.endpoint.within
        if rule is ExperimentRule.REFUSED:
            raise UnresolvedReference(_ADVICE.get(match.endpoint.action, ""))
        if rule is ExperimentRule.HARMLESS or match.endpoint.answer is Handling.QUEUED:
            return ()
        query = request.scope["query_string"].decode("latin-1")
        if has_ids_in_query(match):
            _check_bodiless(request, match)
            return references_in_call(match, query, b"").references
        body = await _read_json_body(request)
        read = partial(references_in_call, match, query, body)
        call = read() if len(body) < _LONG_BODY_BYTES else await asyncio.to_thread(read)
        request.replace_body(call.body)
        return call.references

    async def _find_outside(self, request: Request, references: Iterable[Reference]) -> set[Reference]:
        """Return references that are not in the client's experiments, at least one if there are any."""
        allowed = request.client.experiments or frozenset()
        is_within = partial(self._experiments.is_within, among=allowed, workspace=request.workspace)
        unseen = [each for each in dict.fromkeys(references) if not self._experiments.is_seen_within(each, allowed)]
        outside: set[Reference] = set()
        try:
            async with asyncio.timeout(_LOOKUP_TIMEOUT_S):
                for begin in range(0, len(unseen), _MAX_LOOKUPS_OF_REQUEST):
                    chunk = unseen[begin : begin + _MAX_LOOKUPS_OF_REQUEST]
                    inside = await asyncio.gather(*(self._look_up(request, partial(is_within, each)) for each in chunk))
                    outside.update(each for each, is_inside in zip(chunk, inside, strict=True) if not is_inside)
                    if outside:
                        break
        except TimeoutError as error:
            raise ExperimentUnknown("the look-up takes too long") from error
        return outside

    async def _remember_new_runs(self, writes: Sequence[Write], read: Sequence["_WriteReferences"]) -> None:
        for write, each in zip(writes, read, strict=True):
            if write.op is Op.CREATE_RUN:
                [experiment_id] = [named.id for named in each.references if named.kind is Kind.EXPERIMENT]
                await self._in_thread(partial(self._experiments.remember, write.lane, experiment_id))

    async def _look_up(self, request: Request, look_up: Callable[[], T]) -> T:
        """Run a look-up in a thread, unless its client has as many in progress as one client may."""
        name = request.client.name
        if self._lookups[name] >= _MAX_LOOKUPS_OF_CLIENT:
            raise ExperimentUnknown("this client has too many look-ups in progress")
        self._lookups[name] += 1
        try:
            return await self._in_thread(look_up)
        finally:
            self._lookups[name] -= 1
            if not self._lookups[name]:
                del self._lookups[name]

    async def _in_thread(self, work: Callable[[], T]) -> T:
        if not self._bulkhead.try_enter():
            raise ExperimentUnknown("too many look-ups are in progress")
        working = self._threads.submit(work)
        # Also for a look-up that no request awaits any more.
        working.add_done_callback(lambda _: self._bulkhead.leave())
        return await asyncio.wrap_future(working)


@dataclass(frozen=True, slots=True)
class _WriteReferences:
    """What a write refers to, or why that can't be read."""

    references: frozenset[Reference] = frozenset()
    error: str | None = None


def _read_all(writes: Iterable[Write]) -> list[_WriteReferences]:
    return [_read_references(write) for write in writes]


def _read_references(write: Write) -> _WriteReferences:
    try:
        return _WriteReferences(references_in_write(write))
    except UnresolvedReference as error:
        return _WriteReferences(error=str(error))


def _references_of_own_route(request: Request) -> Iterable[Reference]:
    """Return the run in the path of a route of the bridge's own; jobs and dead letters are the client's in any case."""
    route = request.own_route
    if route is None or route.experiments is ExperimentRule.REFUSED:
        raise UnresolvedReference("")
    runs = (route.parameters(request.path) or {}).values() if route.experiments is ExperimentRule.RUN else ()
    return {_run_reference(run, request.workspace) for run in runs}


def _check_bodiless(request: Request, match: EndpointMatch) -> None:
    """Raise for a request that MLflow might read in another way than as the query of a GET."""
    if request.method == "HEAD" and match.endpoint.within is not ExperimentRule.ARTIFACT_PATH:
        raise UnresolvedReference("Send a GET.")
    if request.method in ("GET", "HEAD") and request.has_body:
        raise UnresolvedReference("A GET must not have a body.")


async def _read_json_body(request: Request) -> bytes:
    """Return the body of a call, or raise ``UnresolvedReference`` unless it is declared as uncompressed JSON."""
    body = await request.body(max_bytes=_MAX_BODY_BYTES)
    media_type = (request.header(b"content-type") or "").split(";")[0].strip().lower()
    if body and (media_type != "application/json" or request.header(b"content-encoding") is not None):
        raise UnresolvedReference("The body must be JSON, with Content-Type: application/json and no Content-Encoding.")
    return body


def _run_reference(run: str, workspace: str | None) -> Reference:
    """Return the reference to a run. What is no valid name of a run is taken for an id."""
    try:
        return Reference(Kind.NAME, NamedRun(check_run_name(run), workspace).lane)
    except InvalidWrite:
        return Reference(Kind.RUN, run)


class _Info(msgspec.Struct):
    run_id: str
    experiment_id: str


class _Run(msgspec.Struct):
    info: _Info


class _CreatedRun(msgspec.Struct):
    run: _Run


_USE_IDS = "Name experiments by their ids."
#: Advice in the error of a refused call, by its action.
_ADVICE = {
    "GetExperimentByName": _USE_IDS,
    "SearchExperiments": _USE_IDS,
    "StartTrace": "The bridge can't find out the experiment of a trace that a call brings.",
}
