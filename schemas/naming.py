# SPDX-License-Identifier: Apache-2.0
"""Which runs a proxied call is about, so that it can wait for what was logged to them before."""

import re
from collections.abc import Iterable
from enum import StrEnum
from urllib.parse import parse_qsl

import msgspec

from schemas.endpoints import API_PREFIXES

_PREFIX = re.compile("(?:" + "|".join(prefix.rsplit("/2.0", 1)[0] for prefix in API_PREFIXES) + r")/\d\.0/mlflow(/.*)")
_RUN = ("run_id", "run_uuid", "run_ids", "source_run_id", "runId", "runUuid")

#: Calls that read, or change, many runs without naming them.
_SEARCHES = frozenset(
    {"/runs/search", "/experiments/search-datasets", "/logged-models/search", "/traces/search", "/datasets/search"}
)
#: Paths outside of the API that name a run in their query.
_ELSEWHERE = frozenset({"/get-artifact"})


class Scope(StrEnum):
    """What of the undelivered writes a call may be about."""

    #: The runs that it names, if it names any.
    NAMED = "named"
    #: Whatever its client has logged lately.
    RECENT = "recent"
    #: Nothing.
    NONE = "none"


def scope_of(path: str) -> Scope:
    """Return what a call of this path may be about."""
    if path in _ELSEWHERE:
        return Scope.NAMED
    found = _PREFIX.fullmatch(path)
    if not found:
        return Scope.RECENT if path == "/graphql" else Scope.NONE
    return Scope.RECENT if found[1] in _SEARCHES else Scope.NAMED


def named_in_query(query: str) -> list[str]:
    """Return the runs that a query names."""
    return _texts(value for name, value in parse_qsl(query) if name in _RUN)


def named_in_body(body: bytes) -> list[str]:
    """Return the runs that a JSON body names at its top; none for anything else."""
    try:
        fields = _FIELDS.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return []
    return _texts((fields.run_id, fields.run_uuid, fields.source_run_id, fields.runId, fields.runUuid))


class _Fields(msgspec.Struct):
    run_id: object = None
    run_uuid: object = None
    source_run_id: object = None
    runId: object = None  # noqa: N815 - protobuf's other spelling
    runUuid: object = None  # noqa: N815


def _texts(values: Iterable[object]) -> list[str]:
    """Return those values that are texts, each once."""
    return list(dict.fromkeys(value for value in values if isinstance(value, str) and value))


_FIELDS = msgspec.json.Decoder(_Fields)
