# SPDX-License-Identifier: Apache-2.0
"""The store: the outbox and all other state in Redis or Valkey."""
