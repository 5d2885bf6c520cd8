# SPDX-License-Identifier: Apache-2.0
"""The distribution of the store's partitions over the shards of a cluster."""

import binascii
import math

from bridge.redis_store.keys import PARTITIONS

_SLOTS = 16384


def slot(partition: int) -> int:
    """Return the hash slot of a partition: CRC-16/XMODEM of its hash tag (the cluster specification of Valkey)."""
    return binascii.crc_hqx(f"p{partition:02}".encode(), 0) % _SLOTS


def equal_slots_share(shards: int, partitions: int = PARTITIONS) -> float:
    """Return the busiest shard's share of the lanes if each shard has an equal range of slots, which is the default."""
    counts = [0] * shards
    for number in range(partitions):
        counts[slot(number) * shards // _SLOTS] += 1
    return max(counts) / partitions


def placed_slots_share(shards: int, partitions: int = PARTITIONS) -> float:
    """Return the busiest shard's share of the lanes if an operator assigns the partitions' slots evenly."""
    return math.ceil(partitions / shards) / partitions
