# SPDX-License-Identifier: Apache-2.0
"""What each call needs: the bridge's own, and through `schemas.client` those of MLflow's."""

import re

from api.http.exceptions import Forbidden
from api.http.paths import is_own_path
from api.http.request import Request
from schemas.client import ANYBODY, Client, Rule, Scope, rule_for_upstream

#: Open to strangers: they tell nothing of anybody's.
OPEN = frozenset({"/healthz", "/readyz", "/openapi.json", "/docs"})

_WRITE, _READ = Scope.WRITE, Scope.READ
_LETTERS = "/v1/dead-letters"

#: The bridge's own calls. What belongs to other clients is seen, and drained, by operators only.
RULES: dict[tuple[str, str], Rule] = {
    ("POST", "/v1/writes"): Rule("LogBatch", _WRITE),
    ("POST", "/v1/runs"): Rule("CreateRun", _WRITE),
    ("GET", "/v1/runs/<path:name>"): Rule("GetRun", _READ),
    ("GET", "/v1/runs/<path:run>/backlog"): Rule("GetRun", _READ),
    ("GET", "/v1/jobs"): Rule("GetJob", _WRITE),
    ("GET", "/v1/jobs/<job_id>"): Rule("GetJob", _WRITE),
    ("POST", "/v1/jobs/lookup"): Rule("GetJob", _WRITE),
    ("GET", "/v1/backlog"): Rule("GetBacklog"),
    ("GET", "/metrics"): Rule("GetMetrics"),
    ("GET", _LETTERS): Rule("GetDeadLetter", _WRITE),
    ("GET", f"{_LETTERS}/<letter_id>"): Rule("GetDeadLetter", _WRITE),
    ("POST", f"{_LETTERS}/<letter_id>/replay"): Rule("ReplayDeadLetter", _WRITE),
    ("DELETE", f"{_LETTERS}/<letter_id>"): Rule("DiscardDeadLetter"),
    ("POST", f"{_LETTERS}/replay"): Rule("DrainDeadLetters"),
    ("POST", f"{_LETTERS}/discard"): Rule("DrainDeadLetters"),
    ("GET", f"{_LETTERS}/drains/<drain_id>"): Rule("DrainDeadLetters"),
    ("DELETE", f"{_LETTERS}/drains/<drain_id>"): Rule("DrainDeadLetters"),
}

#: A path of ours that there is not; only who may do everything is told so.
_NOWHERE = Rule("CallUnknown")


def check_allowed(client: Client, request: Request) -> None:
    """Raise ``Forbidden`` unless the client may do what the request asks for."""
    if client is ANYBODY:
        request.decision = "allowed"
        return
    rule = _rule_of(request)
    if rule is not None:
        request.action, request.decision = rule.action, "denied"
        if not client.may(rule):
            raise Forbidden(client, rule)
    request.decision = "allowed"


def _rule_of(request: Request) -> Rule | None:
    """Return what it needs, None for what is open to everybody."""
    if request.path in OPEN:
        return None
    if not is_own_path(request.path):
        return rule_for_upstream(request.found, request.method)
    route = route_of(request.method, request.path)
    return RULES[route] if route else _NOWHERE


def route_of(method: str, path: str) -> tuple[str, str] | None:
    """Return which of the bridge's own calls this is, None if it is none."""
    method = "GET" if method == "HEAD" else method
    return next((route for route, pattern in _PATTERNS if route[0] == method and pattern.fullmatch(path)), None)


def _pattern(route: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"<path:\w+>", ".+", re.sub(r"<\w+>", "[^/]+", route)))


# The longest first: what stands behind a path that may hold slashes is no part of it.
_PATTERNS = [
    ((method, route), _pattern(route))
    for method, route in sorted(RULES, key=lambda call: (call[1].count("<"), -len(call[1])))
]
