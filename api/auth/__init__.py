# SPDX-License-Identifier: Apache-2.0
"""Decides which client a request comes from and what the client may do."""
