# SPDX-License-Identifier: Apache-2.0
"""Usage: what each client has asked for, by hour or by day."""

import datetime as dt
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TypeVar

from flask import Response, abort

from api.http.routing import Route
from api.routes.context import client
from api.routes.csv_response import PAGE_ROWS, csv_response, wants_csv
from api.routes.json_bodies import json_response, query_of
from bridge.process.clock import Clock
from bridge.telemetry.usage import UsageStore
from schemas.endpoints import ExperimentRule
from schemas.usage import (
    ClientUsage,
    OwnUsageQuery,
    UsagePage,
    UsagePeriod,
    UsageQuery,
    UsageRow,
    rows_of,
    step_of,
    sum_of,
)

_MAX_HOURS, _MAX_DAYS, _MAX_LIMIT = 192, 396, 1000
_DEFAULT_HOURS = 24

Query = TypeVar("Query", bound=OwnUsageQuery)


class UsageRoutes:
    """Serves the usage of clients."""

    def __init__(self, usage: UsageStore, clock: Clock) -> None:
        self._usage = usage
        self._clock = clock

    @Route(
        "GET",
        "/v1/usage",
        summary="The usage of clients, by hour or day",
        action="GetUsage",
        experiments=ExperimentRule.HARMLESS,
        answers={200: UsagePage, 304: None},
        is_polled=True,
        problems=(400,),
        query=("client", "hours", "days", "cursor", "limit"),
    )
    def of_clients(self) -> Response:
        """Return a page of clients, or as CSV all of them."""
        query = _read_query(UsageQuery)
        if not 1 <= query.limit <= _MAX_LIMIT:
            abort(400, f"The query is not valid: `limit` must be from 1 to {_MAX_LIMIT}.")
        period, begins = self._span(query)
        names = [query.client] if query.client is not None else self._usage.clients(begins[0])
        return self._respond(names, period, begins, after=query.cursor, limit=query.limit)

    @Route(
        "GET",
        "/v1/usage/mine",
        summary="The usage of the client that asks, by hour or day",
        is_personal=True,
        experiments=ExperimentRule.HARMLESS,
        answers={200: UsagePage, 304: None},
        is_polled=True,
        problems=(400,),
        query=("hours", "days"),
    )
    def own(self) -> Response:
        """Return what the client has used."""
        period, begins = self._span(_read_query(OwnUsageQuery))
        return self._respond([client().name], period, begins)

    def _span(self, query: OwnUsageQuery) -> tuple[UsagePeriod, list[dt.datetime]]:
        """Return the period, and when each hour or day begins; the last one is the running one."""
        period = UsagePeriod.DAY if query.days else UsagePeriod.HOUR
        count = query.days or query.hours or _DEFAULT_HOURS
        running = period.begin(self._clock.now())
        return period, [running - dt.timedelta(seconds=period * number) for number in reversed(range(count))]

    def _respond(
        self, names: list[str], period: UsagePeriod, begins: list[dt.datetime], *, after: str = "", limit: int = 1
    ) -> Response:
        def page(after: str, limit: int) -> tuple[list[ClientUsage], str | None]:
            left = [name for name in names if name > after]
            read = self._usage.read(left[:limit], period, begins)
            usage = [client_usage(name, steps) for name, steps in read.items()]
            return usage, left[limit - 1] if len(left) > limit else None

        def rows(cursor: str | None) -> tuple[Sequence[UsageRow], str | None]:
            usage, following = page(cursor or after, max(1, PAGE_ROWS // len(begins)))
            return [row for each in usage for row in rows_of(each)], following

        if wants_csv():
            return csv_response("usage", UsageRow, rows)
        usage, following = page(after, limit)
        response = json_response(UsagePage(step=period, begin=begins[0], clients=usage, next=following))
        response.vary.add("Accept")
        return response


def client_usage(name: str, steps: Mapping[dt.datetime, Mapping[str, int]]) -> ClientUsage:
    """Return the usage of a client as a document."""
    total: Counter[str] = Counter()
    for counts in steps.values():
        total.update(counts)
    hours = [step_of(begin, counts) for begin, counts in steps.items()]
    return ClientUsage(client=name, hours=hours, total=sum_of(total))


def _read_query(kind: type[Query]) -> Query:
    query = query_of(kind)
    if query.hours is not None and query.days is not None:
        abort(400, "The query is not valid: send `hours` or `days`, not both.")
    for name, value, most in (("hours", query.hours, _MAX_HOURS), ("days", query.days, _MAX_DAYS)):
        if value is not None and not 1 <= value <= most:
            abort(400, f"The query is not valid: `{name}` must be from 1 to {most}.")
    return query
