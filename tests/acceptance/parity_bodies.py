# SPDX-License-Identifier: Apache-2.0
"""Requests, good and bad, for each queued call.

Most are a good body with up to three faults, so that each fault shows; values are JSON text, for how a number is
spelled counts.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from schemas.write import Op
from tests.factories import RUN

JSON = "application/json"

#: The name and the JSON text of each field, in their order; a name may come twice.
Fields = list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Request:
    """A call of MLflow's; ``RUN`` in its body stands for a run that there is."""

    op: Op
    body: bytes
    content_type: str | None = JSON

    @property
    def headers(self) -> dict[str, str]:
        """Return the headers that matter."""
        return {} if self.content_type is None else {"Content-Type": self.content_type}

    def about(self, run_id: str) -> bytes:
        """Return the body for this run."""
        return self.body.replace(RUN.encode(), run_id.encode())


def spelled(fields: Fields) -> str:
    """Return a JSON object of these fields."""
    return "{" + ",".join(f"{json.dumps(name)}:{text}" for name, text in fields) + "}"


def _texts(*values: str) -> list[str]:
    return [json.dumps(value) for value in values]


def _listed(*texts: str) -> str:
    return "[" + ",".join(texts) + "]"


def _pairs(count: int) -> str:
    return _listed(*(f'{{"key":"k{number}","value":"v"}}' for number in range(count)))


def _metrics(count: int) -> str:
    return _listed(*(f'{{"key":"k","value":{number},"timestamp":5}}' for number in range(count)))


_OTHER_TYPES = [*("null", "true", "false", "0", "3", "-1.5", "NaN", "Infinity", "-Infinity", "1e400"), '""', '"x"']
_NESTED = [
    "[]",
    "{}",
    "[1]",
    '["a"]',
    '{"a":1}',
    "[null]",
    "[{}]",
    "[" * 90 + "]" * 90,
    '{"a":' * 110 + "1" + "}" * 110,
]
_KEYS = [
    *_texts(
        *("k" * length for length in (249, 250, 251, 300)), "été", "日本", "٣", "a b", "a:b", "a.b-c_d", "a\n", "-"
    ),
    *_texts("", " ", ".", "..", "...", "/abs", "//a", "a//b", "a/", "./a", "../x", "a/../b", "a/.", "a/..b", "@" * 251),
    *_texts("a@b", "a,b", "a(b)", "a=b", 'a"b', "a\\b", "a\tb", "a\nb", "a\0", "\u200b", "\U0001f600", "\x7f"),
    *('"\\ud800"', '"\\ud83d\\ude00"', '"\xe9"'),
]
_LONG_TEXTS = _texts(
    *("x" * length for length in (5999, 6000, 6001, 7999, 8000, 8001)), "é" * 6000, "\U0001f600" * 6000
)
_DOUBLES = [
    *("NaN", "NaN", "Infinity", "-Infinity"),
    *(
        "1",
        "-0.0",
        "5e-324",
        "1e308",
        "1e309",
        "-1e400",
        "0.1",
        "9" * 400,
        "1e-400",
        "1E5",
        "123456789012345678901234567890",
    ),
    *_texts(
        "0.25", "1e5", " 1", "1 ", "1_0", "NaN", "nan", "NAN", "-nan", "Infinity", "-Infinity", "inf", "+inf", "1e400"
    ),
    *_texts("abc", "0x1", "-1e400", "+1", "1.", ".5", "\0", "٣", "infinity", "INFINITY", "1e"),
]
_INTEGERS = [
    *("5", "-1", "5.0", "5e2", "1.5", "1e400", "1e18", "1e19", "9223372036854775807", "9223372036854775808", "-0.0"),
    *("-9223372036854775808", "-9223372036854775809", "9007199254740993", "1795218952242.123", "9" * 400, "-0"),
    *_texts(
        "5", "5.0", "5e2", "+5", "05", " 5", "5 ", "1_0", "1.5", "x", "2026-11-20T12:00:00Z", "٣", "-1", "NaN", "inf"
    ),
    *_texts("9223372036854775807", "9223372036854775808", "-9223372036854775809", "1e400", "9" * 5000),
]
_RUNS = [
    *_texts("r", "a-b_c", "x" * 256, "x" * 257, "x" * 400, "-r", "_r", "a b", "é", "aé", "a/b", "", " ", "r\n", "\0"),
    *('"\\ud800"', json.dumps(RUN.upper())),
]
_STATUSES = [
    *_texts(
        "RUNNING", "SCHEDULED", "FINISHED", "FAILED", "KILLED", "DONE", "finished", "", "3", "9", "03", "1.0", " 3"
    ),
    *("1", "3", "5", "0", "6", "99", "-1", "3.0", "1.5", "9" * 30, "2147483648"),
]
_NAMES = [*_texts("n", "", "é", "x" * 500, "x" * 6001, "a@b", "\0"), '"\\ud800"']
_SHORT_LIMITS = _texts(*("x" * length for length in (36, 37, 255, 256, 500, 501)), "", "é\n")
_LONG_LIMITS = _texts(*("x" * length for length in (65535, 65536)), "", "{}", "é\0")

