# SPDX-License-Identifier: Apache-2.0
"""Which methods there may be. What is none would go around the table of endpoints, or give away what was signed."""

import re

from werkzeug.exceptions import MethodNotAllowed

#: As it is written: to HTTP `get` is another method than `GET`, but the client that asks upstream makes them one.
_METHOD = re.compile(r"[A-Z][A-Z-]{0,19}")
#: The one would open a tunnel, the other bring our signature back.
_REFUSED = frozenset({"CONNECT", "TRACE"})
_USUAL = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE")


def check_method(method: str) -> None:
    """Raise ``MethodNotAllowed`` for what is no method, and for those that are not passed on."""
    if method in _REFUSED or not _METHOD.fullmatch(method):
        raise MethodNotAllowed(_USUAL, "This method is not passed on.")
