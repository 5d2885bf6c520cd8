# SPDX-License-Identifier: Apache-2.0
"""Which methods there are. What is none of them would go around the table of endpoints."""

from werkzeug.exceptions import MethodNotAllowed

#: As they are written: to HTTP `get` is another method than `GET`, but not to every client on the way to upstream.
#: CONNECT would open a tunnel, and TRACE would give back what was signed.
METHODS = frozenset({"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"})


def check_method(method: str) -> None:
    """Raise ``MethodNotAllowed`` for a method that nobody here knows."""
    if method not in METHODS:
        raise MethodNotAllowed(METHODS, "There is no such method.")
