# SPDX-License-Identifier: Apache-2.0
"""Preconditions of a change: the version that its author has read, and a recent sign-in."""

import datetime as dt

from flask import abort, request

from api.http.exceptions import SignInAgain
from api.routes.context import session
from bridge.process.clock import Clock

#: How long ago the sign-in of a browser may be that creates or revokes keys.
RECENT_SIGN_IN = dt.timedelta(minutes=15)


def check_version(etag: str | None, *, is_required: bool = True) -> None:
    """Abort with 412 if the request names another version, and with 428 if it names none although it must.

    ``etag`` is the version that exists, None if nothing exists.
    """
    if request.if_none_match.star_tag:
        if etag is not None:
            abort(412, "It exists already. Read it, and send its `etag` as If-Match to change it.")
    elif request.if_match:
        if etag is None or not request.if_match.contains_raw(etag):
            abort(412, "It has changed since it was read, or was deleted. Read it again.")
    elif is_required:
        abort(428, "Send If-Match with the `etag` of what you change, or If-None-Match: * for what is new.")


def check_recent_sign_in(clock: Clock) -> None:
    """Raise ``SignInAgain`` for a browser if its sign-in is too long ago. Clients that send credentials pass."""
    browser_session = session()
    if browser_session and clock.now() - browser_session.auth_time > RECENT_SIGN_IN:
        minutes = RECENT_SIGN_IN.total_seconds() / 60
        raise SignInAgain(f"What makes or ends keys needs a sign-in of the last {minutes:.0f} minutes. Sign in again.")
