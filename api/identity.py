# SPDX-License-Identifier: Apache-2.0
"""Who is calling. Until there is authentication, everybody who can reach the port is one and the same client."""

ANONYMOUS = "anonymous"


def caller() -> str:
    """Return the client of the current request; jobs answer only to the client that made them."""
    return ANONYMOUS
