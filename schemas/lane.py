# SPDX-License-Identifier: Apache-2.0
"""Lanes: the ordering keys of writes.

The writes of one lane are delivered in order. A run's lane is its id. Other lanes have a prefix: ``experiment:7``,
``trace:tr-1a``, ``traces:7`` (spans that are exported to an experiment) and ``run:nightly%2F17`` (a run that its client
has named). A lane contains no slash, so that it can stand in a URL path.
"""

import re
from dataclasses import dataclass
from urllib.parse import quote, unquote

from schemas.errors import InvalidWrite
from schemas.mlflow_limits import check_run_id, invalid, missing, require_run_id

#: The pattern of a name: it is part of URL paths, of an MLflow filter and of a tag.
RUN_NAME = "^[A-Za-z0-9][A-Za-z0-9_.:@=+/-]{0,199}$"
_RUN_ID = re.compile(r"[0-9a-f]{32}")
_NAMED_PREFIX = "run:"


@dataclass(frozen=True, slots=True)
class NamedRun:
    """A run that its client has named (``POST /v1/runs``)."""

    name: str
    workspace: str | None = None

    @property
    def lane(self) -> str:
        """The lane of its writes."""
        scope = f"@{quote(self.workspace, safe='')}" if self.workspace else ""
        return f"{_NAMED_PREFIX}{quote(self.name, safe='')}{scope}"


def named_run(lane: str) -> NamedRun | None:
    """Return the named run of a lane, None for a lane of another kind."""
    if not lane.startswith(_NAMED_PREFIX):
        return None
    name, _, workspace = lane.removeprefix(_NAMED_PREFIX).partition("@")
    return NamedRun(unquote(name), unquote(workspace) or None)


def run_of(lane: str) -> str | None:
    """Return the run id of a lane, None for a lane of another kind."""
    return None if ":" in lane else lane


def experiment_lane(experiment_id: str) -> str:
    """Return the lane of an experiment's own tags."""
    return f"experiment:{quote(experiment_id, safe='')}"


def trace_lane(trace_id: str) -> str:
    """Return the lane of a trace's tags and links."""
    return f"trace:{quote(trace_id, safe='')}"


def traces_lane(experiment_id: str) -> str:
    """Return the lane of the spans that are exported to an experiment."""
    return f"traces:{quote(experiment_id, safe='')}"


def entity_id_of(lane: str) -> str:
    """Return the id of the run, experiment or trace that a lane is for."""
    return unquote(lane.rpartition(":")[2])


def run_lane(run_id: str | None, name: object, workspace: str | None, *, as_not_found: bool = True) -> str:
    """Return the lane of a run, given by its id or by its name. ``as_not_found``: see ``check_run_id``."""
    if not run_id and name is not None:
        return NamedRun(check_run_name(name), workspace).lane
    return check_run_id(require_run_id(run_id), as_not_found=as_not_found)


def check_run_name(name: object) -> str:
    """Return a valid name of a run, or raise ``InvalidWrite``."""
    if name is None or name == "":
        raise missing("run")
    if not isinstance(name, str) or not re.fullmatch(RUN_NAME, name):
        raise invalid(
            "run", name, "A name has up to 200 letters, digits and any of _.:@=+/- and begins with a letter or digit."
        )
    if {"", ".", ".."} & set(name.split("/")):
        raise invalid("run", name, "A part of a name between slashes must not be empty, `.` or `..`.")
    if name.endswith("/backlog"):
        raise invalid("run", name, "A name must not end in `/backlog`: that path shows the backlog of the run.")
    if _RUN_ID.fullmatch(name):
        raise InvalidWrite(f"'{name}' is the id of a run: send it as `run_id`, or choose a name of another form.")
    return name
