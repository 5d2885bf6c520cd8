# SPDX-License-Identifier: Apache-2.0
"""Dead letters: list, show, replay, discard. Workers replay or discard many of them as a drain, in the background."""

from typing import NoReturn

import msgspec
from flask import Response, abort, request

from api.http.exceptions import Forbidden
from api.http.routing import Route
from api.routes.context import client, visible_client
from api.routes.json_bodies import json_body, json_response
from bridge.outbox.dead_letters import DeadLetterService, InvalidCursor
from schemas.client import Scope, rule_of_op
from schemas.dead_letter import (
    DiscardOrder,
    Drain,
    DrainAction,
    LetterCount,
    LetterDocument,
    LetterFilter,
    LetterPage,
    Replayed,
    ReplayOrder,
)
from schemas.endpoints import ExperimentRule

_PATH = "/v1/dead-letters"
_MAX_PAGE_SIZE = 1000
_EXPECTED = "a JSON body ({} means all dead letters)"


class DeadLetterRoutes:
    """Serves dead letters. A client sees its own, an operator all."""

    def __init__(self, service: DeadLetterService) -> None:
        self._service = service

    @Route(
        "GET",
        _PATH,
        summary="Dead letters, the oldest first",
        action="GetDeadLetter",
        scope=Scope.WRITE,
        experiments=ExperimentRule.HARMLESS,
        query=("reason", "run_id", "lane", "client", "since", "until", "cursor", "limit"),
        answers={200: LetterPage},
    )
    def page(self) -> Response:
        """Return a page of the letters that a filter matches."""
        arguments = request.args.to_dict()
        cursor, limit = arguments.pop("cursor", None), _limit(arguments.pop("limit", "100"))
        try:
            wanted = _visible_only(msgspec.convert(arguments, LetterFilter))
            return json_response(self._service.letters.page(wanted, after=cursor, limit=limit))
        except msgspec.ValidationError as error:
            abort(400, f"The query is not valid: {error}.")
        except InvalidCursor:
            abort(400, "cursor must be the `next` of an earlier page.")

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
        summary="Replay many dead letters in the background",
        action="DrainDeadLetters",
        body=ReplayOrder,
        answers={200: LetterCount, 202: Drain},
        problems=(413, 415),
    )
    def replay_many(self) -> Response:
        """Begin to replay all letters that a filter matches."""
        order = json_body(ReplayOrder, expected=_EXPECTED)
        wanted = _visible_only(order.filter)
        count = self._service.letters.count(wanted)
        if order.dry_run:
            return json_response(LetterCount(count=count))
        return _drain_response(self._service.order(DrainAction.REPLAY, wanted, rate=order.rate, total=count))

    @Route(
        "POST",
        f"{_PATH}/discard",
        summary="Discard many dead letters in the background",
        action="DrainDeadLetters",
        body=DiscardOrder,
        answers={200: LetterCount, 202: Drain},
        problems=(409, 413, 415),
    )
    def discard_many(self) -> Response:
        """Begin to discard all letters that a filter matches, if the client knows how many they are."""
        order = json_body(DiscardOrder, expected=_EXPECTED)
        wanted = _visible_only(order.filter)
        count = self._service.letters.count(wanted)
        if order.dry_run:
            return json_response(LetterCount(count=count))
        if order.count != count:
            abort(409, f'This would discard {count} dead letters. To do so, send the same with "count": {count}.')
        return _drain_response(self._service.order(DrainAction.DISCARD, wanted, rate=None, total=count))

    @Route(
        "GET",
        f"{_PATH}/drains/<drain_id>",
        summary="The progress of a drain",
        action="DrainDeadLetters",
        answers={200: Drain},
        problems=(404,),
    )
    def show_drain(self, drain_id: str) -> Response:
        """Return a drain."""
        drain = self._service.log.drain(drain_id)
        return json_response(drain or abort(404, "The drain does not exist, or ended more than a week ago."))

    @Route(
        "DELETE",
        f"{_PATH}/drains/<drain_id>",
        summary="Cancel a drain",
        action="DrainDeadLetters",
        answers={204: None},
        problems=(409,),
    )
    def cancel_drain(self, drain_id: str) -> Response:
        """Cancel a running drain."""
        if not self._service.log.cancel(drain_id):
            abort(409, "The drain does not exist, or is not running.")
        return Response(status=204)

    def _letter(self, letter_id: str) -> LetterDocument:
        """Return a letter that is visible to the client, or abort with 404."""
        letter = self._service.letters.letter(letter_id) or _abort_unknown_letter()
        return letter if visible_client() in (None, letter.client) else _abort_unknown_letter()


def _visible_only(wanted: LetterFilter) -> LetterFilter:
    """Return the filter, limited to the client's own letters unless the client is an operator."""
    owner = visible_client()
    return wanted if owner is None else msgspec.structs.replace(wanted, client=owner)


def _drain_response(drain: Drain) -> Response:
    return json_response(drain, 202, location=f"{_PATH}/drains/{drain.drain_id}")


def _limit(text: str) -> int:
    if not text.isdecimal() or len(text) > 4 or not 0 < int(text) <= _MAX_PAGE_SIZE:
        abort(400, f"limit must be a number from 1 to {_MAX_PAGE_SIZE}.")
    return int(text)


def _abort_unknown_letter() -> NoReturn:
    abort(404, "The dead letter does not exist (any more).")
