# SPDX-License-Identifier: Apache-2.0
"""Exports of spans, good and bad: in protobuf and JSON, packed and not."""

import gzip
import json
import os
import time
import zlib
from dataclasses import dataclass, field
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

PROTOBUF, JSON = "application/x-protobuf", "application/json"
_EXPERIMENT = "x-mlflow-experiment-id"
#: In place of a field's value: there is no such field.
ABSENT: Any = Ellipsis


@dataclass(frozen=True)
class Export:
    """One request."""

    body: bytes
    kind: str | None = PROTOBUF
    headers: dict[str, str] = field(default_factory=dict)
    experiment: str | None = "0"

    @property
    def all_headers(self) -> dict[str, str]:
        named = {"Content-Type": self.kind, _EXPERIMENT: self.experiment}
        return {name: value for name, value in named.items() if value is not None} | self.headers


def span(**fields: Any) -> dict[str, Any]:
    """A span in OTLP's JSON, with these fields besides or instead."""
    now = str(time.time_ns())
    good = {"traceId": os.urandom(16).hex(), "spanId": os.urandom(8).hex(), "name": "s"}
    good |= {"startTimeUnixNano": now, "endTimeUnixNano": now}
    return {name: value for name, value in (good | fields).items() if value is not ABSENT}


def spelled(*spans: Any) -> bytes:
    return json.dumps({"resourceSpans": [{"resource": {}, "scopeSpans": [{"spans": list(spans)}]}]}).encode()


def packed(count: int = 1, **fields: Any) -> bytes:
    """An export in protobuf; a field that is None is left out."""
    export = ExportTraceServiceRequest()
    spans = export.resource_spans.add().scope_spans.add().spans
    for _ in range(count):
        now = time.time_ns()
        good = {"trace_id": os.urandom(16), "span_id": os.urandom(8), "start_time_unix_nano": now, "name": "s"}
        spans.add(**{name: value for name, value in (good | fields).items() if value is not None})
    body: bytes = export.SerializeToString()
    return body


def _attribute(key: str, **value: Any) -> dict[str, Any]:
    return {"attributes": [{"key": key, "value": value}]}


def _nested(levels: int) -> dict[str, Any]:
    value: dict[str, Any] = {"stringValue": "x"}
    for _ in range(levels):
        value = {"arrayValue": {"values": [value]}}
    return _attribute("k", **value)


def _deflated(body: bytes, bits: int) -> bytes:
    stream = zlib.compressobj(wbits=bits)
    return stream.compress(body) + stream.flush()


#: What stands in one field of a span of JSON.
FIELDS: dict[str, dict[str, Any]] = {
    **{
        f"trace id {value!r}": {"traceId": value} for value in (ABSENT, "", None, "abc", "zz", "ab", "00" * 16, 5, True)
    },
    **{f"trace id of {size} bytes": {"traceId": "ab" * size} for size in (15, 16, 17, 40)},
    "trace id that is long for its zeros": {"traceId": "00" * 30 + "ab" * 16},
    "trace id in capitals": {"traceId": "AB" * 16},
    "trace id, listed": {"traceId": ["ab"]},
    **{f"span id {value!r}": {"spanId": value} for value in (ABSENT, "", None, "abc", "xy", "01", "00" * 8, 1.5)},
    **{f"span id of {size} bytes": {"spanId": "cd" * size} for size in (7, 8, 9)},
    "span id among spaces": {"spanId": "ab cd ef 01 02 03 04 05"},
    **{f"parent {value!r}": {"parentSpanId": value} for value in ("", None, "xyz", "0" * 16, "ab" * 8, "ab" * 9, 7)},
    **{f"name {str(value)[:9]!r}": {"name": value} for value in (ABSENT, 3, "", "\ud800", "a\0b", "n" * 5000, None)},
    **{
        f"time {value!r}": {"startTimeUnixNano": value}
        for value in (ABSENT, "-1", "x", 1.5, 5, str(2**63 - 1), str(2**63), str(2**64 - 1), str(2**64), True)
    },
    **{f"end {value!r}": {"endTimeUnixNano": value} for value in (ABSENT, "0", str(2**64 - 1), "x")},
    **{f"kind {value!r}": {"kind": value} for value in (1, 99, "X", "SPAN_KIND_SERVER", None)},
    **{
        f"status {value!r}": {"status": value} for value in ({"code": 2}, {"code": 9}, {"code": "X"}, 3, {"message": 1})
    },
    "attributes, a text": {"attributes": "x"},
    "attribute without value": {"attributes": [{"key": "k"}]},
    "attribute of the wrong type": _attribute("k", stringValue=3),
    "attribute of two values": _attribute("k", stringValue="a", intValue="3"),
    "attribute, a long text": _attribute("k", stringValue="\U0001f600x" * 50_000),
    "attribute, a long text that is none": _attribute("k", stringValue="\ud800x" * 50_000),
    "attribute of two values, one long": _attribute("k", stringValue="a" * 100_000, intValue="3"),
    "attribute, no integer": _attribute("k", intValue="x"),
    "attribute, NaN in a text": _attribute("k", doubleValue="NaN"),
    "attribute, a bare NaN": _attribute("k", doubleValue=float("nan")),
    "attribute, bytes": _attribute("k", bytesValue="AAE="),
    "attribute, no base64": _attribute("k", bytesValue="A"),
    **{f"attribute of {levels} levels": _nested(levels) for levels in (20, 46, 47, 48, 49, 60)},
    "unknown field": {"colour": [1]},
    "link": {"links": [{"traceId": "ab" * 16, "spanId": "cd" * 8}]},
    "link, empty": {"links": [{}]},
    "link, no base64": {"links": [{"traceId": "x"}]},
    "event": {"events": [{"name": "e", "timeUnixNano": "5"}]},
    "event, no time": {"events": [{"timeUnixNano": "x"}]},
}

