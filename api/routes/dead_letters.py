# SPDX-License-Identifier: Apache-2.0
"""Dead letters over HTTP: list, show, replay, discard. Many at once are drained by the workers, in the background."""

from typing import NoReturn, TypeVar

import msgspec
from flask import Blueprint, Response, abort, request

from api.http.exceptions import Forbidden
from api.routes.context import client, visible_client
from bridge.bootstrap.processes import Api
from bridge.outbox.dead_letters import InvalidCursor
from schemas.bodies.byte_order_mark import strip_byte_order_mark
from schemas.client import rule_of_op
from schemas.dead_letter import DiscardOrder, Drain, DrainAction, LetterCount, LetterDocument, LetterFilter, ReplayOrder

_PATH = "/v1/dead-letters"
_MOST_LISTED = 1000

T = TypeVar("T")


def dead_letters(bridge: Api) -> Blueprint:
    """Return the routes of dead letters."""
    blueprint = Blueprint("dead_letters", __name__)
    _listing(blueprint, bridge)
    _one(blueprint, bridge)
    _many(blueprint, bridge)
    _drains(blueprint, bridge)
    return blueprint


def _listing(blueprint: Blueprint, bridge: Api) -> None:
    letters = bridge.dead_letters.letters

    @blueprint.get(_PATH)
    def listed() -> Response:
        arguments = request.args.to_dict()
        cursor, limit = arguments.pop("cursor", None), _limit(arguments.pop("limit", "100"))
        try:
            wanted = _own(_valid(arguments, LetterFilter))
            return _json(letters.page(wanted, after=cursor, limit=limit))
        except InvalidCursor:
            abort(400, "cursor must be the `next` of an earlier page.")


def _one(blueprint: Blueprint, bridge: Api) -> None:
    draining = bridge.dead_letters

    @blueprint.get(f"{_PATH}/<letter_id>")
    def show(letter_id: str) -> Response:
        return _json(_visible(bridge, letter_id))

    @blueprint.post(f"{_PATH}/<letter_id>/replay")
    def replay(letter_id: str) -> Response:
        rule = rule_of_op(_visible(bridge, letter_id).op)
        if not client().may(rule):
            raise Forbidden(client(), rule)
        replayed = draining.replay(letter_id) or _no_letter()
        return _json(replayed, 202, location=f"/v1/jobs/{replayed.job_id}")

    @blueprint.delete(f"{_PATH}/<letter_id>")
    def discard(letter_id: str) -> Response:
        _visible(bridge, letter_id)
        return Response(status=204) if draining.discard(letter_id) else _no_letter()


def _many(blueprint: Blueprint, bridge: Api) -> None:
    draining = bridge.dead_letters

    @blueprint.post(f"{_PATH}/replay")
    def replay_many() -> Response:
        order = _body(ReplayOrder)
        meant = _own(order.filter)
        count = draining.letters.count(meant)
        if order.dry_run:
            return _json(LetterCount(count=count))
        return _begun(draining.order(DrainAction.REPLAY, meant, rate=order.rate, total=count))

    @blueprint.post(f"{_PATH}/discard")
    def discard_many() -> Response:
        order = _body(DiscardOrder)
        meant = _own(order.filter)
        count = draining.letters.count(meant)
        if order.dry_run:
            return _json(LetterCount(count=count))
        if order.count != count:
            abort(409, f'This would discard {count} dead letters. To do so, send the same with "count": {count}.')
        return _begun(draining.order(DrainAction.DISCARD, meant, rate=None, total=count))


def _drains(blueprint: Blueprint, bridge: Api) -> None:
    log = bridge.dead_letters.log

    @blueprint.get(f"{_PATH}/drains/<drain_id>")
    def show_drain(drain_id: str) -> Response:
        return _json(log.drain(drain_id) or abort(404, "There is no such drain, or it ended more than a week ago."))

    @blueprint.delete(f"{_PATH}/drains/<drain_id>")
    def cancel(drain_id: str) -> Response:
        if not log.cancel(drain_id):
            abort(409, "There is no such drain, or it does not run any more.")
        return Response(status=204)


def _own(wanted: LetterFilter) -> LetterFilter:
    """Return the filter for the letters of who asks, unless he is an operator."""
    owner = visible_client()
    return wanted if owner is None else msgspec.structs.replace(wanted, client=owner)


def _visible(bridge: Api, letter_id: str) -> LetterDocument:
    """Return a letter that who asks may see: his own, or any if he is an operator."""
    letter = bridge.dead_letters.letters.letter(letter_id) or _no_letter()
    return letter if visible_client() in (None, letter.client) else _no_letter()


def _begun(drain: Drain) -> Response:
    return _json(drain, 202, location=f"{_PATH}/drains/{drain.drain_id}")


def _limit(text: str) -> int:
    if not text.isdecimal() or len(text) > 4 or not 0 < int(text) <= _MOST_LISTED:
        abort(400, f"limit must be a number from 1 to {_MOST_LISTED}.")
    return int(text)


def _no_letter() -> NoReturn:
    abort(404, "There is no such dead letter (any more).")


def _body(kind: type[T]) -> T:
    if request.mimetype != "application/json":
        # A web page can send other types to any address without being asked.
        abort(415, "Send a JSON body with Content-Type: application/json; {} means all dead letters.")
    try:
        return msgspec.json.decode(strip_byte_order_mark(request.get_data()), type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        abort(400, f"The body is not valid: {error}.")


def _valid(arguments: dict[str, str], kind: type[T]) -> T:
    try:
        return msgspec.convert(arguments, kind)
    except msgspec.ValidationError as error:
        abort(400, f"The query is not valid: {error}.")


def _json(document: object, status: int = 200, *, location: str | None = None) -> Response:
    answer = Response(msgspec.json.encode(document), status, content_type="application/json")
    if location:
        answer.headers["Location"] = location
    return answer
