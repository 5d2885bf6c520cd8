# SPDX-License-Identifier: Apache-2.0
"""Refuses requests that another site's page makes with a person's cookie (CSRF).

The checks read headers that browsers set and no page can: ``Origin``, and ``Sec-Fetch-Site`` where it is sent. Browsers
send the latter to trustworthy origins only, so it is not required. No CSRF token is needed, so MLflow's UI works as it
is.
"""

from urllib.parse import urlsplit

from api.http.exceptions import CrossSiteRequest
from api.http.request import Request

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


def check_same_origin(request: Request, *, public_url: str | None) -> None:
    """Raise ``CrossSiteRequest`` unless a request with a cookie comes from a page of the bridge, or is a link."""
    site, origin = request.header(b"sec-fetch-site"), request.header(b"origin")
    if request.method in _SAFE_METHODS:
        if site not in (None, "same-origin", "none") and not _is_link(request):
            raise CrossSiteRequest("A page of another site has asked for this with your cookie.")
    elif site not in (None, "same-origin"):
        raise CrossSiteRequest("A page of another site has sent this with your cookie (Sec-Fetch-Site).")
    elif origin is None and site is None:
        raise CrossSiteRequest("A change by cookie needs the header Origin, which browsers send. Programs send a key.")
    elif origin is not None and not _is_own_origin(origin, request, public_url):
        raise CrossSiteRequest("A page of another site has sent this with your cookie (Origin).")


def check_sign_in_is_not_forged(request: Request) -> None:
    """Raise ``CrossSiteRequest`` if another site's page would sign the person in under another name."""
    if request.header(b"sec-fetch-site") not in (None, "same-origin"):
        raise CrossSiteRequest("A page of another site can't sign you in.")


def _is_link(request: Request) -> bool:
    """Return whether a person has followed a link: the response becomes a page, which other sites can't read."""
    mode, loaded_as = request.header(b"sec-fetch-mode"), request.header(b"sec-fetch-dest")
    return mode == "navigate" and loaded_as == "document"


def _is_own_origin(origin: str, request: Request, public_url: str | None) -> bool:
    # A proxy may have put another name into Host; then the setting says where browsers find the bridge.
    return _netloc(origin) == (request.header(b"host") or "").lower() or origin.lower() == public_url


def _netloc(origin: str) -> str:
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""
