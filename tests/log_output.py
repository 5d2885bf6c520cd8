# SPDX-License-Identifier: Apache-2.0
"""Standard error as the log of this process has it."""

import io
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from typing import Any

from bridge.telemetry.logs import configure_logging


class Output(io.StringIO):
    """Standard error, as a terminal or not."""

    def __init__(self, *, terminal: bool = False) -> None:
        super().__init__()
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal

    def lines(self) -> list[dict[str, Any]]:
        """What machines read of it."""
        return [json.loads(line) for line in self.getvalue().split("\n")[:-1]]


@contextmanager
def logging_to(output: Output, level: str = "info") -> Iterator[Output]:
    """Have everything logged there; after that, logging is as it was."""
    root = logging.getLogger()
    loggers, outputs = (root, logging.getLogger("bridge")), list(root.handlers)
    levels = [each.level for each in loggers]
    try:
        with redirect_stderr(output):
            configure_logging(level)
        yield output
    finally:
        for logger, before in zip(loggers, levels, strict=True):
            logger.setLevel(before)
        root.handlers[:] = outputs
        logging.captureWarnings(capture=False)
