# SPDX-License-Identifier: Apache-2.0
"""How much is generated: little in `make test`, which runs all the time, and all of it in `make test-all`."""

from typing import TypeVar

Amount = TypeVar("Amount")

_full = False


def choose(*, full: bool) -> None:
    """Set it for this process, before tests are collected."""
    global _full  # noqa: PLW0603 - read by decorators, long before any fixture
    _full = full


def amount(usual: Amount, full: Amount) -> Amount:
    """Return how many examples, writes or steps a test makes, or which cases it goes through."""
    return full if _full else usual
