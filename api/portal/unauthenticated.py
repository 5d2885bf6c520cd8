# SPDX-License-Identifier: Apache-2.0
"""The responses to browsers that are not signed in: a redirect, in a frame a page, to a fetch JSON.

A ``WWW-Authenticate: Basic`` would make the browser ask for a password, even for a fetch.
"""

import base64
import hashlib
from dataclasses import replace
from urllib.parse import quote

from api.http.cookies import SESSION_COOKIE, read_cookie
from api.http.request import Request
from api.http.response import Response
from bridge.auth.oidc_login import HOME, local_target

SIGN_IN_PATH = f"{HOME}/sign-in"
#: What the page in the frame says to the console around it.
_SCRIPT = 'parent.postMessage({ type: "mlflow-bridge:signed-out" }, location.origin);'
_SCRIPT_HASH = base64.b64encode(hashlib.sha256(_SCRIPT.encode()).digest()).decode()
_FRAME_PAGE = f"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Signed out</title>
<p>You are signed out. <a href="{SIGN_IN_PATH}" target="_top">Sign in</a></p>
<script>{_SCRIPT}</script>
</html>
""".encode()
_FRAME_CSP = f"default-src 'none'; script-src 'sha256-{_SCRIPT_HASH}'; base-uri 'none'; frame-ancestors 'self'"
_NO_STORE = ("Cache-Control", "no-store")


def browser_response(request: Request, unauthenticated: Response) -> Response:
    """Return the response to a browser in place of a 401. Other programs get the 401 itself."""
    match request.header(b"sec-fetch-dest"):
        case "document" if request.method in ("GET", "HEAD"):
            to = local_target(request.target)
            location = f"{SIGN_IN_PATH}?to={quote(to, safe='')}"
            return Response(303, b"", "text/plain", (("Location", location), _NO_STORE))
        case "iframe" | "frame":
            csp = ("Content-Security-Policy", _FRAME_CSP)
            return Response(401, _FRAME_PAGE, "text/html; charset=utf-8", (csp, _NO_STORE))
    if is_browser(request):
        kept = tuple(pair for pair in unauthenticated.headers if pair[0] != "WWW-Authenticate")
        return replace(unauthenticated, headers=(*kept, ("WWW-Authenticate", "Bearer"), _NO_STORE))
    return unauthenticated


def is_browser(request: Request) -> bool:
    """Return whether a browser has sent the request, by the headers that only browsers send."""
    return request.header(b"sec-fetch-mode") is not None or bool(read_cookie(request.header(b"cookie"), SESSION_COOKIE))
