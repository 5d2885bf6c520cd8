# SPDX-License-Identifier: Apache-2.0
"""JSON in requests and responses of the Flask routes."""

from typing import TypeVar

import msgspec
from flask import Response, abort, request

from schemas.bodies.byte_order_mark import strip_byte_order_mark

T = TypeVar("T")


def json_body(kind: type[T], *, expected: str) -> T:
    """Return the body of the request as this type, or abort with 415 or 400. ``expected`` describes it in the error."""
    if request.mimetype != "application/json":
        # A page of another site can send other media types without a CORS preflight.
        abort(415, f"Send {expected} with Content-Type: application/json.")
    try:
        return msgspec.json.decode(strip_byte_order_mark(request.get_data()), type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        abort(400, f"The body is not valid: {error}.")


def query_of(kind: type[T]) -> T:
    """Return the query of the request as this type, or abort with 400."""
    arguments = request.args.to_dict()
    try:
        query = msgspec.convert(arguments, type=kind, strict=False)
    except msgspec.ValidationError as error:
        abort(400, f"The query is not valid: {error}.")
    # Text is converted to what a field holds, and `null` to None.
    if nulls := [name for name in arguments if getattr(query, name) is None]:
        abort(400, f"The query is not valid: leave out `{nulls[0]}` in place of null.")
    return query


def json_response(document: object, status: int = 200, *, location: str | None = None) -> Response:
    """Return a document as JSON."""
    response = Response(msgspec.json.encode(document), status, content_type="application/json")
    if location:
        response.headers["Location"] = location
    return response
