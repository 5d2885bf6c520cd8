# SPDX-License-Identifier: Apache-2.0
"""Fields of JSON that arrives in pieces."""

import json
import time
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.upstream.json_fields import JsonFields

PATHS = ((b"usage",), (b"message", b"usage"), (b"model",))


def found_in(*pieces: bytes, **options: Any) -> list[Any]:
    found: list[bytes] = []
    fields = JsonFields(PATHS, found.append, **options)
    for piece in pieces:
        fields.feed(piece)
    return [json.loads(text) for text in found]


@pytest.mark.parametrize(
    ("document", "found"),
    [
        ('{"usage": {"a": 1}}', [{"a": 1}]),
        ('{"x": [1, {"usage": {"a": 2}}], "usage": {"a": {"b": [1]}}}', [{"a": {"b": [1]}}]),
        ('{"message": {"usage": {"a": 1}}, "usage": {"a": 2}}', [{"a": 1}, {"a": 2}]),
        ('[{"usage": {"a": 1}}, {"usage": {"a": 2}}]', [{"a": 1}, {"a": 2}]),
        ('{"usage": null, "model": "m"}', ["m"]),
        ('{"model": "m", "usage": {}}', ["m", {}]),
        ('{"model": null, "usage": [], "x": "model"}', []),
        ('{"model": 1, "name": "x", "message": {"model": "no"}}', []),
        (r'{"text": "\"usage\": {\"a\": 1}", "model": "a\"b\\"}', ['a"b\\']),
        (r'{"text": "\\", "usage": {"a": "}"}}', [{"a": "}"}]),
        ('{"input": {"usage": {"a": 1}}, "choices": {"message": {"usage": {"a": 1}}}}', []),
        ('{"model": "é\\u00e9"}', ["éé"]),
        ("", []),
        ("no JSON at all", []),
        ("]]}}", []),
    ],
)
def test_only_fields_at_the_paths_are_found(document: str, found: list[Any]) -> None:
    whole = document.encode()

    assert found_in(whole) == found
    assert found_in(*(whole[i : i + 1] for i in range(len(whole)))) == found
    for cut in range(len(whole)):
        assert found_in(whole[:cut], whole[cut:]) == found


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text('usage"\\{}[]:, é', max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["usage", "model", "message", "x", '"', "\\"]), inner, max_size=3)
    ),
)


@given(st.dictionaries(st.sampled_from(["usage", "model", "message", "y"]), _VALUES), st.lists(st.integers(0, 400)))
def test_any_document_in_any_pieces_yields_what_a_parser_finds(document: dict[str, Any], cuts: list[int]) -> None:
    expected = []
    for name, value in document.items():
        if name == "message" and isinstance(value, dict) and isinstance(value.get("usage"), dict | str):
            expected.append(value["usage"])
        if name in ("usage", "model") and isinstance(value, dict | str):
            expected.append(value)
    whole = json.dumps(document).encode()
    at = [0, *sorted(min(cut, len(whole)) for cut in cuts), len(whole)]

    pieces = [whole[begin:end] for begin, end in pairwise(at)]
    assert found_in(*pieces) == expected


def test_what_is_too_long_is_left_out() -> None:
    long = {"model": "m" * 5000, "usage": {"x": "u" * 100_000}, "message": {"usage": {"a": 1}}}
    whole = json.dumps(long).encode()

    assert found_in(whole) == [{"a": 1}]
    assert found_in(*(whole[i : i + 700] for i in range(0, len(whole), 700))) == [{"a": 1}]


def test_the_work_for_one_document_is_bounded() -> None:
    began = time.monotonic()
    assert found_in(b"[" * 5_000_000, b'{"usage": {}}', max_tokens=10_000) == []

    assert time.monotonic() - began < 2
    assert found_in(b'{"x": [], "usage": {"a": 1}}', max_tokens=4) == []
