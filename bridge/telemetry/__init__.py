# SPDX-License-Identifier: Apache-2.0
"""Observes events. Each way of telling them to the outside is a file of its own."""
