# SPDX-License-Identifier: Apache-2.0
"""Authorizes requests: the client must have the permission for the action of the call."""

from api.http.exceptions import Forbidden
from api.http.request import Request
from schemas.client import ANYBODY, Rule, rule_for_upstream

#: For a path below one of the bridge's own that no route serves. Admins get a 404 there, other clients a 403.
_NO_ROUTE = Rule("CallUnknown")


def authorize(request: Request) -> str | None:
    """Return the action that the call needs, or raise ``Forbidden``. None for an open call, and without BRIDGE_AUTH."""
    if request.client is ANYBODY:
        return None
    rule = _rule_of(request)
    if rule is None:
        return None
    if not request.client.may(rule):
        raise Forbidden(request.client, rule)
    return rule.action


def _rule_of(request: Request) -> Rule | None:
    if request.is_open:
        return None
    if not request.is_own:
        return rule_for_upstream(request.endpoint_match, request.method)
    return request.own_route.rule if request.own_route else _NO_ROUTE
