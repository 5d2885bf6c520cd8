# SPDX-License-Identifier: Apache-2.0
"""MLflow's limits on what may be logged, refused with its own words.

Source: ``mlflow/utils/validation.py`` (3.17). Two limits are stricter here than there, on purpose: MLflow cuts a long
param or tag value and answers 200, which loses data unseen, so such a value is refused.
"""

import json
import posixpath
import re
from functools import lru_cache

from schemas.errors import InvalidWrite

MAX_METRICS = 1000
MAX_PARAMS = 100
MAX_TAGS = 100
MAX_ENTITIES = 1000
#: Characters in a ``log-batch`` body, as MLflow documents it.
MAX_BATCH_BYTES = 1_000_000

MAX_KEY = 250
MAX_PARAM_VALUE = 6000
MAX_TAG_VALUE = 8000
MAX_EXPERIMENT_TAG_VALUE = 20000
#: By which a run is found that was asked for by a name.
OWN_TAG = "mlflow-bridge.run"
MAX_INT64 = 2**63 - 1
_HEADER = re.compile(r"[!-~](?:[ -~]{0,254}[!-~])?|")
_RUN_ID = re.compile(r"[a-zA-Z0-9][\w\-]{0,255}")
_NAME = re.compile(r"^[/\w.\- :]*$")
_NAME_RULE = (
    "Names may only contain alphanumerics, underscores (_), dashes (-), periods (.), spaces ( ), colon(:)"
    " and slashes (/)."
)
#: What an experiment's id may be (``mlflow/utils/validation.py``).
EXPERIMENT_ID = r"[a-zA-Z0-9][\w-]{0,63}"
_SEE_DOCS = " See the API docs for more information about request parameters."


def check_given(run_id: str | None) -> str:
    """Return the run id, or raise where there is none. MLflow sees to this before all else."""
    if not run_id:
        raise missing("run_id")
    return run_id


def check_run_id(run_id: str, *, unknown: bool = True) -> str:
    """Return the run id, or raise. With ``unknown``, an impossible id names a run that does not exist, as in MLflow.

    Which looks for the run when the rest of the call is read and found good.
    """
    if _RUN_ID.fullmatch(run_id):
        return run_id
    if unknown:
        raise InvalidWrite(f"Run with id={run_id[:300]} not found", "RESOURCE_DOES_NOT_EXIST", 404)
    raise InvalidWrite(f"Invalid value {json.dumps(run_id[:300])} for parameter 'run_id' supplied.")


def check_dataset(name: str | None, digest: str | None) -> None:
    """Raise where a metric names its dataset by half."""
    if bool(name) != bool(digest):
        raise InvalidWrite("Both dataset_name and dataset_digest must be provided if one is provided")


def check_metric(key: str, value: float, timestamp: int, step: int, *, at: str) -> None:
    """Raise unless MLflow would store this metric as it is."""
    _check_name(key, at=_join(at, "name"), missing_at=_join(at, "key"))
    if timestamp < 0:
        reason = f"metric '{key}' (value={value}). Timestamp must be a nonnegative long (64-bit integer) "
        raise invalid(_join(at, "timestamp"), timestamp, reason)
    if timestamp > MAX_INT64:
        raise invalid(_join(at, "timestamp"), timestamp, "Timestamp must fit in 64 bits.")
    if not -MAX_INT64 - 1 <= step <= MAX_INT64:
        raise invalid(_join(at, "step"), step, "Step must be a valid long (64-bit integer).")
    if len(key) > MAX_KEY:
        raise _too_long("Metric name", MAX_KEY)


def check_param(key: str, value: str, *, at: str) -> None:
    """Raise unless MLflow would store this param as it is."""
    _check_name(key, at=_join(at, "key"))
    if len(key) > MAX_KEY:
        raise _too_long("Param key", MAX_KEY)
    if len(value) > MAX_PARAM_VALUE:
        raise _too_long("Param value", MAX_PARAM_VALUE, at=_join(at, "value"))


def check_tag(key: str, value: str, *, at: str) -> None:
    """Raise unless MLflow would store this tag as it is, or where it is the bridge's own."""
    check_not_own(key)
    _check_name(key, at=_join(at, "key"))
    if len(key) > MAX_KEY:
        raise _too_long(_join(at, "key"), MAX_KEY)
    if len(value) > MAX_TAG_VALUE:
        raise _too_long(_join(at, "value"), MAX_TAG_VALUE)


