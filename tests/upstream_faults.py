# SPDX-License-Identifier: Apache-2.0
"""What can go wrong between the bridge and MLflow, as values that a test hands to `tests.signature_front`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

Commit = Callable[[], "Answer"]
Wait = Callable[[float], object]
Matching = Callable[[str, str], bool]


class Fault(Protocol):
    """Something that can go wrong with a call that is properly signed."""

    def strike(self, commit: Commit, wait: Wait) -> "Answer | None":
        """What the client is told, None to cut it off; `commit` forwards, `wait` ends early once faults are over."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Answered instead of forwarding."""

    status: int
    headers: Mapping[str, str] | Sequence[tuple[str, str]] = ()
    body: bytes = b""

    def pairs(self) -> list[tuple[str, str]]:
        """The headers as they go out, repeated ones included."""
        return list(self.headers.items() if isinstance(self.headers, Mapping) else self.headers)

    def strike(self, commit: Commit, wait: Wait) -> "Answer | None":  # noqa: ARG002 - part of Fault
        return self


@dataclass(frozen=True, slots=True)
class Hang:
    """Nothing is answered for so long, then the connection is cut."""

    seconds: float
    #: True lets upstream commit first, so that only the answer is missing.
    after_commit: bool = False

    def strike(self, commit: Commit, wait: Wait) -> Answer | None:
        if self.after_commit:
            commit()
        wait(self.seconds)
        return None


@dataclass(frozen=True, slots=True)
class Delay:
    """Forwarded, but only after so long."""

    seconds: float

    def strike(self, commit: Commit, wait: Wait) -> Answer | None:
        wait(self.seconds)
        return commit()


@dataclass(frozen=True, slots=True)
class CutBeforeSend:
    """The connection is closed and upstream never hears of the call."""

    def strike(self, commit: Commit, wait: Wait) -> Answer | None:  # noqa: ARG002 - part of Fault
        return None


@dataclass(frozen=True, slots=True)
class CutAfterCommit:
    """Upstream does what was asked, then the connection is closed without an answer."""

    def strike(self, commit: Commit, wait: Wait) -> Answer | None:  # noqa: ARG002 - part of Fault
        commit()
        return None


@dataclass(frozen=True, slots=True)
class AnswerAfterCommit:
    """Upstream does what was asked, and the client is told something else."""

    answer: Answer

    def strike(self, commit: Commit, wait: Wait) -> Answer | None:  # noqa: ARG002 - part of Fault
        commit()
        return self.answer
