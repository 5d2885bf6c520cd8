# SPDX-License-Identifier: Apache-2.0
"""Reads an OTLP export as far as decides whether MLflow can: `mlflow/server/otel_api.py` (3.17), in its words.

The bytes that came are what is sent on; what is read here is dropped.
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

#: The fields that OTLP's JSON spells in hexadecimal and protobuf's JSON in base64.
_IDS = ("traceId", "spanId", "parentSpanId")
#: What MLflow keeps of an id: 16 bytes of a trace's, 8 of a span's.
_TRACE_IDS, _SPAN_IDS = 1 << 128, 1 << 64
_MAX_INT64 = 2**63 - 1
#: protobuf's JSON searches each text with a regular expression, which lets no other thread run: 400 ms for 12 MB.
_LONG_TEXT = 64 * 1024
#: How many objects and lists are read: more than 40 MiB of the smallest spans of a real exporter have. In protobuf's
#: JSON each takes ten microseconds.
_MOST_PARTS = 1_000_000
#: As `google.protobuf.json_format` has it.
_MOST_LEVELS = 100
_UNREADABLE = "Invalid OpenTelemetry format"
# What a JSON of another shape than an export's raises, over which MLflow breaks down: 500.
_SHAPELESS = (AttributeError, TypeError, RecursionError)


def check_export(plain: bytes, *, is_json: bool) -> None:
    """Raise ``InvalidWrite`` for an export, unpacked, that no MLflow server can read or store."""
    spans = _Spans()
    try:
        export = _read_json(plain, spans) if is_json else _read_protobuf(plain)
    except (DecodeError, JsonFormatError, ValueError, *_SHAPELESS) as error:
        raise _refused(_UNREADABLE) from error
    if not export.resource_spans:
        raise _refused(f"{_UNREADABLE} - no spans found")
    for span in _each_span(export):
        spans.note(span)
    spans.check()


def _each_span(export: ExportTraceServiceRequest) -> Iterator[Span]:
    count = _bounded(len(export.resource_spans))
    for resource_spans in export.resource_spans:
        count = _bounded(count + len(resource_spans.scope_spans))
        for scope_spans in resource_spans.scope_spans:
            count = _bounded(count + len(scope_spans.spans))
            yield from scope_spans.spans


class _Spans:
    """What MLflow will make of the spans of an export: it converts all of them before it stores the first."""

    def __init__(self) -> None:
        self._are_converted = self._are_kept = True

    def note(self, span: Span) -> None:
        """Look at one."""
        self._are_converted &= bool(span.trace_id and span.span_id)
        self._are_kept &= (
            int.from_bytes(span.trace_id) < _TRACE_IDS
            and int.from_bytes(span.span_id) < _SPAN_IDS
            and int.from_bytes(span.parent_span_id) < _SPAN_IDS
            and max(span.start_time_unix_nano, span.end_time_unix_nano) <= _MAX_INT64
        )

    def check(self) -> None:
        """Raise ``InvalidWrite`` unless MLflow stores all that were noted."""
        if not self._are_converted:
            raise _refused("Cannot convert OpenTelemetry span to MLflow span", 422)
        if not self._are_kept:
            raise _refused("Failed to log OpenTelemetry spans", 422)


def check_coding(coding: str) -> None:
    """Raise ``InvalidWrite`` for a ``Content-Encoding`` that MLflow does not unpack."""
    if coding and coding not in _UNPACK:
        raise _refused(f"Unsupported Content-Encoding: {coding}")


def unpacked(body: bytes, coding: str, *, longest: int) -> bytes:
    """Return the body without its ``Content-Encoding``, or raise ``InvalidWrite``; empty for none."""
    if not coding:
        return body
    try:
        plain = _UNPACK[coding](body, longest + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise _refused(f"Failed to decompress {coding} payload") from error
    if len(plain) > longest:
        raise InvalidWrite(f"The body has more than {longest} bytes when it is unpacked.", "REQUEST_TOO_LARGE", 413)
    return plain


def _read_protobuf(plain: bytes) -> ExportTraceServiceRequest:
    export = ExportTraceServiceRequest()
    export.ParseFromString(plain)
    return export


def _read_json(plain: bytes, noted: _Spans) -> ExportTraceServiceRequest:
    """Return the export without the spans that stand where they should: noted one by one, they need less memory."""
    export = json.loads(plain)
    if plain.count(b"{") + plain.count(b"[") > _MOST_PARTS:
        _check_parts(export)
    for resource_spans in export.get("resourceSpans", []):
        for scope_spans in resource_spans.get("scopeSpans", []):
            spans = scope_spans.get("spans", [])
            for span in spans:
                noted.note(_read_span(span))
            if isinstance(spans, list):
                spans.clear()
    return _parsed(export, ExportTraceServiceRequest(), _MOST_LEVELS)


def _check_parts(export: Any) -> None:  # noqa: ANN401 - JSON
    """Raise ``InvalidWrite`` for more objects and lists than would be read in seconds."""
    count, waiting = 0, [export]
    while waiting:
        part = waiting.pop()
        inner = [each for each in (part.values() if isinstance(part, dict) else part) if isinstance(each, dict | list)]
        waiting += inner
        count = _bounded(count + len(inner))


def _read_span(span: Any) -> Span:  # noqa: ANN401 - JSON
    for name in _IDS:
        if spelled := span.get(name):
            span[name] = base64.b64encode(bytes.fromhex(spelled)).decode("ascii")
    _drop_long_texts(span.get("attributes"))
    # It stands three levels deep in its export.
    return _parsed(span, Span(), _MOST_LEVELS - 3)


def _parsed(fields: Any, message: T, levels: int) -> T:  # noqa: ANN401 - JSON
    ParseDict(fields, message, ignore_unknown_fields=True, max_recursion_depth=levels)
    return message


def _drop_long_texts(attributes: object) -> None:
    """Check long texts here, and spare the parser from doing so; ``ValueError`` for half a surrogate pair."""
    for attribute in attributes if isinstance(attributes, list) else ():
        value = attribute.get("value") if isinstance(attribute, dict) else None
        text = value.get("stringValue") if isinstance(value, dict) else None
        if isinstance(value, dict) and isinstance(text, str) and len(text) > _LONG_TEXT:
            text.encode()
            value["stringValue"] = ""


def _gunzip(body: bytes, most: int) -> bytes:
    return gzip.GzipFile(fileobj=io.BytesIO(body)).read(most)


def _inflate(body: bytes, most: int) -> bytes:
    try:
        return _inflate_with(zlib.MAX_WBITS, body, most)
    except zlib.error:
        # Some clients leave out the head that the coding should have.
        return _inflate_with(-zlib.MAX_WBITS, body, most)


def _inflate_with(bits: int, body: bytes, most: int) -> bytes:
    stream = zlib.decompressobj(bits)
    plain = stream.decompress(body, most)
    if not stream.eof and len(plain) < most:
        raise zlib.error("it ends early")
    return plain


_UNPACK: dict[str, Callable[[bytes, int], bytes]] = {"gzip": _gunzip, "deflate": _inflate}


def _bounded(parts: int) -> int:
    """Return the number of parts, or raise ``InvalidWrite`` where it is too large."""
    if parts > _MOST_PARTS:
        detail = f"The export has more than {_MOST_PARTS} objects and lists. Send several smaller ones."
        raise InvalidWrite(detail, "REQUEST_TOO_LARGE", 413)
    return parts


def _refused(detail: str, status: int = 400) -> InvalidWrite:
    return InvalidWrite(detail, "BAD_REQUEST", status)
