# SPDX-License-Identifier: Apache-2.0
"""HTTP: requests, responses, the route table, errors, preferences, compression, polling."""
