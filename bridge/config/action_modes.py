# SPDX-License-Identifier: Apache-2.0
"""The parser of ``BRIDGE_ACTION_MODES``: the actions with another handling than in the table of endpoints."""

from collections.abc import Mapping

from schemas.client import ACTIONS
from schemas.endpoints import ENDPOINTS, QUEUED, Handling

#: The handling of each action that differs from the table of endpoints.
ActionModes = Mapping[str, Handling]

_QUEUED_ACTIONS = frozenset(endpoint.action for endpoint in QUEUED)
_CHANGING_ACTIONS = frozenset(endpoint.action for endpoint in ENDPOINTS if endpoint.kind != "read")
_READING_ACTIONS = ACTIONS - _CHANGING_ACTIONS - {"CallUnknown"}
#: Groups of actions that a setting may name in place of each action.
GROUPS: Mapping[str, frozenset[str]] = {"writes": _QUEUED_ACTIONS, "reads": _READING_ACTIONS}

_EXAMPLE = "actions or groups with their modes, such as writes:proxied,LogMetric:queued,DeleteRun:refused"


def action_modes(text: str) -> ActionModes:
    """Read the mode of each action. A mode for an action overrides the one for its group, in any order."""
    named: dict[str, Handling] = {}
    for part in text.split(","):
        name, _, mode = part.strip().partition(":")
        if name not in GROUPS and name not in ACTIONS:
            raise ValueError(f"{_EXAMPLE}; `mlflow-bridge keys actions` lists the actions")
        if name in named or mode not in tuple(Handling):
            raise ValueError(f"{_EXAMPLE}: each name once, with queued, proxied or refused")
        if mode == Handling.QUEUED and name != "writes" and name not in _QUEUED_ACTIONS:
            raise ValueError(f"{_EXAMPLE}; the bridge can't queue {name}")
        named[name] = Handling(mode)
    by_group = {action: named[group] for group in GROUPS if group in named for action in GROUPS[group]}
    by_name = {name: mode for name, mode in named.items() if name not in GROUPS}
    return {**by_group, **by_name}
