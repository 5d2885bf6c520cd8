# SPDX-License-Identifier: Apache-2.0
"""Capacity: how many processes, shards and upstreams a load needs, from measured costs."""
