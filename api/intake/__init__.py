# SPDX-License-Identifier: Apache-2.0
"""The queued calls: reads writes, stores them in the outbox, responds as MLflow does."""
