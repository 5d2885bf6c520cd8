# SPDX-License-Identifier: Apache-2.0
"""Validates an OTLP trace export as MLflow does (`mlflow/server/otel_api.py`, 3.17), with MLflow's error messages.

The bridge delivers the original bytes; the parsed export is discarded.
"""

import base64
import gzip
import io
import json
import zlib
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from google.protobuf.json_format import Error as JsonFormatError  # type: ignore[import-untyped] # it ships no types
from google.protobuf.json_format import ParseDict
from google.protobuf.message import DecodeError  # type: ignore[import-untyped] # it ships no types
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from schemas.errors import InvalidWrite

T = TypeVar("T", ExportTraceServiceRequest, Span)

#: Hexadecimal in OTLP's JSON, base64 in protobuf's JSON.
_ID_FIELDS = ("traceId", "spanId", "parentSpanId")
#: MLflow stores 16 bytes of a trace id and 8 of a span id. Exclusive bounds.
_TRACE_ID_BOUND, _SPAN_ID_BOUND = 1 << 128, 1 << 64
_MAX_INT64 = 2**63 - 1
#: Longer strings are not parsed. protobuf's JSON parser matches each string with a regular expression, which holds
#: the GIL: 400 ms for 12 MB.
_MAX_PARSED_CHARACTERS = 64 * 1024
#: Limit on JSON objects and lists, each of which takes protobuf's parser ten microseconds. 40 MiB of a real exporter's
#: smallest spans have fewer.
_MAX_PARTS = 1_000_000
#: The default of `google.protobuf.json_format`.
_MAX_DEPTH = 100
#: A span lies inside the export, a resource and a scope.
_SPAN_DEPTH = 3
_UNREADABLE = "Invalid OpenTelemetry format"
# Raised for JSON of another shape than an export's; MLflow answers it with 500.
_WRONG_SHAPE_ERRORS = (AttributeError, TypeError, RecursionError)


def check_export(plain: bytes, *, is_json: bool) -> None:
    """Raise ``InvalidWrite`` for a decompressed export that no MLflow server can parse or store."""
    spans = _SpanValidator()
    try:
        export = _read_json(plain, spans) if is_json else _read_protobuf(plain)
    except (DecodeError, JsonFormatError, ValueError, *_WRONG_SHAPE_ERRORS) as error:
        raise _invalid(_UNREADABLE) from error
    if not export.resource_spans:
        raise _invalid(f"{_UNREADABLE} - no spans found")
    for span in _spans_of(export):
        spans.add(span)
    spans.check()


def _spans_of(export: ExportTraceServiceRequest) -> Iterator[Span]:
    count = _check_part_count(len(export.resource_spans))
    for resource_spans in export.resource_spans:
        count = _check_part_count(count + len(resource_spans.scope_spans))
        for scope_spans in resource_spans.scope_spans:
            count = _check_part_count(count + len(scope_spans.spans))
            yield from scope_spans.spans


class _SpanValidator:
    """Checks the spans of an export. MLflow converts all spans before it stores the first."""

    def __init__(self) -> None:
        self._are_convertible = self._are_storable = True

    def add(self, span: Span) -> None:
        """Check one span. ``check`` raises the error if there is one."""
        self._are_convertible &= bool(span.trace_id and span.span_id)
        self._are_storable &= (
            int.from_bytes(span.trace_id) < _TRACE_ID_BOUND
            and int.from_bytes(span.span_id) < _SPAN_ID_BOUND
            and int.from_bytes(span.parent_span_id) < _SPAN_ID_BOUND
            and max(span.start_time_unix_nano, span.end_time_unix_nano) <= _MAX_INT64
        )

    def check(self) -> None:
        """Raise ``InvalidWrite`` unless MLflow can store all added spans."""
        if not self._are_convertible:
            raise _invalid("Cannot convert OpenTelemetry span to MLflow span", 422)
        if not self._are_storable:
            raise _invalid("Failed to log OpenTelemetry spans", 422)


def check_coding(coding: str) -> None:
    """Raise ``InvalidWrite`` for a ``Content-Encoding`` that MLflow does not support."""
    if coding and coding not in _DECOMPRESS:
        raise _invalid(f"Unsupported Content-Encoding: {coding}")


