# SPDX-License-Identifier: Apache-2.0
"""Dead letters: list, count, show, replay, discard. Workers replay or discard many of them as a drain."""

from typing import NoReturn

import msgspec
from flask import Response, abort, request

from api.http.exceptions import CountChanged, Forbidden
from api.http.routing import Route
from api.routes.context import client, visible_client
from api.routes.csv_response import PAGE_ROWS, csv_response, wants_csv
from api.routes.json_bodies import json_body, json_response
from bridge.delivery.replay_conflicts import ReplayConflicts
from bridge.outbox.dead_letters import DeadLetterService, InvalidCursor
from bridge.outbox.recent_totals import RecentTotals
from schemas.client import Rule, Scope, rule_of_op
from schemas.dead_letter import (
    Conflicts,
    DiscardOrder,
    DiscardResults,
    LetterCount,
    LetterDocument,
    LetterFilter,
    LetterOrder,
    LetterPage,
    LetterSummary,
    LetterTotals,
    Replayed,
    ReplayOrder,
    ReplayResults,
)
from schemas.drain import Drain, DrainAction
from schemas.endpoints import ExperimentRule

_PATH = "/v1/dead-letters"
_MAX_PAGE_SIZE = 1000
_FILTER = ("reason", "run_id", "lane", "client", "since", "until", "op", "error_code")
#: Needed to see values that are stored in MLflow.
_GET_RUN = Rule("GetRun", Scope.READ)
_EXPECTED = "a JSON body ({} means all dead letters)"


