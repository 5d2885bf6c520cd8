# SPDX-License-Identifier: Apache-2.0
"""Delivers the jobs of a lane to upstream, in order, and settles their outcomes."""