_KINDS: dict[str, tuple[str, list[str]]] = {
    "run_id": (json.dumps(RUN), _RUNS),
    "key": ('"k"', _KEYS),
    "text": ('"v"', _LONG_TEXTS + _KEYS),
    "double": ("0.5", _DOUBLES),
    "int64": ("7", _INTEGERS),
    "status": ('"FINISHED"', _STATUSES),
    "name": ('"n"', _NAMES),
    "short": ('"d"', _SHORT_LIMITS),
    "long": ('"{}"', _LONG_LIMITS),
    # Which model there is, only MLflow knows; so a good write names none.
    "model": ("", [*_texts("", "m-1", "é"), '"\\ud800"']),
    "metrics": (_metrics(1), [*map(_metrics, (0, 2, 1000, 1001)), '[{"key":"k"},{"key":"k"}]']),
    "pairs": (_pairs(1), [*map(_pairs, (0, 2, 100, 101)), '[{"key":"k"},{"key":"k"}]']),
    "datasets": ("", ["[]", '[{"dataset":{}}]', '[{"tags":[]}]']),
    "models": ("", ["[]", "[{}]"]),
}

_METRIC = {"key": "key", "value": "double", "timestamp": "int64", "step": "int64"}
_OF_MODEL = {"model_id": "model", "dataset_name": "name", "dataset_digest": "short"}
_PAIR = {"key": "key", "value": "text"}
_DATASET = {
    "name": "short",
    "digest": "short",
    "source_type": "name",
    "source": "long",
    "schema": "long",
    "profile": "name",
}

#: The fields of each call, and the kind of value that each has.
_FIELDS: dict[Op, dict[str, str]] = {
    Op.LOG_METRIC: {"run_id": "run_id", **_METRIC, "model_id": "model"},
    Op.LOG_PARAMETER: {"run_id": "run_id", **_PAIR},
    Op.SET_TAG: {"run_id": "run_id", **_PAIR},
    Op.LOG_BATCH: {"run_id": "run_id", "metrics": "metrics", "params": "pairs", "tags": "pairs"},
    Op.DELETE_TAG: {"run_id": "run_id", "key": "key"},
    Op.UPDATE_RUN: {"run_id": "run_id", "status": "status", "end_time": "int64", "run_name": "name"},
    Op.LOG_INPUTS: {"run_id": "run_id", "datasets": "datasets", "models": "models"},
    Op.LOG_OUTPUTS: {"run_id": "run_id", "models": "models"},
}
_CAMEL = {
    "run_id": "runId",
    "run_uuid": "runUuid",
    "model_id": "modelId",
    "dataset_name": "datasetName",
    "end_time": "endTime",
    "run_name": "runName",
    "source_type": "sourceType",
}

_JSON_VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda values: st.lists(values, max_size=3) | st.dictionaries(st.text(max_size=5), values, max_size=3),
    max_leaves=6,
)
_ANY_JSON = _JSON_VALUES.map(json.dumps)
_ANY_TEXT = st.text(st.characters(), max_size=40).map(json.dumps)
_ANY_NUMBER = st.one_of(st.floats().map(json.dumps), st.integers().map(str), st.integers().map(lambda n: f'"{n}"'))


def _values(kind: str) -> st.SearchStrategy[str]:
    good, edges = _KINDS[kind]
    listed = st.sampled_from([*edges, *edges, *_OTHER_TYPES, *_NESTED, *([good] if good else [])])
    free = _ANY_NUMBER if kind in ("double", "int64") else _ANY_TEXT
    return st.one_of(listed, listed, free, _ANY_JSON, *([_LISTS[kind]] * 4 if kind in _LISTS else []))


