# SPDX-License-Identifier: Apache-2.0
"""A route is declared in one place, and everything that depends on routes follows from there."""

import asyncio
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from flask import Response

from api.auth.authorization import authorize
from api.auth.experiment_scope import ExperimentScope
from api.http.exceptions import Forbidden, OutsideExperiments
from api.http.request import Identity, ReadTimeout, Request
from api.http.routing import Route, RouteTable, declared_in
from api.openapi.document import openapi_document
from api.routes.app import create_flask_app
from api.routes.context import CLIENT, REQUEST_ID
from schemas.client import UNAUTHENTICATED, Client, Scope
from schemas.endpoints import ExperimentRule


class Receipt(msgspec.Struct):
    """A receipt."""

    number: int


class Extra:
    """Routes that are declared here only."""

    @Route(
        "GET",
        "/v1/receipts/<path:run>/first",
        summary="The first receipt of a run",
        action="GetJob",
        scope=Scope.READ,
        experiments=ExperimentRule.RUN,
        answers={200: Receipt},
        query=("limit",),
        problems=(404,),
    )
    def show(self, run: str) -> Response:
        return Response(run)

    @Route("POST", "/v1/receipts", summary="Make a receipt", action="DrainDeadLetters", answers={204: None})
    def make(self) -> Response:
        return Response(status=204)

    @Route("GET", "/v1/hello", summary="Say hello", is_open=True, answers={200: None})
    def hello(self) -> Response:
        return Response("hello")


TABLE = RouteTable(declared_in(Extra))
SHOW = "/v1/receipts/nightly/7/first"


class Lookup:
    """Everything is in experiment 7."""

    def is_seen_within(self, *_: object) -> bool:
        return False

    def is_within(self, _: object, among: frozenset[str], **__: object) -> bool:
        return "7" in among


def request(method: str, path: str, client: Client = UNAUTHENTICATED) -> Request:
    async def receive() -> dict[str, Any]:
        raise AssertionError("no body is read")

    scope = {"method": method, "path": path, "headers": [], "query_string": b""}
    made = Request(scope, receive, routes=TABLE, read_timeout=ReadTimeout(seconds=1))
    made.identity = Identity(client)
    return made


def test_authorization_follows_from_the_declaration() -> None:
    assert authorize(request("GET", SHOW, Client(name="c", scopes=(Scope.READ,)))) == "GetJob"
    assert authorize(request("HEAD", SHOW, Client(name="c", scopes=(Scope.READ,)))) == "GetJob"
    assert authorize(request("GET", "/v1/hello")) is None
    for call in (("GET", SHOW), ("POST", "/v1/receipts"), ("DELETE", "/v1/receipts/x")):
        with pytest.raises(Forbidden):
            authorize(request(*call, Client(name="c", scopes=(Scope.WRITE,))))


@pytest.mark.parametrize(
    ("call", "experiment", "is_allowed"),
    [(("GET", SHOW), "7", True), (("GET", SHOW), "8", False), (("POST", "/v1/receipts"), "7", False)],
)
def test_limits_to_experiments_follow_from_the_declaration(
    call: tuple[str, str], experiment: str, *, is_allowed: bool
) -> None:
    lookup: Any = Lookup()
    limited = Client(name="c", experiments=frozenset({experiment}))
    checking = ExperimentScope(lookup).check(request(*call, limited), "GetJob")

    if is_allowed:
        asyncio.run(checking)
    else:
        with pytest.raises(OutsideExperiments):
            asyncio.run(checking)


def test_own_paths_follow_from_the_declaration() -> None:
    own = {path: TABLE.is_own(path) for path in ("/v1/receipts", SHOW, "/v1/receiptsx", "/v1/hello", "/v1/jobs")}

    assert own == {"/v1/receipts": True, SHOW: True, "/v1/receiptsx": False, "/v1/hello": True, "/v1/jobs": False}


