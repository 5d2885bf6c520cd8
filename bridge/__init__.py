# SPDX-License-Identifier: Apache-2.0
"""The core of the bridge, between `api` and `workers` and upstream: outbox, delivery, signing, proxying, operations."""
