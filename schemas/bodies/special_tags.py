# SPDX-License-Identifier: Apache-2.0
"""Validation of tags that MLflow's server interprets (``utils/validation.py``, 3.17).

Other special keys need no validation here: MLflow checks them against stored data (``mlflow.customView.view...``), or
not at all.
"""

import json
import re

from schemas.errors import InvalidWrite
from schemas.mlflow_limits import check_max_length

#: How long traces are kept before they are archived, and an order to archive some now.
_RETENTION, _ARCHIVE_NOW = "mlflow.trace.archivalRetention", "mlflow.trace.archiveNow"
_MAX_DURATION_LENGTH = 32
_DURATION = re.compile(r"[1-9][0-9]*[mhd]")

_TRACE_NAME = "mlflow.traceName"
_MAX_TRACE_NAME = 4096
#: The tag that is also the run's name.
RUN_NAME_TAG = "mlflow.runName"


def check_special_experiment_tag(key: str, value: str) -> None:
    """Raise ``InvalidWrite`` for an invalid trace archival configuration in an experiment's tag."""
    if key == _RETENTION:
        fields = _fields(value)
        if fields.get("type") != "duration":
            raise InvalidWrite("Trace archival config must use type 'duration'.")
        _check_duration(fields.get("value"))
    elif key == _ARCHIVE_NOW:
        older_than = _fields(value).get("older_than")
        if older_than is not None:
            _check_duration(older_than)


def check_special_trace_tag(key: str, value: str) -> None:
    """Raise ``InvalidWrite`` for a trace name that is too long."""
    if key == _TRACE_NAME:
        check_max_length(value, _MAX_TRACE_NAME, "Trace name")


def check_run_name_tag(run_name: str | None, key: str, value: str) -> None:
    """Raise ``InvalidWrite`` for a run name tag that is empty or contradicts ``run_name``."""
    if key != RUN_NAME_TAG:
        return
    if not value:
        raise InvalidWrite(f"The tag {RUN_NAME_TAG} of a new run must not be empty; MLflow's database refuses that.")
    if run_name and value != run_name:
        raise InvalidWrite(
            "Both 'run_name' argument and 'mlflow.runName' tag are specified, but with different values"
            f" (run_name='{run_name}', mlflow.runName='{value}')."
        )


def _fields(value: str) -> dict[str, object]:
    try:
        fields = json.loads(value)
    except (ValueError, RecursionError):
        fields = None
    if not isinstance(fields, dict):
        raise InvalidWrite("Trace archival config must be encoded as a JSON object.")
    return fields


def _check_duration(value: object) -> None:
    text = value.strip() if isinstance(value, str) else ""
    if len(text) > _MAX_DURATION_LENGTH:
        raise InvalidWrite(f"Trace archival duration must be at most {_MAX_DURATION_LENGTH} characters.")
    if not _DURATION.fullmatch(text):
        raise InvalidWrite(
            "Trace archival retention must be in the form `<int><unit>`, where unit is one of 'm', 'h', or 'd'."
        )
