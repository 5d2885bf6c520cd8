# SPDX-License-Identifier: Apache-2.0
"""Logs, metrics and traces. Each is an observer of events in a file of its own."""
