# SPDX-License-Identifier: Apache-2.0
"""The end of a process that can't start: its reason on standard error, and the exit status for its supervisor."""

import sys
from typing import NoReturn

from bridge.errors import BridgeError


def exit_with(error: BridgeError, *, program: str) -> NoReturn:
    """End the process with the error's text and status: 78 if no restart can help, else 1."""
    sys.stderr.write(f"{program}: {error}\n")
    sys.exit(error.exit_status)
