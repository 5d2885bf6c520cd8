# SPDX-License-Identifier: Apache-2.0
"""Tries the commands of the bridge's scripts on keys that mean nothing, to learn whether the account may run them."""

from typing import Any

from bridge.redis_outbox import keys
from bridge.redis_outbox.client import store_errors
from bridge.redis_outbox.scripts import load

_LASTS_MS = 10_000


def rehearse(client: Any) -> list[str]:  # noqa: ANN401 - see RedisOutbox
    """Return what the store refuses, a sentence each; nothing if the scripts can do their work."""
    with store_errors():
        refused = load(client, "rehearse")(list(keys.REHEARSAL), [_LASTS_MS])
    return [text.decode(errors="replace") for text in refused]
