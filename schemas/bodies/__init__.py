# SPDX-License-Identifier: Apache-2.0
"""The request bodies of queued calls, and how each becomes a write."""
