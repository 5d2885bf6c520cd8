# SPDX-License-Identifier: Apache-2.0
"""Amazon API Gateway in front of the bridge: what it imports, and the versions of its documentation."""
