# SPDX-License-Identifier: Apache-2.0
"""A queue before which everybody waits in a line of his own, and the lines take turns."""

import threading
from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")


class Turns(Generic[T]):
    """Holds so many of each line at most. Threads may put and take at the same time."""

    def __init__(self, *, most: int) -> None:
        self._most = most
        self._lines: dict[int, deque[T]] = {}
        self._there = threading.Condition()

    def put(self, line: int, what: T) -> bool:
        """Add to the end of a line; return whether there was room."""
        with self._there:
            waiting = self._lines.setdefault(line, deque())
            if len(waiting) >= self._most:
                return False
            waiting.append(what)
            self._there.notify()
            return True

    def take(self, *, most: int) -> list[tuple[int, T]]:
        """Wait until there is anything; return what is there, so much at most, with the line of each.

        Each line gives one at a time, and who gave last has the last turn now.
        """
        with self._there:
            while not self._lines:
                self._there.wait()
            taken: list[tuple[int, T]] = []
            while self._lines and len(taken) < most:
                line = next(iter(self._lines))
                waiting = self._lines.pop(line)
                taken.append((line, waiting.popleft()))
                if waiting:
                    self._lines[line] = waiting
            return taken

    def clear(self) -> int:
        """Forget all that waits; return how much that was."""
        with self._there:
            count = sum(len(waiting) for waiting in self._lines.values())
            self._lines.clear()
            return count

    def waiting(self, line: int) -> int:
        """Return how much waits in a line."""
        with self._there:
            return len(self._lines.get(line, ()))
