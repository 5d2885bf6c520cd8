# SPDX-License-Identifier: Apache-2.0
"""The words of the system: what a write and a job are. Imports nothing else of ours, and no framework."""
