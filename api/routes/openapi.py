# SPDX-License-Identifier: Apache-2.0
"""``/openapi.json`` and ``/docs``: the description of the api."""

from collections.abc import Iterable

import msgspec
from flask import Response

from api.http.routing import Route
from api.openapi.document import openapi_document, openapi_page


class OpenApiRoutes:
    """Serves the OpenAPI document of all routes."""

    def __init__(self, routes: Iterable[Route], *, reference_page: str | None) -> None:
        """``reference_page`` is the path of the console's page with the reference, where there is a console."""
        self._reference_page = reference_page
        document = openapi_document(routes)
        self._document = msgspec.json.encode(document)
        self._page = openapi_page(document)

    @Route("GET", "/openapi.json", summary="The OpenAPI document", is_open=True, answers={200: None})
    def document(self) -> Response:
        """Return the document."""
        return Response(self._document, content_type="application/json")

    @Route("GET", "/docs", summary="A list of all operations as HTML", is_open=True, answers={200: None, 302: None})
    def page(self) -> Response:
        """Return the page, or redirect to the console's."""
        if self._reference_page:
            return Response(status=302, headers={"Location": self._reference_page})
        return Response(self._page, content_type="text/html; charset=utf-8")