def test_openapi_follows_from_the_declaration() -> None:
    document = openapi_document(TABLE)

    shown = document["paths"]["/v1/receipts/{run}/first"]["get"]
    assert shown["summary"] == "The first receipt of a run"
    assert [parameter["name"] for parameter in shown["parameters"]] == ["run", "limit"]
    assert shown["responses"]["200"]["description"] == "A receipt."
    assert "404" in shown["responses"]
    assert "Receipt" in document["components"]["schemas"]
    assert document["paths"]["/v1/hello"]["get"]["security"] == [{}]
    assert "post" in document["paths"]["/v1/receipts"]


def test_flask_serves_what_is_declared() -> None:
    app = create_flask_app(Extra(), on_change=lambda: None).test_client()
    scope = {"asgi.scope": {CLIENT: UNAUTHENTICATED, REQUEST_ID: "1"}}

    assert app.get(SHOW, environ_overrides=scope).text == "nightly/7"
    assert app.post("/v1/receipts", environ_overrides=scope).status_code == 204
    refused = app.delete("/v1/receipts", environ_overrides=scope)
    assert (refused.status_code, refused.content_type) == (405, "application/problem+json")


class Polled:
    """A route that clients ask again and again."""

    def __init__(self) -> None:
        self.number = 1

    @Route("GET", "/v1/number", summary="A number", is_open=True, is_polled=True, answers={200: None, 304: None})
    def show(self) -> Response:
        return Response(str(self.number), 200 if self.number else 404)


def test_a_polled_route_answers_304_as_long_as_nothing_has_changed() -> None:
    polled = Polled()
    app = create_flask_app(polled, on_change=lambda: None).test_client()
    scope = {"asgi.scope": {CLIENT: UNAUTHENTICATED, REQUEST_ID: "1"}}
    first = app.get("/v1/number", environ_overrides=scope)
    known = {"If-None-Match": first.headers["ETag"]}

    same = app.get("/v1/number", headers=known, environ_overrides=scope)
    polled.number = 2
    changed = app.get("/v1/number", headers=known, environ_overrides=scope)
    polled.number = 0
    gone = app.get("/v1/number", headers=known, environ_overrides=scope)

    assert [each.status_code for each in (first, same, changed, gone)] == [200, 304, 200, 404]
    assert (same.data, changed.data) == (b"", b"2")
    assert first.headers["Cache-Control"] == "no-cache"
    assert set(first.vary) == {"Authorization", "Cookie"}
    assert "ETag" not in gone.headers


def test_only_a_get_that_may_answer_304_is_polled() -> None:
    declare: Any = Route
    for method, answers in (("POST", {200: None, 304: None}), ("GET", {200: None})):
        with pytest.raises(ValueError, match="polled"):
            declare(method, "/v1/x", summary="x", is_open=True, is_polled=True, answers=answers)


def test_a_route_needs_an_action_that_clients_can_be_allowed_or_is_open() -> None:
    declare: Any = Route
    for wrong in ({"action": "DoAnything"}, {}, {"action": "GetJob", "is_open": True}):
        with pytest.raises(ValueError, match="GET /v1/x"):
            declare("GET", "/v1/x", summary="x", answers={200: None}, **wrong)


def test_a_method_and_path_belong_to_one_route() -> None:
    def twice() -> Iterator[Route]:
        yield from declared_in(Extra)
        yield from declared_in(Extra)

    with pytest.raises(ValueError, match="two routes"):
        RouteTable(twice())


@pytest.mark.parametrize(
    ("path", "found"),
    [
        (SHOW, {"run": "nightly/7"}),
        ("/v1/receipts/a/first/first", {"run": "a/first"}),
        ("/v1/receipts//first", None),
        ("/v1/receipts/first", None),
    ],
)
def test_a_path_with_slashes_in_its_variable_is_found(path: str, found: dict[str, str] | None) -> None:
    route = TABLE.find("GET", path)

    assert (route.parameters(path) if route else None) == found
