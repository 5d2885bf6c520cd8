# SPDX-License-Identifier: Apache-2.0
"""The bridge's own routes: one declaration each, and the table of all of them.

A `Route` decorates the function that serves it. Authorization, experiment limits, rate limits, error formats and
OpenAPI are derived from the table, so a new route of a known class needs one declaration. A new action also goes into
`schemas.client.OWN_ACTIONS`, and a new query parameter into `api.openapi.constraints`.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import KW_ONLY, dataclass
from functools import cached_property
from types import UnionType
from typing import Any, TypeVar

from schemas.client import ACTIONS, OWN_ACTIONS, Rule, Scope
from schemas.endpoints import ExperimentRule

View = TypeVar("View", bound=Callable[..., Any])

#: The attribute of a decorated function that holds its route.
_ROUTE_ATTRIBUTE = "bridge_route"
#: A variable part of a path in Werkzeug's notation: `<name>`, or `<path:name>` if it may hold slashes.
_VARIABLE = re.compile(r"<(path:)?(\w+)>")


@dataclass(frozen=True, eq=False)
class Route:
    """A method and path of the bridge's own: what is checked before its function is called, and what OpenAPI says.

    >>> @Route("GET", "/v1/backlog", summary="The backlog", action="GetBacklog", answers={200: None})
    ... def show() -> Response: ...
    """

    method: str
    path: str
    _: KW_ONLY
    summary: str
    #: The type of the document for each status, or a union of types; None for a body without a schema.
    answers: Mapping[int, type | UnionType | None]
    #: Statuses of problem documents, in addition to those that every route may have.
    problems: tuple[int, ...] = ()
    #: The action that a client needs, and the scope that includes it; None if it must be allowed by name.
    action: str | None = None
    scope: Scope | None = None
    #: What a client that is limited to experiments may do. `RUN` checks the run that the path or the body names.
    experiments: ExperimentRule = ExperimentRule.REFUSED
    #: Whether it needs no credentials; it has no action then.
    is_open: bool = False
    #: Whether it serves files of the bridge itself. It is open, and credentials are not looked at.
    is_static: bool = False
    #: Whether every client may call it, because it is about the client itself; it has no action then.
    is_personal: bool = False
    #: Whether it queues writes. It takes an Idempotency-Key.
    is_queued: bool = False
    #: Whether it also answers with all pages of its list as CSV (`api.routes.csv_response`).
    has_csv: bool = False
    #: Whether it changes nothing although it is a POST (a safe method in RFC 9110, section 9.2.1).
    is_read: bool = False
    #: Whether clients ask it again and again. Its 200 then has an ETag, and ``answers`` needs 304. The document states
    #: moments and no ages: what only grows older stays equal.
    is_polled: bool = False
    #: The type of the JSON body. ``content`` is for other bodies: it returns OpenAPI's schemas by media type.
    body: type | None = None
    content: Callable[[], dict[str, Any]] | None = None
    #: Whether it requires a version of what it changes: ``If-Match``, or for what is new ``If-None-Match: *``.
    is_conditional: bool = False
    #: The preferences that it honours (RFC 7240), and the names of its query parameters.
    prefers: tuple[str, ...] = ()
    query: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Raise ``ValueError`` unless the route is exactly one of: open, personal, or for an action to be allowed."""
        if self.is_open + self.is_personal + (self.action is not None) != 1:
            raise ValueError(f"{self.method} {self.path} must have an action, be open, or be personal")
        if self.action and self.action not in ACTIONS | OWN_ACTIONS:
            raise ValueError(f"{self.method} {self.path}: {self.action} is not in schemas.client.OWN_ACTIONS")
        if self.is_polled and (self.method != "GET" or 304 not in self.answers):
            raise ValueError(f"{self.method} {self.path}: a polled route is a GET that may answer 304")

    def __call__(self, view: View) -> View:
        """Declare this route for a function."""
        view.__dict__[_ROUTE_ATTRIBUTE] = self
        return view

    @cached_property
    def rule(self) -> Rule | None:
        """The permission that it needs; None if it is open or personal."""
        return Rule(self.action, self.scope) if self.action else None

    @cached_property
    def has_audited_effect(self) -> bool:
        """Whether it changes anything, other than by queued writes. Open routes, which sign browsers in, do not."""
        return not (self.method == "GET" or self.is_read or self.is_queued or self.is_open)

    @cached_property
    def template(self) -> str:
        """The path in OpenAPI's notation: ``/v1/jobs/{job_id}``."""
        return _VARIABLE.sub(r"{\2}", self.path)

    @cached_property
    def root(self) -> str:
        """The path up to its first variable part."""
        return _VARIABLE.split(self.path)[0].rstrip("/")

    def parameters(self, path: str) -> dict[str, str] | None:
        """Return the variable parts of a path, None if it is not a path of this route."""
        found = self._pattern.fullmatch(path)
        return found and found.groupdict()

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        pattern, end = "", 0
        for variable in _VARIABLE.finditer(self.path):
            kind = ".+" if variable[1] else "[^/]+"
            pattern += re.escape(self.path[end : variable.start()]) + f"(?P<{variable[2]}>{kind})"
            end = variable.end()
        return re.compile(pattern + re.escape(self.path[end:]))


class RouteTable:
    """All routes of the bridge's own, and which of them a request means."""

    def __init__(self, routes: Iterable[Route]) -> None:
        # A path with fewer variables comes first, then the longer one: `<path:name>` would match what follows it, too.
        self._routes = sorted(routes, key=lambda route: (route.path.count("<"), -len(route.path)))
        self._by_method_and_path = {
            (route.method, route.path): route for route in self._routes if "<" not in route.path
        }
        if len({(route.method, route.path) for route in self._routes}) < len(self._routes):
            raise ValueError("two routes have the same method and path")
        self._open = [route for route in self._routes if route.is_open]
        roots = {route.root for route in self._routes}
        self._roots = tuple(sorted(root for root in roots if not any(root.startswith(f"{each}/") for each in roots)))

    def __iter__(self) -> Iterator[Route]:
        return iter(self._routes)

    def find(self, method: str, path: str) -> Route | None:
        """Return the route of a request, None if there is none. HEAD is served by the route of GET."""
        method = "GET" if method == "HEAD" else method
        if route := self._by_method_and_path.get((method, path)):
            return route
        return next(
            (route for route in self._routes if route.method == method and route.parameters(path) is not None), None
        )

    def is_own(self, path: str) -> bool:
        """Return whether a path is one of the bridge's own, or below one. All other paths are MLflow's."""
        return path.startswith(self._roots) and any(path == root or path.startswith(f"{root}/") for root in self._roots)

    def is_open(self, path: str) -> bool:
        """Return whether a path needs no credentials, whatever the method is."""
        return any(route.parameters(path) is not None for route in self._open)


def declared_in(*classes: type) -> Iterator[Route]:
    """Yield the routes of the decorated methods of classes."""
    for class_ in classes:
        for attribute in vars(class_).values():
            if route := getattr(attribute, "__dict__", {}).get(_ROUTE_ATTRIBUTE):
                yield route


def views_of(*instances: object) -> Iterator[tuple[Route, Callable[..., Any]]]:
    """Yield each route with the bound method that serves it."""
    for instance in instances:
        for name, attribute in vars(type(instance)).items():
            if route := getattr(attribute, "__dict__", {}).get(_ROUTE_ATTRIBUTE):
                yield route, getattr(instance, name)