class DeadLetterRoutes:
    """Serves dead letters. A client sees its own, an operator all."""

    def __init__(self, service: DeadLetterService, totals: RecentTotals, conflicts: ReplayConflicts) -> None:
        self._service = service
        self._totals = totals
        self._conflicts = conflicts

    @Route(
        "GET",
        _PATH,
        summary="Dead letters, the oldest or the newest first",
        action="GetDeadLetter",
        scope=Scope.WRITE,
        experiments=ExperimentRule.HARMLESS,
        query=(*_FILTER, "order", "cursor", "limit"),
        is_polled=True,
        answers={200: LetterPage, 304: None},
        has_csv=True,
    )
    def page(self) -> Response:
        """Return a page of the letters that a filter matches."""
        arguments = request.args.to_dict()
        cursor, limit = arguments.pop("cursor", None), _read_limit(arguments.pop("limit", "100"))
        order, wanted = _read_order(arguments.pop("order", "oldest")), _read_filter(arguments)

        def rows(after: str | None) -> tuple[list[LetterSummary], str | None]:
            page = self._service.letters.page(wanted, after=after, limit=PAGE_ROWS, order=order)
            return page.letters, page.next

        try:
            if wants_csv():
                return csv_response("dead-letters", LetterSummary, rows, after=cursor)
            response = json_response(self._service.letters.page(wanted, after=cursor, limit=limit, order=order))
        except InvalidCursor:
            abort(400, "cursor must be the `next` of an earlier page.")
        response.headers["Vary"] = "Accept"
        return response

    @Route(
        "GET",
        f"{_PATH}/summary",
        summary="How many dead letters there are, by reason, client and cause",
        action="GetDeadLetter",
        scope=Scope.WRITE,
        experiments=ExperimentRule.HARMLESS,
        is_polled=True,
        query=_FILTER,
        answers={200: LetterTotals, 304: None},
    )
    def summary(self) -> Response:
        """Return the totals of the letters that a filter matches."""
        return json_response(self._totals.of(_read_filter(request.args.to_dict())))

    @Route(
        "GET",
        f"{_PATH}/<letter_id>/conflicts",
        summary="What a replay of a dead letter would overwrite",
        action="GetDeadLetter",
        scope=Scope.WRITE,
        experiments=ExperimentRule.HARMLESS,
        answers={200: Conflicts},
        problems=(404,),
    )
    def show_conflicts(self, letter_id: str) -> Response:
        """Return the later writes of the lane, and the values in MLflow that differ, if the client may read runs."""
        self._letter(letter_id)
        may_read = client().may(_GET_RUN)
        conflicts = self._conflicts.of(letter_id, asked_by=client() if may_read else None)
        return json_response(conflicts or _abort_unknown_letter())

    @Route(
        "GET",
        f"{_PATH}/<letter_id>",
        summary="One dead letter with its write and attempts",
        action="GetDeadLetter",
        scope=Scope.WRITE,
        experiments=ExperimentRule.HARMLESS,
        answers={200: LetterDocument},
        problems=(404,),
    )
    def show(self, letter_id: str) -> Response:
        """Return a letter."""
        return json_response(self._letter(letter_id))

    @Route(
        "POST",
        f"{_PATH}/<letter_id>/replay",
        summary="Replay a dead letter: queue its write again",
        action="ReplayDeadLetter",
        scope=Scope.WRITE,
        answers={202: Replayed},
        problems=(404,),
    )
    def replay(self, letter_id: str) -> Response:
        """Replay a letter, if the client may make its write."""
        rule = rule_of_op(self._letter(letter_id).op)
        if not client().may(rule):
            raise Forbidden(client(), rule)
        replayed = self._service.replay(letter_id) or _abort_unknown_letter()
        return json_response(replayed, 202, location=f"/v1/jobs/{replayed.job_id}")

    @Route(
        "DELETE",
        f"{_PATH}/<letter_id>",
        summary="Discard a dead letter",
        action="DiscardDeadLetter",
        answers={204: None},
        problems=(404,),
    )
    def discard(self, letter_id: str) -> Response:
        """Discard a letter."""
        self._letter(letter_id)
        return Response(status=204) if self._service.discard(letter_id) else _abort_unknown_letter()

    @Route(
        "POST",
        f"{_PATH}/replay",
        summary="Replay many dead letters: in the background, or at once by their ids",
        action="DrainDeadLetters",
        body=ReplayOrder,
        answers={200: LetterCount | ReplayResults, 202: Drain},
        problems=(409, 413, 415),
    )
    def replay_many(self) -> Response:
        """Begin to replay all letters that a filter matches, or replay those with these ids."""
        order = json_body(ReplayOrder, expected=_EXPECTED)
        if order.letter_ids is not None:
            _check_ids_only(order, rate=order.rate)
            return json_response(ReplayResults(results=self._replay_each(order.letter_ids)))
        wanted = _visible_only(order.filter)
        count = self._service.letters.count(wanted)
        if order.dry_run:
            return json_response(LetterCount(count=count))
        if order.count not in (None, count):
            raise CountChanged("replay", count)
        return self._begin_drain(DrainAction.REPLAY, wanted, rate=order.rate, total=count)

    @Route(
        "POST",
        f"{_PATH}/discard",
        summary="Discard many dead letters: in the background, or at once by their ids",
        action="DrainDeadLetters",
        body=DiscardOrder,
        answers={200: LetterCount | DiscardResults, 202: Drain},
        problems=(409, 413, 415),
    )
    def discard_many(self) -> Response:
        """Begin to discard all letters that a filter matches, if the client knows how many, or those with these ids."""
        order = json_body(DiscardOrder, expected=_EXPECTED)
        if order.letter_ids is not None:
            _check_ids_only(order)
            letters = self._visible(order.letter_ids)
            # The service returns a result for each letter that is visible, in their order.
            discarded = iter(self._service.discard_each([letter.letter_id for letter in letters if letter]))
            results = [next(discarded) if letter else False for letter in letters]
            return json_response(DiscardResults(results=results))
        wanted = _visible_only(order.filter)
        count = self._service.letters.count(wanted)
        if order.dry_run:
            return json_response(LetterCount(count=count))
        if order.count != count:
            raise CountChanged("discard", count)
        return self._begin_drain(DrainAction.DISCARD, wanted, rate=None, total=count)

    def _begin_drain(self, action: DrainAction, wanted: LetterFilter, *, rate: float | None, total: int) -> Response:
        drain = self._service.order(action, wanted, rate=rate, total=total, ordered_by=client().name)
        return json_response(drain, 202, location=f"{_PATH}/drains/{drain.drain_id}")

    def _replay_each(self, letter_ids: list[str]) -> list[Replayed | None]:
        """Replay the letters that are visible to the client, if it may make each of their writes."""
        letters = self._visible(letter_ids)
        for letter in letters:
            if letter and not client().may(rule := rule_of_op(letter.op)):
                raise Forbidden(client(), rule)
        # The service returns a result for each letter that is visible, in their order.
        replayed = iter(self._service.replay_each([letter.letter_id for letter in letters if letter]))
        return [next(replayed) if letter else None for letter in letters]

    def _visible(self, letter_ids: list[str]) -> list[LetterSummary | None]:
        """Return each letter, None if it does not exist or is not visible to the client."""
        owner = visible_client()
        letters = self._service.letters.summaries(letter_ids)
        return [letter if letter and owner in (None, letter.client) else None for letter in letters]

    def _letter(self, letter_id: str) -> LetterDocument:
        """Return a letter that is visible to the client, or abort with 404."""
        letter = self._service.letters.letter(letter_id) or _abort_unknown_letter()
        return letter if visible_client() in (None, letter.client) else _abort_unknown_letter()


def _visible_only(wanted: LetterFilter) -> LetterFilter:
    """Return the filter, limited to the client's own letters unless the client is an operator."""
    owner = visible_client()
    return wanted if owner is None else msgspec.structs.replace(wanted, client=owner)


def _read_filter(arguments: dict[str, str]) -> LetterFilter:
    """Return the filter of a query, limited as `_visible_only` does."""
    try:
        return _visible_only(msgspec.convert(arguments, LetterFilter))
    except msgspec.ValidationError as error:
        abort(400, f"The query is not valid: {error}.")


def _read_order(text: str) -> LetterOrder:
    if text not in set(LetterOrder):
        abort(400, "order must be oldest or newest.")
    return LetterOrder(text)


def _check_ids_only(order: ReplayOrder | DiscardOrder, *, rate: float | None = None) -> None:
    if order.filter != LetterFilter() or order.count is not None or order.dry_run or rate is not None:
        abort(400, "letter_ids goes without filter, rate, count and dry_run: these letters are handled at once.")


def _read_limit(text: str) -> int:
    if not text.isdecimal() or len(text) > 4 or not 0 < int(text) <= _MAX_PAGE_SIZE:
        abort(400, f"limit must be a number from 1 to {_MAX_PAGE_SIZE}.")
    return int(text)


def _abort_unknown_letter() -> NoReturn:
    abort(404, "The dead letter does not exist (any more).")
