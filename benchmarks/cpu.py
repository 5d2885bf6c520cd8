# SPDX-License-Identifier: Apache-2.0
"""The CPU time that a bridge uses: it depends less on other load of the machine than a rate."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import redis

from benchmarks.contenders import Bridge
from tests.servers import Server


class CpuMeter:
    """The CPU time of a bridge's api and store for each request or write."""

    def __init__(self, bridge: Bridge) -> None:
        self._bridge = bridge
        self._api_s = self._store_s = 0.0
        self._count = 0

    @contextmanager
    def measure(self, count: int) -> Iterator[None]:
        """Add the CPU time that is used meanwhile, for this number of requests or writes."""
        api_s, store_s = server_cpu_s(self._bridge.api), store_cpu_s(self._bridge)
        yield
        self._api_s += server_cpu_s(self._bridge.api) - api_s
        self._store_s += store_cpu_s(self._bridge) - store_s
        self._count += count

    @property
    def figures(self) -> str:
        """The CPU time for each, in microseconds."""
        return f"CPU: api {self._api_s / self._count * 1e6:.0f} us, store {self._store_s / self._count * 1e6:.0f} us"


def server_cpu_s(server: Server) -> float:
    """Return the CPU seconds of a server's processes, which form one process group (proc_stat(5))."""
    ticks = 0
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = entry.read_text().rpartition(") ")[2].split()
        except OSError:
            continue
        if int(fields[2]) == server.pid:
            ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def store_cpu_s(bridge: Bridge) -> float:
    """Return the CPU seconds of a bridge's store."""
    client: Any = redis.Redis(unix_socket_path=bridge.store_url.removeprefix("unix://"))
    found = client.info("cpu")
    client.close()
    return float(found["used_cpu_sys"] + found["used_cpu_user"])
