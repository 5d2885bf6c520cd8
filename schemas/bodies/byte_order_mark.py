# SPDX-License-Identifier: Apache-2.0
"""The byte order mark that some programs put before their text, though UTF-8 needs none."""

from codecs import BOM_UTF8


def strip_byte_order_mark(body: bytes) -> bytes:
    """Return a body without the mark before it, which may be ignored (RFC 8259, section 8.1); MLflow does so."""
    return body.removeprefix(BOM_UTF8)
