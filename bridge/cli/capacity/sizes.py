# SPDX-License-Identifier: Apache-2.0
"""The worked sizes of docs/explanation/scale.md, which the simulation of the bench runs as well."""

from bridge.cli.capacity.workload import Workload

SIZES = {
    "10^6": Workload(writes_per_day=1e6, runs=100, calls=25),
    "10^8": Workload(writes_per_day=1e8, runs=1_000, calls=25),
    "10^9": Workload(writes_per_day=1e9, runs=10_000, calls=100),
    "10^9, one upstream": Workload(writes_per_day=1e9, runs=10_000, calls=100, upstream_writes=1e6),
}
