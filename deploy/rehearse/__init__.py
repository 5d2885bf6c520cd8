# SPDX-License-Identifier: Apache-2.0
"""Rehearsal of a deployment and its rollback: two versions of the bridge over one store, under load."""
