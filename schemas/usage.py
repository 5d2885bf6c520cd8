# SPDX-License-Identifier: Apache-2.0
"""The documents of usage: what clients have asked for, by hour or by day."""

import datetime as dt
import enum
from collections.abc import Mapping

import msgspec
from msgspec import structs

#: Where a request of MLflow's AI Gateway does not show the name of its endpoint, or names too many.
OTHER_ENDPOINT = "other"
#: Separates the name of a count from the endpoint of MLflow's AI Gateway that is counted.
_ENDPOINT_SEPARATOR = "/"


class UsagePeriod(enum.IntEnum):
    """The span that one count is for, in seconds."""

    HOUR = 3600
    DAY = 86_400

    def begin(self, moment: dt.datetime) -> dt.datetime:
        """Return when the period of a moment begins, in UTC."""
        return dt.datetime.fromtimestamp(moment.timestamp() // self * self, dt.UTC)


class EndpointUsage(msgspec.Struct, frozen=True, kw_only=True):
    """The calls of one endpoint of MLflow's AI Gateway that it has answered, and their tokens."""

    requests: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0


class UsageTotal(msgspec.Struct, frozen=True, kw_only=True):
    """The usage of a client. Counts of requests and writes, bytes of request bodies, and tokens."""

    requests: int = 0
    #: Writes that were accepted, without those that an idempotency key repeats.
    writes: int = 0
    bytes: int = 0
    #: Requests without the permission.
    denied: int = 0
    #: Requests beyond a quota.
    limited: int = 0
    #: Requests with writes that were not accepted for another reason: they are invalid, or there is no room.
    refused: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    #: By endpoint of MLflow's AI Gateway.
    models: dict[str, EndpointUsage] = msgspec.field(default_factory=dict)


class UsageStep(UsageTotal, frozen=True, kw_only=True):
    """The usage of a client in one hour or day."""

    #: When it begins.
    at: dt.datetime


class ClientUsage(msgspec.Struct, frozen=True, kw_only=True):
    """The usage of one client. Hours or days without any request are left out."""

    client: str
    hours: list[UsageStep]
    total: UsageTotal


class UsagePage(msgspec.Struct, frozen=True, kw_only=True):
    """The usage of clients since ``begin``, by name. ``step`` is the length of each entry, in seconds."""

    step: int
    begin: dt.datetime
    clients: list[ClientUsage]
    #: The cursor of the next page.
    next: str | None = None


class OwnUsageQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The time to report, in hours or in days. Without both: the last 24 hours."""

    hours: int | None = None
    days: int | None = None


class UsageQuery(OwnUsageQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The client and the time to report, and the page."""

    client: str | None = None
    cursor: str = ""
    limit: int = 100


def field_of(count: str, endpoint: str) -> str:
    """Return the name under which a count of one endpoint is stored."""
    return f"{count}{_ENDPOINT_SEPARATOR}{endpoint}"


def sum_of(counts: Mapping[str, int]) -> UsageTotal:
    """Return the document of stored counts. Those of an endpoint have a name of `field_of`."""
    totals: dict[str, int] = {}
    models: dict[str, dict[str, int]] = {}
    for name, number in counts.items():
        count, separator, endpoint = name.partition(_ENDPOINT_SEPARATOR)
        if separator:
            models.setdefault(endpoint, {})[count] = number
        else:
            totals[count] = number
    return msgspec.convert({**totals, "models": models}, UsageTotal)


def step_of(at: dt.datetime, counts: Mapping[str, int]) -> UsageStep:
    """Return the counts of one hour or day as a document."""
    total = sum_of(counts)
    return UsageStep(at=at, **{name: getattr(total, name) for name in total.__struct_fields__})


class UsageRow(msgspec.Struct, frozen=True, kw_only=True):
    """One client in one hour or day, as a row of a table."""

    client: str
    at: dt.datetime
    requests: int
    writes: int
    bytes: int
    denied: int
    limited: int
    refused: int
    prompt_tokens: int
    completion_tokens: int
    models: dict[str, EndpointUsage]


def rows_of(usage: ClientUsage) -> list[UsageRow]:
    """Return the usage of a client as rows."""
    return [UsageRow(client=usage.client, **structs.asdict(step)) for step in usage.hours]
