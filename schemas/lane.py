# SPDX-License-Identifier: Apache-2.0
"""Lanes: the ordering keys of writes. What a write is about names its lane; no lane's name holds a slash.

A run's lane is its id. What is not a run has a word before it: ``experiment:7``, ``trace:tr-1a``, ``traces:7`` (the
spans that are exported to an experiment), and ``run:nightly%2F17`` for a run that its client has named itself.
"""

import re
from dataclasses import dataclass
from urllib.parse import quote, unquote

from schemas.errors import InvalidWrite
from schemas.mlflow_limits import check_given, check_run_id, invalid, missing

#: What a run's name may be: it stands in paths, in a filter of MLflow's and in a tag.
RUN_NAME = "^[A-Za-z0-9][A-Za-z0-9_.:@=+/-]{0,199}$"
_RUN_ID = re.compile(r"[0-9a-f]{32}")
_NAMED = "run:"


@dataclass(frozen=True, slots=True)
class NamedRun:
    """A run by the name that its client has given it."""

    name: str
    workspace: str | None = None

    @property
    def lane(self) -> str:
        """The lane of its writes."""
        scope = f"@{quote(self.workspace, safe='')}" if self.workspace else ""
        return f"{_NAMED}{quote(self.name, safe='')}{scope}"


def named_run(lane: str) -> NamedRun | None:
    """Return the named run that a lane belongs to, None if it is of another kind."""
    if not lane.startswith(_NAMED):
        return None
    name, _, workspace = lane.removeprefix(_NAMED).partition("@")
    return NamedRun(unquote(name), unquote(workspace) or None)


def run_of(lane: str) -> str | None:
    """Return the id of the run that a lane belongs to, None if it is of another kind."""
    return None if ":" in lane else lane


def experiment_lane(experiment_id: str) -> str:
    """The lane of what is written to an experiment itself."""
    return f"experiment:{quote(experiment_id, safe='')}"


def trace_lane(trace_id: str) -> str:
    """The lane of what is written to a trace."""
    return f"trace:{quote(trace_id, safe='')}"


def traces_lane(experiment_id: str) -> str:
    """The lane of the spans that are exported to an experiment."""
    return f"traces:{quote(experiment_id, safe='')}"


def subject(lane: str) -> str:
    """Return the id of what a lane's writes are about."""
    return unquote(lane.rpartition(":")[2])


def run_lane(run_id: str | None, name: object, workspace: str | None, *, unknown: bool = True) -> str:
    """Return the lane of a run that is given by its id, or else by its name."""
    if not run_id and name is not None:
        return NamedRun(check_run_name(name), workspace).lane
    return check_run_id(check_given(run_id), unknown=unknown)


def check_run_name(name: object) -> str:
    """Return the name that a client has given to a run, or raise ``InvalidWrite``."""
    if name is None or name == "":
        raise missing("run")
    if not isinstance(name, str) or not re.fullmatch(RUN_NAME, name):
        raise invalid(
            "run", name, "A name has up to 200 letters, digits and any of _.:@=+/- and begins with a letter or digit."
        )
    if {"", ".", ".."} & set(name.split("/")):
        raise invalid("run", name, "A part of a name between slashes must not be empty, `.` or `..`.")
    if name.endswith("/backlog"):
        raise invalid("run", name, "A name must not end in `/backlog`, which is asked for below it.")
    if _RUN_ID.fullmatch(name):
        raise InvalidWrite(f"'{name}' is the id of a run; write it as `run_id`. A name must look otherwise.")
    return name
