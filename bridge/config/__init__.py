# SPDX-License-Identifier: Apache-2.0
"""The settings: read once from the environment into one frozen object."""
