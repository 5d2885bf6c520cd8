# SPDX-License-Identifier: Apache-2.0
"""The ``Prefer`` header: whether, and for how long, a client is ready to wait (RFC 7240, section 4)."""

import datetime as dt
from dataclasses import dataclass

from werkzeug.http import parse_list_header

#: A client may ask for more; it gets the answer of this moment and asks again.
LONGEST_WAIT = dt.timedelta(seconds=60)
_MANY_DIGITS = 10


@dataclass(frozen=True, slots=True)
class Preferences:
    """What the client would like; it has to cope with what it gets."""

    respond_async: bool = False
    wait: dt.timedelta | None = None


#: What a client without the header has.
NO_PREFERENCES = Preferences()


def read_preferences(header: str | None) -> Preferences:
    """Read the ``Prefer`` header; the first of each kind counts, and what is not understood is ignored."""
    if header is None:
        return NO_PREFERENCES
    respond_async, wait = False, None
    for preference in parse_list_header(header):
        name, _, value = preference.split(";")[0].partition("=")
        name, value = name.strip().lower(), value.strip().strip('"')
        if name == "respond-async":
            respond_async = True
        elif name == "wait" and value.isdecimal() and wait is None:
            wait = min(dt.timedelta(seconds=int(value)), LONGEST_WAIT) if len(value) < _MANY_DIGITS else LONGEST_WAIT
    return Preferences(respond_async, wait)
