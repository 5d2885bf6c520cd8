# SPDX-License-Identifier: Apache-2.0
"""What surrounds every request: access log, rate limits, replay protection, trusted hosts."""
