# SPDX-License-Identifier: Apache-2.0
"""The queued calls: validated, accepted into the outbox, answered."""
