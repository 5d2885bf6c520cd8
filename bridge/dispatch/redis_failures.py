# SPDX-License-Identifier: Apache-2.0
"""Separates failures between the bridge and Redis from defects of the bridge, for the adapters of store and broker.

redis-py raises more than ``RedisError`` while a connection dies. A connection that is closed during a call has lost its
socket, and redis-py then fails with TypeError, AttributeError, ValueError or OSError.
"""

from traceback import walk_tb
from types import TracebackType

from redis.exceptions import RedisClusterException, RedisError

#: What redis-py raises, too, while it uses a connection that has lost its socket.
_RAISED_WITHOUT_SOCKET = (TypeError, AttributeError, ValueError, OSError)
#: Modules of the standard library that the driver calls to reach the server.
_STDLIB_NETWORK = ("socket", "ssl", "selectors", "asyncio")
#: Builds commands from their arguments. Its exceptions are about the arguments, which are the bridge's.
_COMMAND_MODULES = "redis.commands"


def is_redis_failure(error: BaseException, *drivers: str) -> bool:
    """Return whether the driver raised this for a reason outside of the bridge.

    ``drivers`` are further packages that are treated like redis-py.
    """
    # A cluster without any reachable node raises `RedisClusterException`, which is no `RedisError`.
    if isinstance(error, (RedisError, RedisClusterException)):
        return True
    return isinstance(error, _RAISED_WITHOUT_SOCKET) and _is_raised_in(error.__traceback__, ("redis", *drivers))


def _is_raised_in(traceback: TracebackType | None, drivers: tuple[str, ...]) -> bool:
    """Return whether the innermost frame belongs to a driver, or to the standard library called by a driver."""
    modules = [str(frame.f_globals.get("__name__", "")) for frame, _ in walk_tb(traceback)]
    for module in reversed(modules):
        if not module.startswith(_COMMAND_MODULES) and _is_in(module, drivers):
            return True
        if not _is_in(module, _STDLIB_NETWORK):
            return False
    return False


def _is_in(module: str, packages: tuple[str, ...]) -> bool:
    return module.partition(".")[0] in packages
