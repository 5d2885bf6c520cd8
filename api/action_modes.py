# SPDX-License-Identifier: Apache-2.0
"""Applies ``BRIDGE_ACTION_MODES`` to requests: calls that are normally queued are proxied or refused."""

from msgspec.structs import replace

from api.http.exceptions import ActionRefused
from api.http.request import Request
from bridge.config.action_modes import ActionModes
from schemas.client import rule_for_upstream, rule_of_op
from schemas.endpoints import Handling
from schemas.write import Op


class ActionSwitch:
    """Changes how calls are handled, by their action (docs/adr/0027)."""

    def __init__(self, modes: ActionModes) -> None:
        self._modes = modes

    def switch(self, request: Request) -> None:
        """Make a request that is normally queued a proxied one if its action is proxied."""
        match = request.endpoint_match
        if self._modes and match and match.op and self._mode_of(request) is Handling.PROXIED:
            request.switched_op = match.op
            request.endpoint_match = replace(match, op=None)

    def check(self, request: Request) -> None:
        """Raise ``ActionRefused`` if the action of the request is refused."""
        if self._modes and self._mode_of(request) is Handling.REFUSED:
            raise ActionRefused(_action_of(request) or "")

    def check_queued(self, op: Op) -> None:
        """Raise ``ActionRefused`` unless writes of this kind are queued: a bulk request is never proxied."""
        action = rule_of_op(op).action
        mode = self._modes.get(action, Handling.QUEUED)
        # CreateRun is also the action of MLflow's own call, which is always proxied. A run by name is always queued.
        if mode is Handling.PROXIED and op is Op.CREATE_RUN:
            return
        if mode is not Handling.QUEUED:
            raise ActionRefused(action)

    def _mode_of(self, request: Request) -> Handling | None:
        return self._modes.get(_action_of(request) or "")


def _action_of(request: Request) -> str | None:
    if not request.is_own:
        return rule_for_upstream(request.endpoint_match, request.method).action
    # Reading the state of the bridge is never switched.
    return request.own_route.action if request.own_route and request.own_route.is_queued else None
