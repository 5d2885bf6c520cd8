# SPDX-License-Identifier: Apache-2.0
"""Exports of spans: how far they are unpacked and read, and by which headers they are refused before that."""

import gzip
import json
import zlib
from collections.abc import Callable

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans

from schemas.bodies.otlp import check_headers
from schemas.bodies.spans import check_export, decompress_export
from schemas.errors import InvalidWrite, MissingHeader

HEADERS = {"content-type": "application/json", "x-mlflow-experiment-id": "7"}


def _scopes(count: int) -> ResourceSpans:
    return ResourceSpans(scope_spans=[ScopeSpans()] * count)


def raw(body: bytes) -> bytes:
    stream = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return stream.compress(body) + stream.flush()


@pytest.mark.parametrize(("coding", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress), ("deflate", raw)])
def test_an_export_is_unpacked_no_further_than_a_body_may_be_long(coding: str, pack: Callable[[bytes], bytes]) -> None:
    bomb = pack(b" " * 1_000_000)

    assert decompress_export(bomb, coding, max_bytes=1_000_000) == b" " * 1_000_000
    with pytest.raises(InvalidWrite) as caught:
        decompress_export(bomb, coding, max_bytes=999_999)
    assert (caught.value.status, caught.value.error_code) == (413, "REQUEST_TOO_LARGE")


def test_a_body_without_coding_stays_as_it_is() -> None:
    assert decompress_export(b"x", "", max_bytes=0) == b"x"


@pytest.mark.parametrize("body", [b"[]", b"null", b"7", b'{"resourceSpans":null}', b"[" * 100_000])
def test_json_over_which_mlflow_breaks_down_is_no_export(body: bytes) -> None:
    with pytest.raises(InvalidWrite, match=r"^Invalid OpenTelemetry format$") as caught:
        check_export(body, is_json=True)
    assert caught.value.status == 400


_SPAN = b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"ab","spanId":"cd","attributes":%s}]}]}]}'


@pytest.mark.parametrize(
    ("body", "is_json"),
    [
        (b'{"resourceSpans":[' + b",".join([b"{}"] * 1_000_001) + b"]}", True),
        (_SPAN % (b"[" + b",".join([b'{"a":{}}'] * 500_001) + b"]"), True),
        (b"\x0a\x00" * 1_000_001, False),
        (ExportTraceServiceRequest(resource_spans=[_scopes(1_000_000)]).SerializeToString(), False),
    ],
    ids=["resources", "attributes", "resources in protobuf", "scopes in protobuf"],
)
def test_an_export_of_more_parts_than_are_read_in_seconds_is_too_large(body: bytes, *, is_json: bool) -> None:
    with pytest.raises(InvalidWrite, match="more than 1000000 objects and lists") as caught:
        check_export(body, is_json=is_json)
    assert caught.value.status == 413


def test_parts_that_stand_in_a_text_are_none() -> None:
    text = json.dumps("{[" * 600_000).encode()

    check_export(_SPAN % (b'[{"key":"k","value":{"stringValue":%s}}]' % text), is_json=True)


@pytest.mark.parametrize(
    ("changed", "status", "said"),
    [
        ({"x-mlflow-experiment-id": ""}, 422, "The header x-mlflow-experiment-id is missing."),
        ({"content-type": "text/plain"}, 400, "Invalid Content-Type: text/plain. Expected: "),
        ({"content-encoding": "BR"}, 400, "Unsupported Content-Encoding: br"),
    ],
)
def test_headers_decide_before_the_body_is_read(changed: dict[str, str], status: int, said: str) -> None:
    check_headers(HEADERS | {"content-encoding": "GZIP"})

    with pytest.raises(InvalidWrite) as caught:
        check_headers(HEADERS | changed)

    assert (caught.value.status, caught.value.message[: len(said)]) == (status, said)
    assert isinstance(caught.value, MissingHeader) == (status == 422)
