# SPDX-License-Identifier: Apache-2.0
"""The bridge's state for operators: its overview, the series of its last hours, its lanes and its workers.

The ports have one implementation each, in `bridge.redis_store`. Every method of theirs raises ``StoreUnavailable`` when
the store is unavailable.
"""
