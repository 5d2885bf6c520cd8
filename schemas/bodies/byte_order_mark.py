# SPDX-License-Identifier: Apache-2.0
"""The UTF-8 byte order mark, which some clients send before a JSON body."""

from codecs import BOM_UTF8


def strip_byte_order_mark(body: bytes) -> bytes:
    """Return a body without a leading byte order mark. RFC 8259, section 8.1 permits this; MLflow does the same."""
    return body.removeprefix(BOM_UTF8)
