# SPDX-License-Identifier: Apache-2.0
"""The terms in which a difference between the bridge's verdict and MLflow's is told."""

import itertools
import re
from collections.abc import Callable
from dataclasses import dataclass

from schemas.write import Op
from tests.acceptance.parity_bodies import Request
from tests.acceptance.parity_sides import Seen, Verdict
from tests.factories import RUN

#: The calls that don't know a run by its older name.
WITHOUT_RUN_UUID = (Op.LOG_BATCH, Op.DELETE_TAG, Op.LOG_INPUTS, Op.LOG_OUTPUTS)
METRICS = (Op.LOG_METRIC, Op.LOG_BATCH)
#: How many characters of a value the bridge quotes.
QUOTED = 300
TYPE = "Hint: Value was of type"

_GOOD = {
    Op.LOG_METRIC: '"key":"k","value":1,"timestamp":5',
    Op.LOG_PARAMETER: '"key":"k","value":"v"',
    Op.SET_TAG: '"key":"k","value":"v"',
    Op.LOG_BATCH: '"tags":[{"key":"k"}]',
    Op.DELETE_TAG: '"key":"k"',
    Op.UPDATE_RUN: '"status":"RUNNING"',
    Op.LOG_INPUTS: '"models":[]',
    Op.LOG_OUTPUTS: '"models":[]',
}
_AMONG_SPACES = re.compile(rb'"(timestamp|step|end_time)": ?"( +\S+ *|\S+ +)"')


@dataclass(frozen=True, slots=True)
class Difference:
    """One way in which the verdicts differ."""

    reason: str
    #: A request that shows it.
    example: Request
    holds: Callable[[Seen], bool]


def body(op: Op, fields: str = "", *, run: str = f'"run_id":"{RUN}"') -> Request:
    """Return a request of these fields, or of good ones."""
    return Request(op, ("{" + ",".join(part for part in (run, fields or _GOOD[op]) if part) + "}").encode())


def refused(seen: Seen, words: str = "") -> bool:
    """Whether the bridge refuses with these words."""
    return (seen.ours.status, seen.ours.error_code) == (400, "INVALID_PARAMETER_VALUE") and words in seen.ours.message


def passed_over(seen: Seen, words: str = "") -> bool:
    """Whether MLflow takes what the bridge refuses with these words."""
    return seen.theirs.status == 200 and refused(seen, words)


def breaks_down(seen: Seen, words: str = "") -> bool:
    """Whether MLflow answers with a page for people where the bridge refuses with these words."""
    return (seen.theirs.status, seen.theirs.error_code) == (500, "") and refused(seen, words)


def mended(seen: Seen) -> bool:
    """Whether the bridge takes what MLflow's parser gives up at."""
    return seen.ours.status == 200 and not seen.is_read_whole


def refused_for_the_rest(seen: Seen, begin: str = "", words: str = "") -> bool:
    """Whether MLflow's parser gives up, and MLflow refuses what is left, or its types, with these words."""
    both = {seen.theirs.status, seen.ours.status} <= {400, 404}
    said = seen.theirs.message.startswith(begin) and words in seen.theirs.message
    return both and said and not seen.is_read_whole


def named(verdict: Verdict) -> str:
    """Return the parameter that a refusal names."""
    return str((re.findall("parameter '([^']*)'", verdict.message) or [""])[0])


def is_cut(seen: Seen) -> bool:
    """Whether the bridge says the same, but quotes less."""
    theirs, ours = seen.theirs, seen.ours
    if (theirs.status, theirs.error_code) != (ours.status, ours.error_code):
        return False
    if len(theirs.message) <= len(ours.message):
        return False
    same = sum(
        1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], zip(theirs.message, ours.message, strict=False))
    )
    return same >= QUOTED and theirs.message.endswith(ours.message[same:])


def is_of_models(seen: Seen) -> bool:
    return seen.request.op is Op.LOG_OUTPUTS or any(name in seen.request.body for name in (b"model_id", b"modelId"))


def is_among_spaces(seen: Seen) -> bool:
    """Whether a whole number is given as a text with spaces in it."""
    return bool(_AMONG_SPACES.search(seen.request.body))


def lists_no_object(seen: Seen) -> bool:
    """Whether something else than an object stands in one of a batch's lists."""
    lists = [seen.fields.get(name) for name in ("metrics", "params", "tags")] if isinstance(seen.fields, dict) else []
    return any(not isinstance(each, dict) for listed in lists if isinstance(listed, list) for each in listed)


def has_older_name(seen: Seen) -> bool:
    """Whether the run is named by its older name in a call that does not know it."""
    return seen.request.op in WITHOUT_RUN_UUID and isinstance(seen.fields, dict) and "run_uuid" in seen.fields
