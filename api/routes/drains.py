# SPDX-License-Identifier: Apache-2.0
"""Drains: list, show, change the rate, cancel. `api.routes.dead_letters` begins them."""

from typing import NoReturn

from flask import Response, abort, request

from api.http.routing import Route
from api.routes.context import visible_client
from api.routes.json_bodies import json_body, json_response
from bridge.outbox.dead_letters import DrainLog
from schemas.drain import Drain, DrainChange, DrainPage, DrainState

_PATH = "/v1/dead-letters/drains"
_MAX_LIMIT = 1000


class DrainRoutes:
    """Serves drains. A client sees those of its own letters, an operator all."""

    def __init__(self, log: DrainLog) -> None:
        self._log = log

    @Route(
        "GET",
        _PATH,
        summary="Drains, the newest first",
        action="DrainDeadLetters",
        is_polled=True,
        query=("state", "limit"),
        answers={200: DrainPage, 304: None},
    )
    def page(self) -> Response:
        """Return the drains of the last week, and those that run."""
        arguments = request.args.to_dict()
        state, limit = arguments.pop("state", None), arguments.pop("limit", "100")
        if arguments or state not in (None, *DrainState):
            abort(400, f"The query may have state ({', '.join(DrainState)}) and limit.")
        if not (limit.isascii() and limit.isdecimal()) or len(limit) > 4 or not 0 < int(limit) <= _MAX_LIMIT:
            abort(400, f"limit must be a number from 1 to {_MAX_LIMIT}.")
        drains = self._log.drains(state=DrainState(state) if state else None, limit=_MAX_LIMIT)
        return json_response(DrainPage(drains=[drain for drain in drains if _is_visible(drain)][: int(limit)]))

    @Route(
        "GET",
        f"{_PATH}/<drain_id>",
        summary="The progress of a drain",
        action="DrainDeadLetters",
        is_polled=True,
        answers={200: Drain, 304: None},
        problems=(404,),
    )
    def show(self, drain_id: str) -> Response:
        """Return a drain."""
        return json_response(self._find(drain_id) or _abort_unknown())

    @Route(
        "PATCH",
        f"{_PATH}/<drain_id>",
        summary="Change the rate of a drain",
        action="DrainDeadLetters",
        body=DrainChange,
        answers={200: Drain},
        problems=(404, 409, 413, 415),
    )
    def change(self, drain_id: str) -> Response:
        """Change the rate of a running drain, for the worker that carries it out now as well."""
        change = json_body(DrainChange, expected='{"rate": 5.0}')
        if not self._find(drain_id):
            _abort_unknown()
        return json_response(self._log.change_rate(drain_id, change.rate) or abort(409, "The drain is not running."))

    @Route(
        "DELETE",
        f"{_PATH}/<drain_id>",
        summary="Cancel a drain",
        action="DrainDeadLetters",
        answers={204: None},
        problems=(409,),
    )
    def cancel(self, drain_id: str) -> Response:
        """Cancel a running drain."""
        if not self._find(drain_id) or not self._log.cancel(drain_id):
            abort(409, "The drain does not exist, or is not running.")
        return Response(status=204)

    def _find(self, drain_id: str) -> Drain | None:
        """Return a drain that is visible to the client."""
        drain = self._log.drain(drain_id)
        return drain if drain and _is_visible(drain) else None


def _is_visible(drain: Drain) -> bool:
    return visible_client() in (None, drain.filter.client)


def _abort_unknown() -> NoReturn:
    abort(404, "The drain does not exist, or ended more than a week ago.")
