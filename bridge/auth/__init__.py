# SPDX-License-Identifier: Apache-2.0
"""Credentials and limits of clients: API keys, tokens, signatures, rate limits, experiment scope."""
