# SPDX-License-Identifier: Apache-2.0
"""Decides whether an exception is a failure between the bridge and Redis, or a defect of the bridge.

redis-py raises more than ``RedisError`` while a connection dies. A connection that is closed under a call has no socket
any more, and then its code fails with TypeError, AttributeError, ValueError or OSError.
"""

from traceback import walk_tb
from types import TracebackType

from redis.exceptions import RedisClusterException, RedisError

_OF_DYING_CONNECTIONS = (TypeError, AttributeError, ValueError, OSError)
#: Modules of the standard library that the driver calls to reach the server.
_BELOW_DRIVER = ("socket", "ssl", "selectors", "asyncio")
#: Builds commands of their arguments. What it raises is about the arguments, which are the bridge's.
_COMMANDS = "redis.commands"


def is_redis_failure(error: BaseException, *drivers: str) -> bool:
    """Return whether the driver raised this, for a reason that is not the bridge's.

    ``drivers`` are packages that count beside redis-py.
    """
    # A cluster of which no node answers raises the second one, which is no `RedisError`.
    if isinstance(error, (RedisError, RedisClusterException)):
        return True
    return isinstance(error, _OF_DYING_CONNECTIONS) and _is_raised_in(error.__traceback__, ("redis", *drivers))


def _is_raised_in(traceback: TracebackType | None, drivers: tuple[str, ...]) -> bool:
    """Return whether the innermost frame is one of a driver, or one that a driver has called below itself."""
    modules = [str(frame.f_globals.get("__name__", "")) for frame, _ in walk_tb(traceback)]
    for module in reversed(modules):
        if not module.startswith(_COMMANDS) and _is_in(module, drivers):
            return True
        if not _is_in(module, _BELOW_DRIVER):
            return False
    return False


def _is_in(module: str, packages: tuple[str, ...]) -> bool:
    return module.partition(".")[0] in packages