def check_not_own(key: str | None) -> None:
    """Raise for the tag that only the bridge writes: a run that had another's name there would be taken for it."""
    if key == OWN_TAG:
        raise InvalidWrite(f"The tag {OWN_TAG} is the bridge's own: it holds the name that a run was asked for by.")


def check_experiment_tag(key: str, value: str) -> None:
    """Raise unless MLflow would store this tag of an experiment."""
    _check_name(key, at="key")
    check_longest(key, MAX_KEY, "key")
    check_longest(value, MAX_EXPERIMENT_TAG_VALUE, "value")


def check_count(metrics: int, params: int, tags: int) -> None:
    """Raise where a batch holds more than one call may."""
    for kind, count, limit in (
        ("metrics", metrics, MAX_METRICS),
        ("params", params, MAX_PARAMS),
        ("tags", tags, MAX_TAGS),
        ("metrics, params, and tags", metrics + params + tags, MAX_ENTITIES),
    ):
        if count > limit:
            raise InvalidWrite(
                f"A batch logging request can contain at most {limit} {kind}. Got {count} {kind}."
                f" Please split up {kind} across multiple requests and try again."
            )


def check_params_differ(keys: list[str]) -> None:
    """Raise where one batch names a param twice, which MLflow refuses even for equal values."""
    if len(set(keys)) == len(keys):
        return
    seen: set[str] = set()
    repeated = [key for key in keys if key in seen or seen.add(key)]  # type: ignore[func-returns-value] # add gives None
    raise InvalidWrite(
        f"Duplicate parameter keys have been submitted: {repeated}. Please ensure the request contains only one"
        " param value per param key."
    )


def check_longest(value: str, limit: int, what: str) -> None:
    """Raise where a text is longer than MLflow stores."""
    if len(value) > limit:
        raise _too_long(what, limit)


def check_header(value: str | None, name: str) -> str | None:
    """Return a header's value, or raise where it could not be sent on: it will stand in a request of ours."""
    if value is not None and not _HEADER.fullmatch(value):
        raise InvalidWrite(f"The header {name} must be up to 256 printable ASCII characters.", "BAD_REQUEST")
    return value


def check_id(text: str, what: str, pattern: str = r"(?!\.{1,2}$)[!-~]{1,256}") -> str:
    """Return an id that may stand in a path and name a lane, or raise."""
    if not re.fullmatch(pattern, text):
        raise invalid(what, text[:300], "It must be up to 256 printable ASCII characters.")
    return text


def missing(at: str) -> InvalidWrite:
    """The refusal for a required parameter that is absent, null or empty."""
    return InvalidWrite(f"Missing value for required parameter '{at}'.{_SEE_DOCS}")


def invalid(at: str, value: object, reason: str) -> InvalidWrite:
    """The refusal for a value that MLflow can't store; ``why`` is a sentence."""
    try:
        shown = json.dumps(value, sort_keys=True, separators=(",", ":"))
    except RecursionError:
        shown = "of many levels"
    return InvalidWrite(f"Invalid value {shown[:300]} for parameter '{at}' supplied: {reason}")


def mistyped(at: str, value: object) -> InvalidWrite:
    """The refusal for a value of the wrong JSON type."""
    return invalid(at, value, f" Hint: Value was of type '{type(value).__name__}'.{_SEE_DOCS}")


def _check_name(name: str, *, at: str, missing_at: str | None = None) -> None:
    if not name:
        raise missing(missing_at or at)
    if reason := _name_fault(name):
        raise invalid(at, name, reason)


@lru_cache(maxsize=8192)
def _name_fault(name: str) -> str | None:
    """What is wrong with a name, or None. Cached: a run logs few names, many times."""
    if not _NAME.match(name):
        return _NAME_RULE
    resolved = posixpath.normpath(name)
    if resolved != name or resolved == "." or resolved.startswith(("..", "/")):
        return (
            "Names may be treated as files in certain cases, and must not resolve to other names when treated as such."
            f" This name would resolve to {resolved!r}"
        )
    return None


def _too_long(what: str, limit: int, *, at: str | None = None) -> InvalidWrite:
    where = f" (at '{at}')" if at else ""
    return InvalidWrite(f"'{what}' exceeds the maximum length of {limit} characters{where}")


def _join(at: str, field: str) -> str:
    return f"{at}.{field}" if at else field
