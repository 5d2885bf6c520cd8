# SPDX-License-Identifier: Apache-2.0
"""Security headers of the console's own pages, and of the pages and artifacts that come from upstream.

MLflow's UI shares its origin with the console, and any client may log an artifact. A script in one must never run with
the session of the person who looks at it. docs/adr/0024-csp-on-proxied-pages.md
"""

import re
from collections.abc import Iterable

from api.http.exceptions import CrossSiteRequest
from api.http.request import Request

Headers = tuple[tuple[str, str], ...]

CONSOLE_CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; font-src 'self' data:;"
    " connect-src 'self'; frame-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none';"
    " require-trusted-types-for 'script'"
)
#: MLflow's UI needs inline styles, and workers and images of blobs. Nothing of it needs ``unsafe-eval``.
PROXIED_CSP = (
    "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:;"
    " font-src 'self' data:; connect-src 'self'; worker-src 'self' blob:; frame-src 'self' blob:; object-src 'none';"
    " base-uri 'self'; form-action 'self'; frame-ancestors 'self'"
)
#: An artifact that a browser opens as a page gets an origin of its own, and may load and run nothing.
ARTIFACT_CSP = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'self'"

_NOSNIFF = ("X-Content-Type-Options", "nosniff")
CONSOLE_HEADERS: Headers = (
    ("Content-Security-Policy", CONSOLE_CSP),
    ("Referrer-Policy", "same-origin"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    _NOSNIFF,
)

#: Headers of upstream that the bridge's policy replaces.
_REPLACED_HEADERS = frozenset({"content-security-policy", "content-security-policy-report-only", "x-frame-options"})
#: Every path of MLflow's that serves an artifact's bytes has the word in it.
_ARTIFACT = re.compile("artifact")
#: Media types that browsers show as documents, in which scripts can run.
_PAGE_TYPES = frozenset({"text/html", "application/xhtml+xml", "image/svg+xml"})
#: What a page loads to run, or to be styled by. ``empty`` is a fetch, ``document`` a link.
_LOADED_AS_CODE = frozenset({"script", "worker", "sharedworker", "serviceworker", "style", "xslt", "object", "embed"})


def with_content_policy(headers: Iterable[tuple[str, str]], path: str) -> Headers:
    """Return the headers of upstream's answer with the bridge's policy on pages and artifacts."""
    kept = tuple(headers)
    if _ARTIFACT.search(path):
        added: Headers = (("Content-Security-Policy", ARTIFACT_CSP), _NOSNIFF)
        dropped = _REPLACED_HEADERS | {"x-content-type-options"}
    elif _is_page(kept):
        added, dropped = (("Content-Security-Policy", PROXIED_CSP),), _REPLACED_HEADERS
    else:
        return kept
    return (*(pair for pair in kept if pair[0].lower() not in dropped), *added)


def check_not_loaded_as_code(request: Request) -> None:
    """Raise ``CrossSiteRequest`` for an artifact that a page wants to run, which ``script-src 'self'`` would allow."""
    loaded_as = request.header(b"sec-fetch-dest")
    if loaded_as in _LOADED_AS_CODE and _ARTIFACT.search(request.path):
        raise CrossSiteRequest(f"An artifact can't be loaded as a {loaded_as}.")


def _is_page(headers: Headers) -> bool:
    media_types = [value.partition(";")[0].strip().lower() for name, value in headers if name.lower() == "content-type"]
    return not _PAGE_TYPES.isdisjoint(media_types)
