# SPDX-License-Identifier: Apache-2.0
"""The OpenAPI description of the bridge's own paths and of the queued calls."""
