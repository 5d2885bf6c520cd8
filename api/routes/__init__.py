# SPDX-License-Identifier: Apache-2.0
"""The bridge's own endpoints, in Flask."""
