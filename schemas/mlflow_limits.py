# SPDX-License-Identifier: Apache-2.0
"""MLflow's limits on logged values, checked at intake with MLflow's own error messages.

Source: ``mlflow/utils/validation.py`` (3.17). Two limits are stricter than MLflow's: MLflow truncates a long param or
tag value and answers 200, which silently loses data. The bridge refuses such a value.
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
#: Size of a ``log-batch`` body, as MLflow documents it.
MAX_BATCH_BYTES = 1_000_000

#: In characters, like the three limits below.
MAX_KEY = 250
MAX_PARAM_VALUE = 6000
MAX_TAG_VALUE = 8000
MAX_EXPERIMENT_TAG_VALUE = 20000
#: The tag that holds the name of a named run (`schemas.lane.NamedRun`).
OWN_TAG = "mlflow-bridge.run"
MAX_INT64 = 2**63 - 1
_HEADER_VALUE = re.compile(r"[!-~](?:[ -~]{0,254}[!-~])?|")
_RUN_ID = re.compile(r"[a-zA-Z0-9][\w\-]{0,255}")
_NAME = re.compile(r"^[/\w.\- :]*$")
_NAME_RULE = (
    "Names may only contain alphanumerics, underscores (_), dashes (-), periods (.), spaces ( ), colon(:)"
    " and slashes (/)."
)
#: The pattern of an experiment's id (``mlflow/utils/validation.py``).
EXPERIMENT_ID = r"[a-zA-Z0-9][\w-]{0,63}"
_DOCS_HINT = " See the API docs for more information about request parameters."


def require_run_id(run_id: str | None) -> str:
    """Return the run id, or raise ``InvalidWrite`` if it is missing. MLflow checks that before all other fields."""
    if not run_id:
        raise missing("run_id")
    return run_id


def check_run_id(run_id: str, *, as_not_found: bool = True) -> str:
    """Return the run id, or raise ``InvalidWrite`` for a malformed one.

    MLflow's error differs by call: "run not found" with ``as_not_found``, else "invalid value".
    """
    if _RUN_ID.fullmatch(run_id):
        return run_id
    if as_not_found:
        raise InvalidWrite(f"Run with id={run_id[:300]} not found", "RESOURCE_DOES_NOT_EXIST", 404)
    raise InvalidWrite(f"Invalid value {json.dumps(run_id[:300])} for parameter 'run_id' supplied.")


def check_dataset(name: str | None, digest: str | None) -> None:
    """Raise ``InvalidWrite`` for a metric that has only one of a dataset's name and digest."""
    if bool(name) != bool(digest):
        raise InvalidWrite("Both dataset_name and dataset_digest must be provided if one is provided")


def check_metric(key: str, value: float, timestamp: int, step: int, *, at: str) -> None:
    """Raise ``InvalidWrite`` unless MLflow stores this metric unchanged. ``at`` is its place in the body."""
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
    """Raise ``InvalidWrite`` unless MLflow stores this param unchanged."""
    _check_name(key, at=_join(at, "key"))
    if len(key) > MAX_KEY:
        raise _too_long("Param key", MAX_KEY)
    if len(value) > MAX_PARAM_VALUE:
        raise _too_long("Param value", MAX_PARAM_VALUE, at=_join(at, "value"))


def check_tag(key: str, value: str, *, at: str) -> None:
    """Raise ``InvalidWrite`` unless MLflow stores this tag unchanged, and for the bridge's own tag."""
    check_not_own(key)
    _check_name(key, at=_join(at, "key"))
    if len(key) > MAX_KEY:
        raise _too_long(_join(at, "key"), MAX_KEY)
    if len(value) > MAX_TAG_VALUE:
        raise _too_long(_join(at, "value"), MAX_TAG_VALUE)


def check_not_own(key: str | None) -> None:
    """Raise ``InvalidWrite`` for the bridge's own tag: with it, one run could take the name of another."""
    if key == OWN_TAG:
        raise InvalidWrite(f"The tag {OWN_TAG} is the bridge's own: it holds the name of a named run. Use another key.")


