# SPDX-License-Identifier: Apache-2.0
"""Captures bodies for tests, and shows what a write holds."""

import datetime as dt
import json
from typing import Any

import pytest

from schemas.bodies.batchable import capture
from schemas.errors import InvalidWrite
from schemas.write import Fragment, Op, Write

NOW = dt.datetime(2026, 11, 21, 12, 0, 0, 123_000, tzinfo=dt.UTC)
NOW_MS = 1_795_262_400_123
RUN = "0123456789abcdef0123456789abcdef"


def raw(**fields: str) -> bytes:
    """A JSON object whose values are given as JSON text, so that a test decides how a number is spelled."""
    return ("{" + ",".join(f"{json.dumps(name)}:{text}" for name, text in fields.items()) + "}").encode()


def raw_metric(**fields: str) -> bytes:
    """The body of a good log-metric, with these fields spelled otherwise."""
    return raw(**{"run_id": f'"{RUN}"', "key": '"loss"', "value": "0.5", "timestamp": "5", "step": "7"} | fields)


def raw_batch(**lists: str) -> bytes:
    """The body of a log-batch with these lists."""
    return raw(run_id=f'"{RUN}"', **lists)


def take(op: Op, body: bytes, *, workspace: str | None = None) -> Write:
    """The write that this body becomes."""
    return capture(op, body, now=NOW, workspace=workspace)


def refusal(op: Op, body: bytes) -> InvalidWrite:
    """What this body is refused with."""
    with pytest.raises(InvalidWrite) as caught:
        capture(op, body, now=NOW)
    return caught.value


def held(fragment: Fragment) -> list[Any]:
    """The objects in a fragment, which must be JSON in the strict sense, and as many as it says."""
    objects = json.loads(b"[" + fragment.json + b"]", parse_constant=_not_json)
    assert len(objects) == fragment.count
    return list(objects)


def _not_json(constant: str) -> None:
    raise AssertionError(f"{constant} is not JSON")
