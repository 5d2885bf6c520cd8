# SPDX-License-Identifier: Apache-2.0
"""Calls that are not queued: forwarded to upstream, consistent with the client's own pending writes."""