def check_experiment_tag(key: str, value: str) -> None:
    """Raise ``InvalidWrite`` unless MLflow stores this tag of an experiment."""
    _check_name(key, at="key")
    check_max_length(key, MAX_KEY, "key")
    check_max_length(value, MAX_EXPERIMENT_TAG_VALUE, "value")


def check_count(metrics: int, params: int, tags: int) -> None:
    """Raise ``InvalidWrite`` for a batch with more entries than MLflow accepts in one call."""
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
    """Raise ``InvalidWrite`` for a batch that names a param twice, as MLflow does even for equal values."""
    if len(set(keys)) == len(keys):
        return
    seen: set[str] = set()
    repeated = [key for key in keys if key in seen or seen.add(key)]  # type: ignore[func-returns-value] # `add` returns None
    raise InvalidWrite(
        f"Duplicate parameter keys have been submitted: {repeated}. Please ensure the request contains only one"
        " param value per param key."
    )


def check_max_length(value: str, limit: int, name: str) -> None:
    """Raise ``InvalidWrite`` for a text that is longer than MLflow stores."""
    if len(value) > limit:
        raise _too_long(name, limit)


def check_header(value: str | None, name: str) -> str | None:
    """Return a header's value, or raise ``InvalidWrite`` if it cannot be forwarded to upstream."""
    if value is not None and not _HEADER_VALUE.fullmatch(value):
        raise InvalidWrite(f"The header {name} must be up to 256 printable ASCII characters.", "BAD_REQUEST")
    return value


def check_id(text: str, name: str, pattern: str = r"(?!\.{1,2}$)[!-~]{1,256}") -> str:
    """Return an id that is valid in a URL path and in a lane, or raise ``InvalidWrite``."""
    if not re.fullmatch(pattern, text):
        raise invalid(name, text[:300], "It must be up to 256 printable ASCII characters.")
    return text


def missing(at: str) -> InvalidWrite:
    """Return the error for a required parameter that is absent, null or empty."""
    return InvalidWrite(f"Missing value for required parameter '{at}'.{_DOCS_HINT}")


def invalid(at: str, value: object, reason: str) -> InvalidWrite:
    """Return the error for a value that MLflow cannot store. ``at`` is its place in the body, ``reason`` a sentence."""
    try:
        shown = json.dumps(value, sort_keys=True, separators=(",", ":"))
    except RecursionError:
        shown = "of many levels"
    return InvalidWrite(f"Invalid value {shown[:300]} for parameter '{at}' supplied: {reason}")


def mistyped(at: str, value: object) -> InvalidWrite:
    """Return the error for a value of the wrong JSON type."""
    return invalid(at, value, f" Hint: Value was of type '{type(value).__name__}'.{_DOCS_HINT}")


def _check_name(name: str, *, at: str, missing_at: str | None = None) -> None:
    if not name:
        raise missing(missing_at or at)
    if reason := _name_error(name):
        raise invalid(at, name, reason)


@lru_cache(maxsize=8192)
def _name_error(name: str) -> str | None:
    """Return why a name is invalid, or None. Cached: a run logs few names, many times."""
    if not _NAME.match(name):
        return _NAME_RULE
    resolved = posixpath.normpath(name)
    if resolved != name or resolved == "." or resolved.startswith(("..", "/")):
        return (
            "Names may be treated as files in certain cases, and must not resolve to other names when treated as such."
            f" This name would resolve to {resolved!r}"
        )
    return None


def _too_long(name: str, limit: int, *, at: str | None = None) -> InvalidWrite:
    where = f" (at '{at}')" if at else ""
    return InvalidWrite(f"'{name}' exceeds the maximum length of {limit} characters{where}")


def _join(at: str, field: str) -> str:
    return f"{at}.{field}" if at else field
