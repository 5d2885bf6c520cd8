# SPDX-License-Identifier: Apache-2.0
"""Settings: read once from the environment into one frozen object."""
