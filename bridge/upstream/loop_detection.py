# SPDX-License-Identifier: Apache-2.0
"""Loop detection: each installation adds its random id to ``Via`` (RFC 9110, section 7.6.3).

A bridge rejects a request that carries its own id, directly or through other bridges. The id reveals nothing else.
"""

import re
from collections.abc import Iterable
from typing import Protocol

_VIA_MEMBER = re.compile(r"1\.1 (mlflow-bridge-[0-9a-f]{16})")
_MAX_INSTANCES = 16


class InstanceId(Protocol):
    """The id of this installation, the same in all its processes."""

    @property
    def known(self) -> str | None:
        """The id, if ``name`` has returned it before."""
        ...

    def name(self) -> str | None:
        """Return the id, None while the store can't be read. The first call may block on the store."""
        ...


def parse_via(via: Iterable[str]) -> list[str]:
    """Return the ids of the bridges in these ``Via`` values, without other proxies."""
    members = (member.strip() for value in via for member in value.split(","))
    return [match[1] for member in members if (match := _VIA_MEMBER.fullmatch(member))][:_MAX_INSTANCES]


def format_via(names: Iterable[str]) -> str:
    """Return the ``Via`` value for these ids."""
    return ", ".join(f"1.1 {name}" for name in names)