@st.composite
def _objects(draw: st.DrawFn, kinds: dict[str, str], *, faults: int = 2, others: tuple[str, ...] = ()) -> str:
    """Draw a good object with a few faults."""
    fields = [(name, _KINDS[kind][0]) for name, kind in kinds.items() if _KINDS[kind][0]]
    for name in draw(st.lists(st.sampled_from([*kinds, *kinds, *others]), max_size=faults)):
        value = _values(kinds.get(name, "text" if name != "run_uuid" else "run_id"))
        match draw(st.sampled_from(["change", "change", "change", "drop", "alias", "twice", "last"])):
            case "drop":
                fields = [each for each in fields if each[0] != name]
            case "alias":
                alias = _CAMEL.get(name, name)
                fields = [(alias if each == name else each, text) for each, text in fields]
                fields += [(alias, draw(value))] * draw(st.booleans())
            case "twice":
                fields.append((name, draw(value)))
            case "last":
                fields = [*(each for each in fields if each[0] != name), (name, draw(value))]
            case _:
                new = draw(value)
                fields = [(each, new if each == name else text) for each, text in fields]
                fields += [(name, new)] * (name not in dict(fields))
    return spelled(fields)


def _lists(objects: st.SearchStrategy[str], *, most: int = 3) -> st.SearchStrategy[str]:
    return st.lists(objects, min_size=1, max_size=most).map(lambda texts: _listed(*texts))


_TAGGED = _objects({"key": "short", "value": "short"}, faults=1)
_LISTS: dict[str, st.SearchStrategy[str]] = {
    "metrics": _lists(_objects({**_METRIC, **_OF_MODEL}, faults=1, others=("run_id", "colour"))),
    "pairs": _lists(_objects(_PAIR, faults=1, others=("colour",))),
    "models": _lists(_objects({"model_id": "model", "step": "int64"}, faults=1, others=("colour",)), most=2),
    "datasets": _lists(
        st.tuples(_objects(_DATASET, faults=1, others=("colour",)), st.one_of(st.none(), _lists(_TAGGED))).map(
            lambda both: spelled([("dataset", both[0]), *([("tags", both[1])] if both[1] else [])])
        ),
        most=2,
    ),
}

_WRAPPINGS: dict[str, Callable[[str], bytes]] = {
    "twice encoded": lambda text: json.dumps(text).encode(),
    "cut": lambda text: text.encode("utf-8", "surrogatepass")[:-1],
    "not UTF-8": lambda text: text.encode()[:-1] + b',"colour":"\xff"}',
    "behind a mark": lambda text: b"\xef\xbb\xbf" + text.encode(),
    "in spaces": lambda text: b" \n" + text.encode() + b"\t ",
    "in an array": lambda text: b"[" + text.encode() + b"]",
    "UTF-16": lambda text: text.encode("utf-16"),
}
_WHOLE = [
    *(b"", b" ", b"{}", b"[]", b"null", b"3", b'"x"', b"true", b"NaN", b'""', b'"{}"', b'"[]"', b'"null"', b'"3"')
]
_WHOLE += [
    b"\xff",
    b"{",
    b"[" * 3000 + b"]" * 3000,
    b"{'a': 1}",
    b"\x00",
    b"run_id=r&key=k",
    b'{"run_id":"%b"}{}' % RUN.encode(),
]
_TYPES = [None, "", "text/plain", "application/x-www-form-urlencoded", "application/JSON"]
_TYPES += [
    "application/json; charset=utf-8",
    "application/json;charset=latin-1",
    "application/json,text/plain",
    "application/json ;x",
]


@st.composite
def requests_for(draw: st.DrawFn, op: Op) -> Request:
    """Draw a request for this call."""
    text = draw(_objects(_FIELDS[op], faults=3, others=("run_uuid", "colour", *_FIELDS[op])))
    match draw(st.sampled_from(["plain"] * 40 + ["type", "whole", *_WRAPPINGS])):
        case "plain":
            return Request(op, text.encode())
        case "type":
            return Request(op, text.encode(), draw(st.sampled_from(_TYPES)))
        case "whole":
            return Request(op, draw(st.sampled_from(_WHOLE)))
        case wrapping:
            return Request(op, _WRAPPINGS[wrapping](text))
