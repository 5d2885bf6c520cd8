# SPDX-License-Identifier: Apache-2.0
"""The ``Prefer`` header: whether and how long a client waits for an outcome (RFC 7240, section 4)."""

import datetime as dt
from dataclasses import dataclass

from werkzeug.http import parse_list_header

#: A longer wait is shortened to this; the client then sends the request again.
MAX_WAIT = dt.timedelta(seconds=60)
#: A number with as many digits is not converted.
_MAX_DIGITS = 10


@dataclass(frozen=True, slots=True)
class Preferences:
    """What the client prefers. The api may ignore it."""

    respond_async: bool = False
    wait: dt.timedelta | None = None


#: The preferences of a request without the header.
NO_PREFERENCES = Preferences()


def read_preferences(header: str | None) -> Preferences:
    """Parse the header. Of repeated preferences the first one applies, and unknown ones are ignored."""
    if header is None:
        return NO_PREFERENCES
    respond_async, wait = False, None
    for preference in parse_list_header(header):
        name, _, value = preference.split(";")[0].partition("=")
        name, value = name.strip().lower(), value.strip().strip('"')
        if name == "respond-async":
            respond_async = True
        elif name == "wait" and value.isdecimal() and wait is None:
            wait = min(dt.timedelta(seconds=int(value)), MAX_WAIT) if len(value) < _MAX_DIGITS else MAX_WAIT
    return Preferences(respond_async, wait)
