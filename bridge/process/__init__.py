# SPDX-License-Identifier: Apache-2.0
"""Foundations of every process: clock, background threads, signal notification."""
