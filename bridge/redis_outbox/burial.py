# SPDX-License-Identifier: Apache-2.0
"""Makes the dead letters of a settlement."""

from typing import Any

from bridge.outbox import Burial, Claim, Settlement
from bridge.redis_outbox import keys
from bridge.redis_outbox.records import DeadLetter, last_sent, pack


def letters(client: Any, claim: Claim, settlement: Settlement, burial: Burial) -> list[bytes | str]:  # noqa: ANN401 - see RedisOutbox
    """Return field, letter and line of the index for each buried job, as settle.lua takes them.

    The lane is read once more: whoever holds the lease finds it as it was claimed.
    """
    lane = claim.lane
    entries = client.lrange(keys.writes(lane), 0, settlement.count - 1)
    notes = client.lrange(keys.attempts(lane), 0, -1)
    result: list[bytes | str] = []
    for job, entry in zip(claim.jobs, entries, strict=False):
        position = job.position
        earlier = tuple(note for note in notes if last_sent(note) >= position)
        attempts = max(settlement.attempts, len(earlier) + 1)
        letter = DeadLetter(burial.reason, burial.message, attempts, burial.answer, entry, earlier)
        line = keys.letter_line(lane, position, burial.reason, job.client)
        result += [keys.dead_field(lane, position), pack(letter), line]
    return result
