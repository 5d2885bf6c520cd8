# SPDX-License-Identifier: Apache-2.0
"""The key map: every key the outbox uses, its type and its meaning.

====================================  ======  =====================================================================
key                                   type    meaning
====================================  ======  =====================================================================
``bridge:{pNN}:lane:<lane>``          hash    ``accepted``, ``settled``: positions of the last such job; ``lease``:
                                              token of the current claim; ``frozen``: position up to which its jobs
                                              go; ``attempts``: failed attempts at the head, ``tried``: position up
                                              to which its writes were sent; ``failure``: why the
                                              last one failed; ``claims``: the current claim and those that ended in
                                              a crash; ``alone``: the head was last sent alone
``bridge:{pNN}:writes:<lane>``        list    the pending writes; the first has position ``settled`` + 1
``bridge:{pNN}:settled:<lane>``       list    one record a settled call: position of its last job, time, outcome
``bridge:{pNN}:ready``                zset    lane -> when it is due (ms); each lane that has pending writes is in it
``bridge:{pNN}:dead``                 hash    ``<lane>/<position>`` -> time of burial (ms, 13 digits), dead letter
``bridge:{pNN}:idempotency:<hash>``   string  what was accepted under an idempotency key, beside its lane
``bridge:idempotency:<hash>``         string  the fingerprint of the request that an idempotency key stands for
``bridge:{pNN}:sweep``                string  exists while the partition has been swept lately
``bridge:gate:<hash>``                hash    the bucket and the breaker of an upstream: ``next``: when the bucket is
                                              full again (us); ``rate``: lowered by throttling, ``slowed`` when (ms);
                                              ``failures`` in a row; ``until``: when the open breaker lets a probe
                                              through (ms), ``why``, ``trips``; ``probe``: when that is given up (ms)
``bridge:workers``                    zset    worker process -> when it last reported (ms)
``bridge:seal``                       string  the key that job ids are sealed with
====================================  ======  =====================================================================

The hash tag ``{pNN}`` is the lane's partition: all keys that one script touches lie in one slot of a cluster.
"""

import hashlib
import zlib

#: Fixed for good: it decides where a lane's keys lie.
PARTITIONS = 16

WORKERS = "bridge:workers"
SEAL = "bridge:seal"


def partition(lane: str) -> int:
    """Return the partition of a lane."""
    return zlib.crc32(lane.encode()) % PARTITIONS


def lane_state(lane: str) -> str:
    """The lane's counters and lease."""
    return f"{_tag(partition(lane))}:lane:{lane}"


def writes(lane: str) -> str:
    """The lane's pending writes."""
    return f"{_tag(partition(lane))}:writes:{lane}"


def settled(lane: str) -> str:
    """The lane's log of settled calls."""
    return f"{_tag(partition(lane))}:settled:{lane}"


def ready(number: int) -> str:
    """The due times of a partition's lanes."""
    return f"{_tag(number)}:ready"


def dead(number: int) -> str:
    """The dead letters of a partition."""
    return f"{_tag(number)}:dead"


def idempotency(number: int, client: str, key: str) -> str:
    """What was accepted under a client's idempotency key."""
    return f"{_tag(number)}:idempotency:{_digest(client, key)}"


def idempotency_guard(client: str, key: str) -> str:
    """The one request that a client's idempotency key stands for."""
    return f"bridge:idempotency:{_digest(client, key)}"


def gate(upstream: str) -> str:
    """The bucket and the breaker of an upstream."""
    return f"bridge:gate:{hashlib.blake2b(upstream.encode(), digest_size=8).hexdigest()}"


def sweep(number: int) -> str:
    """The mark that a partition has been swept lately."""
    return f"{_tag(number)}:sweep"


def dead_field(lane: str, position: int) -> str:
    """The field of a dead letter in its partition's hash."""
    return f"{lane}/{position}"


def _digest(client: str, key: str) -> str:
    return hashlib.blake2b(f"{client}\n{key}".encode(), digest_size=16).hexdigest()


def _tag(number: int) -> str:
    return f"bridge:{{p{number:02}}}"
