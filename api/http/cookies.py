# SPDX-License-Identifier: Apache-2.0
"""The bridge's two cookies. Their ``__Host-`` prefix binds them to one host name and to TLS (RFC 6265bis, 4.1.3.2)."""

import datetime as dt

#: Holds the value of a browser session.
SESSION_COOKIE = "__Host-bridge-session"
#: Binds a sign-in at the provider to the browser that began it.
SIGN_IN_COOKIE = "__Host-bridge-sign-in"
#: ``Lax``: ``Strict`` would leave the cookie out after the provider's redirect, and on links from other sites.
_ATTRIBUTES = "Path=/; Secure; HttpOnly; SameSite=Lax"


def read_cookie(header: str | None, name: str) -> str | None:
    """Return the value of a cookie in a ``Cookie`` header, None if the cookie is absent or empty."""
    for pair in (header or "").split(";"):
        key, _, value = pair.strip().partition("=")
        if key == name:
            return value or None
    return None


def set_cookie(name: str, value: str, *, max_age: dt.timedelta) -> tuple[str, str]:
    """Return name and value of the header that sets a cookie."""
    return "Set-Cookie", f"{name}={value}; Max-Age={max(0, int(max_age.total_seconds()))}; {_ATTRIBUTES}"


def delete_cookie(name: str) -> tuple[str, str]:
    """Return name and value of the header that deletes a cookie."""
    return set_cookie(name, "", max_age=dt.timedelta())
