# SPDX-License-Identifier: Apache-2.0
"""The synchronous calls: forwarded to upstream while the client waits."""
