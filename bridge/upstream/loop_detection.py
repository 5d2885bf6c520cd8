# SPDX-License-Identifier: Apache-2.0
"""What a bridge is called on the way of its requests, told in ``Via`` (RFC 9110, section 7.6.3).

By it a bridge knows what it has sent itself, directly or through other bridges. It tells nothing of anything.
"""

import re
from collections.abc import Iterable
from typing import Protocol

_MEMBER = re.compile(r"1\.1 (mlflow-bridge-[0-9a-f]{16})")
_MOST = 16


class InstanceId(Protocol):
    """The name of this bridge, the same in all its processes."""

    @property
    def known(self) -> str | None:
        """The name, if it was asked for before."""
        ...

    def name(self) -> str | None:
        """Return the name, None while it can't be had. The first time it may take a moment."""
        ...


def parse_via(via: Iterable[str]) -> list[str]:
    """Return the names of the bridges that these ``Via`` tell of; who else a request came through is not said."""
    members = (member.strip() for value in via for member in value.split(","))
    return [found[1] for member in members if (found := _MEMBER.fullmatch(member))][:_MOST]


def format_via(names: Iterable[str]) -> str:
    """Return the ``Via`` that tells of these bridges."""
    return ", ".join(f"1.1 {name}" for name in names)
