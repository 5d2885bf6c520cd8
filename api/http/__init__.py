# SPDX-License-Identifier: Apache-2.0
"""The HTTP vocabulary of the api: requests, responses, errors, preferences, paths."""
