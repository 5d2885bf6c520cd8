# SPDX-License-Identifier: Apache-2.0
"""Logs, metrics, traces and records for operators: observers of the events in `bridge.events`."""
