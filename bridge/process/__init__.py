# SPDX-License-Identifier: Apache-2.0
"""What every process has: a clock, background threads, signals."""