_TEXTS = [
    *(b"", b"{}", b"[]", b"null", b"3", b'"a"', b"{", b"\xff", b'{"a":NaN}', b"{} {}", b"[" * 3000),
    *(b'{"resourceSpans":%s}' % each for each in (b"[]", b"null", b"{}", b"3", b"[null]", b"[3]", b"[{}]", b'"abc"')),
    *(
        b'{"resourceSpans":[{"scopeSpans":%s}]}' % each
        for each in (b"null", b'{"spans":[]}', b'[{"spans":null}]', b'[{"spans":[]}]', b'[{"spans":[{}]}]')
    ),
    *(
        b'{"resourceSpans":[{"scopeSpans":[{"spans":%s}]}]}' % each
        for each in (b"{}", b'["a"]', b"[null]", b"[[]]", b"5")
    ),
    *(b'{"resource_spans":[{}]}', b'{"resourceSpans":[],"resourceSpans":[{}]}', b'{"resourceSpans":[{"resource":3}]}'),
    *(b'\xef\xbb\xbf{"resourceSpans":[{}]}', '{"resourceSpans":[{}]}'.encode("utf-16"), b"\xef\xbb\xbf{}"),
    spelled(span()).replace(b"resourceSpans", b"resource_spans"),
    spelled(span(traceId="ab" * 40)).replace(b"scopeSpans", b"scope_spans"),
    b'{"resourceSpans":[{"scopeSpans":[{"spans":[{}]}],"resource":3}]}',
    b'{"resourceSpans":[{"scopeSpans":[{"spans":[{}]}]}],"resource_spans":[]}',
    b'{"resourceSpans":' + b"[" * 200 + b"]" * 200 + b"}",
]
_BYTES = {
    "good": packed(),
    "of three": packed(3),
    "empty": b"",
    "garbage": b"no protobuf",
    "nothing in it": b"\x0a\x00",
    "an unknown field alone": b"\x7a\x00",
    "cut off": packed()[:-3],
    "no UTF-8": packed(name="abcdef").replace(b"abcdef", b"\xff\xfeabcd"),
    "no trace id": packed(trace_id=None),
    "no span id": packed(span_id=None),
    "JSON instead": spelled(span()),
    **{f"trace id of {size} bytes": packed(trace_id=b"a" * size) for size in (1, 16, 17, 300)},
    **{f"span id of {size} bytes": packed(span_id=b"b" * size) for size in (1, 8, 9)},
    **{f"parent of {size} bytes": packed(parent_span_id=b"b" * size) for size in (1, 8, 9)},
    "a time beyond 63 bits": packed(end_time_unix_nano=2**63),
}


def _codings() -> dict[str, Export]:
    good = spelled(span())
    gzipped, deflated = gzip.compress(good), zlib.compress(good)
    wrong_sum = gzipped[:-8] + b"sums" + gzipped[-4:]
    of: dict[str, list[bytes]] = {
        "gzip": [
            *(gzipped, good, b"", gzipped[:-3], gzipped[:9], gzipped + b"\0\0\0", gzipped + b"x", wrong_sum, deflated),
            *(gzip.compress(good[:20]) + gzip.compress(good[20:]), gzip.compress(gzipped), gzip.compress(b"")),
        ],
        "deflate": [
            *(deflated, good, b"abc", b"", deflated[:-3], deflated + b"xx", gzipped),
            *(_deflated(good, -15), _deflated(good, -15) + b"xx", _deflated(good, -15)[:-5]),
        ],
        **{coding: [gzipped] for coding in ("GZIP", "br", "identity", "zstd", "gzip, gzip", "x-gzip")},
        "": [good],
    }
    return {
        f"{coding or 'no coding'} {number}": Export(body, JSON, {"Content-Encoding": coding})
        for coding, bodies in of.items()
        for number, body in enumerate(bodies)
    }


_KINDS = (None, "", "text/plain", "Application/JSON", "application/json; charset=utf-16", "application/json ;a", "json")

EXPORTS: dict[str, Export] = {
    **{f"JSON, {name}": Export(spelled(span(**fields)), JSON) for name, fields in FIELDS.items()},
    **{f"JSON {text[:60]!r} of {len(text)}": Export(text, JSON) for text in _TEXTS},
    "JSON, the second without an id": Export(spelled(span(), span(spanId="")), JSON),
    "JSON, the first too long, the second without an id": Export(
        spelled(span(traceId="ab" * 40), span(spanId="")), JSON
    ),
    "JSON, protobuf instead": Export(packed(), JSON),
    **{f"protobuf, {name}": Export(body) for name, body in _BYTES.items()},
    **{
        f"protobuf in gzip, {name}": Export(gzip.compress(body), PROTOBUF, {"Content-Encoding": "gzip"})
        for name, body in _BYTES.items()
    },
    **_codings(),
    **{f"type {kind}": Export(spelled(span()), kind) for kind in _KINDS},
    "no experiment": Export(b"x", experiment=None),
    "no experiment and no type": Export(packed(), None, experiment=None),
    "an experiment that is none, and no spans": Export(b"{}", JSON, experiment="a/b"),
}