def decompress_export(body: bytes, coding: str, *, max_bytes: int) -> bytes:
    """Return the decompressed body, or raise ``InvalidWrite`` for a longer one. An empty coding: not compressed."""
    if not coding:
        return body
    try:
        plain = _DECOMPRESS[coding](body, max_bytes + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise _invalid(f"Failed to decompress {coding} payload") from error
    if len(plain) > max_bytes:
        raise InvalidWrite(
            f"The body has more than {max_bytes} bytes when it is decompressed.", "REQUEST_TOO_LARGE", 413
        )
    return plain


def _read_protobuf(plain: bytes) -> ExportTraceServiceRequest:
    export = ExportTraceServiceRequest()
    export.ParseFromString(plain)
    return export


def _read_json(plain: bytes, validator: _SpanValidator) -> ExportTraceServiceRequest:
    """Return the export without its spans. They are parsed and checked one by one, which needs less memory."""
    export = json.loads(plain)
    if plain.count(b"{") + plain.count(b"[") > _MAX_PARTS:
        _check_parts(export)
    for resource_spans in export.get("resourceSpans", []):
        for scope_spans in resource_spans.get("scopeSpans", []):
            spans = scope_spans.get("spans", [])
            for span in spans:
                validator.add(_read_span(span))
            if isinstance(spans, list):
                spans.clear()
    return _parse_dict(export, ExportTraceServiceRequest(), _MAX_DEPTH)


def _check_parts(export: Any) -> None:  # noqa: ANN401 - JSON
    """Raise ``InvalidWrite`` for more objects and lists than can be parsed within seconds."""
    count, stack = 0, [export]
    while stack:
        part = stack.pop()
        inner = [each for each in (part.values() if isinstance(part, dict) else part) if isinstance(each, dict | list)]
        stack += inner
        count = _check_part_count(count + len(inner))


def _read_span(span: Any) -> Span:  # noqa: ANN401 - JSON
    for name in _ID_FIELDS:
        if digits := span.get(name):
            span[name] = base64.b64encode(bytes.fromhex(digits)).decode("ascii")
    _drop_long_strings(span.get("attributes"))
    return _parse_dict(span, Span(), _MAX_DEPTH - _SPAN_DEPTH)


def _parse_dict(fields: Any, message: T, depth: int) -> T:  # noqa: ANN401 - JSON
    ParseDict(fields, message, ignore_unknown_fields=True, max_recursion_depth=depth)
    return message


def _drop_long_strings(attributes: object) -> None:
    """Empty long strings, which protobuf parses slowly. Raises ``ValueError`` for half a surrogate pair."""
    for attribute in attributes if isinstance(attributes, list) else ():
        value = attribute.get("value") if isinstance(attribute, dict) else None
        text = value.get("stringValue") if isinstance(value, dict) else None
        if isinstance(value, dict) and isinstance(text, str) and len(text) > _MAX_PARSED_CHARACTERS:
            # The only check of a string that the parser would make.
            text.encode()
            value["stringValue"] = ""


def _gunzip(body: bytes, max_bytes: int) -> bytes:
    return gzip.GzipFile(fileobj=io.BytesIO(body)).read(max_bytes)


def _inflate(body: bytes, max_bytes: int) -> bytes:
    try:
        return _inflate_with(zlib.MAX_WBITS, body, max_bytes)
    except zlib.error:
        # Some clients omit the zlib header that the coding requires.
        return _inflate_with(-zlib.MAX_WBITS, body, max_bytes)


def _inflate_with(window_bits: int, body: bytes, max_bytes: int) -> bytes:
    stream = zlib.decompressobj(window_bits)
    plain = stream.decompress(body, max_bytes)
    if not stream.eof and len(plain) < max_bytes:
        raise zlib.error("truncated stream")
    return plain


_DECOMPRESS: dict[str, Callable[[bytes, int], bytes]] = {"gzip": _gunzip, "deflate": _inflate}


def _check_part_count(parts: int) -> int:
    """Return the number of parts, or raise ``InvalidWrite`` for too many."""
    if parts > _MAX_PARTS:
        detail = f"The export has more than {_MAX_PARTS} objects and lists. Send several smaller ones."
        raise InvalidWrite(detail, "REQUEST_TOO_LARGE", 413)
    return parts


def _invalid(detail: str, status: int = 400) -> InvalidWrite:
    return InvalidWrite(detail, "BAD_REQUEST", status)
