# SPDX-License-Identifier: Apache-2.0
"""Bodies that are short to send and long to read: bombs, millions of nothings, endless numbers, levels without end.

Each is answered within seconds, and all together leave the api's processes within a bound of memory.
"""

import gzip
import json
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import zstandard

from tests.guarded_api import MAX_BODY, GuardedApi

pytestmark = pytest.mark.usefixtures("unfinished")

RUNS = "/api/2.0/mlflow/runs"
LOG_METRIC, LOG_BATCH, LOG_INPUTS = f"{RUNS}/log-metric", f"{RUNS}/log-batch", f"{RUNS}/log-inputs"
TRACES, EXPERIMENT, PROTOBUF = "/v1/traces", "X-Mlflow-Experiment-Id: 1", "application/x-protobuf"
WRITES, LINES = "/v1/writes", "application/x-ndjson"
#: All that read JSON, and one that is passed on.
READERS = (LOG_METRIC, LOG_BATCH, LOG_INPUTS, WRITES, "/v1/runs", "/v1/jobs/lookup", "/v1/dead-letters/replay")
PROXIED = f"{RUNS}/search"

#: No body takes longer, in seconds, on a machine that is busy with others.
LONGEST = 8.0
#: What the server processes may come to hold at most, beyond what they hold at rest: two long bodies are read at a time
#: together, each of which may be thirty times as long in Python's objects as it was; eight, which wait for their
#: turn, are held as they came and once more while they are put together; and the heap keeps holes.
MOST_GROWTH = 2 * 30 * MAX_BODY + 8 * 2 * MAX_BODY + 64 * 1024 * 1024


@pytest.fixture(scope="module", autouse=True)
def bounded(shared_guarded: GuardedApi) -> Iterator[None]:
    """Whatever this file sends, the processes live on and hold no more than they may."""
    before = shared_guarded.processes()
    for pid in before:
        # From now on the highest mark is a new one (proc(5)).
        Path(f"/proc/{pid}/clear_refs").write_text("5")
    at_rest = sum(held(pid, "RssAnon") for pid in before)
    yield
    assert shared_guarded.processes() == before
    # Without the pages of files: the system may have taken them from a process at rest, and given them back since.
    # They are some megabytes, little beside the limit.
    assert sum(held(pid, "VmHWM") - held(pid, "RssFile") for pid in before) - at_rest < MOST_GROWTH


def held(pid: int, mark: str) -> int:
    """The memory that a process holds, or the most that it has held."""
    return int(Path(f"/proc/{pid}/status").read_text().split(f"{mark}:")[1].split()[0]) * 1024


def many(before: bytes, unit: bytes, after: bytes = b"") -> bytes:
    """A body as long as one may be, of the same again and again."""
    count = (MAX_BODY - len(before) - len(after)) // (len(unit) + 1)
    return before + b",".join([unit] * count) + after


NAMED = b'{"run_id": "a", "run": "a", "key": "k", "value": 1, "x": '
LEVELS = {
    "lists": b"[" * 100_000,
    "objects": b'{"a":' * 100_000,
    "closed": NAMED + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "within": b'{"writes": [{"op": "log-metric", "run_id": "a", "key": "k", "value": ' + b"[" * 50_000,
    "nearly": NAMED + b'{"a":' * 900 + b"1" + b"}" * 900 + b"}",
    "twice": json.dumps("[" * 100_000).encode(),
}


@pytest.mark.parametrize("path", [*READERS, PROXIED])
@pytest.mark.parametrize("levels", LEVELS)
def test_no_depth_of_levels_breaks_the_reader(guarded_alone: GuardedApi, path: str, levels: str) -> None:
    answered = guarded_alone.ask(guarded_alone.post(path, LEVELS[levels]))

    assert answered.statuses in ([200], [202], [400])
    assert answered.seconds < LONGEST


MILLIONS: dict[str, Callable[[], bytes]] = {
    "keys": lambda: b'{"run_id": "a", "key": "k", ' + b",".join(b'"%d":1' % each for each in range(170_000)) + b"}",
    "metrics": lambda: many(b'{"run_id": "a", "metrics": [', b"{}", b"]}"),
    "params": lambda: many(b'{"run_id": "a", "params": [', b'{"key":"\\u0041","value":1}', b"]}"),
    "datasets": lambda: many(b'{"run_id": "a", "run": "a", "datasets": [', b"[]", b"]}"),
    "values": lambda: many(b'{"run_id": "a", "key": "k", "value": [', b"{}", b"]}"),
    "writes": lambda: many(b'{"writes": [', b"{}", b"]}"),
    "ids": lambda: many(b'{"job_ids": [', b'""', b"]}"),
}


@pytest.mark.parametrize(
    ("million", "path"),
    [
        *(
            ("keys", LOG_METRIC),
            ("keys", LOG_INPUTS),
            ("keys", "/v1/runs"),
            ("metrics", LOG_BATCH),
            ("params", LOG_BATCH),
        ),
        *(("datasets", LOG_INPUTS), ("values", LOG_METRIC), ("values", "/v1/runs"), ("writes", WRITES)),
        *(("ids", "/v1/jobs/lookup"), ("keys", "/v1/dead-letters/replay"), ("values", PROXIED)),
    ],
)
def test_millions_of_nothings_are_read_in_seconds(guarded_alone: GuardedApi, path: str, million: str) -> None:
    answered = guarded_alone.ask(guarded_alone.post(path, MILLIONS[million]()))

    assert answered.statuses in ([200], [400])
    assert answered.seconds < LONGEST


EXPORTS: dict[str, tuple[str, Callable[[], bytes], int]] = {
    "resources": ("application/json", lambda: b'{"resourceSpans":[' + b"{}," * 200_000 + b"{}]}", 200),
    "spans": (
        "application/json",
        lambda: b'{"resourceSpans":[{"scopeSpans":[{"spans":[' + b"{}," * 200_000 + b"{}]}]}]}",
        422,
    ),
    "no spans": (
        "application/json",
        lambda: many(b'{"resourceSpans":[{"scopeSpans":[{"spans":[', b"[]", b"]}]}]}"),
        400,
    ),
    "resources in protobuf": (PROTOBUF, lambda: b"\x0a\0" * 900_000, 200),
    "levels": ("application/json", lambda: b'{"resourceSpans":' + b"[" * 100_000 + b"]" * 100_000 + b"}", 400),
    "groups in protobuf": (PROTOBUF, lambda: b"\x0b" * MAX_BODY, 400),
}


@pytest.mark.parametrize("name", EXPORTS)
def test_exports_of_nothings_are_read_in_seconds(guarded_alone: GuardedApi, name: str) -> None:
    kind, made, status = EXPORTS[name]

    answered = guarded_alone.ask(guarded_alone.post(TRACES, made(), EXPERIMENT, kind=kind))

    assert answered.statuses == [status]
    assert answered.seconds < LONGEST


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_an_export_that_is_a_bomb_is_put_out_before_it_is_unpacked(guarded_alone: GuardedApi, coding: str) -> None:
    zeros = b"\0" * 300_000_000
    bomb = gzip.compress(zeros, 1) if coding == "gzip" else zlib.compress(zeros, 1)

    answered = guarded_alone.ask(
        guarded_alone.post(TRACES, bomb, EXPERIMENT, f"Content-Encoding: {coding}", kind=PROTOBUF)
    )

    assert answered.statuses == [413]
    assert answered.seconds < 3


def test_eight_long_bodies_at_once_are_read_two_at_a_time(guarded_alone: GuardedApi) -> None:
    request = guarded_alone.post(LOG_METRIC, MILLIONS["values"]())

    with ThreadPoolExecutor(8) as threads:
        answered = list(threads.map(guarded_alone.ask, [request] * 8))

    # What it comes to in memory, the fixture sees to.
    assert [each.statuses for each in answered] == [[400]] * 8


@pytest.mark.parametrize(
    ("number", "status"),
    [
        *(("1e400", 400), ("-1e400", 400), ("1E309", 400), ("1" * 4000, 400), ("1" * 1_500_000, 400)),
        *((f'"{"1" * 1_500_000}"', 400), ("1e" + "9" * 1_500_000, 400), ("1e-" + "9" * 100, 200), ('"1e400"', 400)),
        *(("1." + "1" * 1_500_000, 200), ("0." + "0" * 1_500_000 + "1", 200), ("-0", 200), ('"\\ud800"', 400)),
    ],
    ids=lambda each: str(each)[:8],
)
@pytest.mark.parametrize("field", ["value", "timestamp", "step"])
def test_no_number_takes_long_to_read(guarded_alone: GuardedApi, field: str, number: str, status: int) -> None:
    fields = {"run_id": '"a"', "key": '"k"', "value": "1", "timestamp": "1", "step": "1"} | {field: number}
    body = "{" + ",".join(f'"{name}":{value}' for name, value in fields.items()) + "}"

    answered = guarded_alone.ask(guarded_alone.post(LOG_METRIC, body.encode()))

    # To a timestamp or a step, what is no whole number is wrong.
    assert answered.statuses == [400 if number.startswith("1.") and field != "value" else status]
    assert answered.seconds < LONGEST


HALF = b'"\\ud800"'


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        (LOG_METRIC, b'{"run_id": "a", "key": %s, "value": 1}' % HALF, 400),
        (LOG_METRIC, b'{"run_id": %s, "key": "k", "value": 1}' % HALF, 400),
        (LOG_METRIC, b'{"run_id": "a", "key": "k", "value": 1, %s: 1}' % HALF, 200),
        (LOG_METRIC, b'{"run_id": "a", "key": "\xff", "value": 1}', 400),
        (LOG_METRIC, b'\xef\xbb\xbf{"run_id": "a", "key": "k", "value": 1}', 200),
        (LOG_METRIC, b'{"run_id": "b", "run_id": "a", "key": "k", "value": 1}', 200),
        (f"{RUNS}/update", b'{"run_id": "a", "status": %s}' % HALF, 400),
        (LOG_INPUTS, b'{"run_id": "a", "datasets": [{%s: 1, "tags": %s}]}' % (HALF, HALF), 400),
        ("/v1/runs", b'{"run": %s}' % HALF, 400),
        ("/v1/runs", b'{"run": "a", %s: 1}' % HALF, 400),
        ("/v1/runs", b'{"run": "a", "experiment_name": %s}' % HALF, 400),
        ("/v1/jobs/lookup", b'{"job_ids": [%s]}' % HALF, 400),
        ("/v1/jobs/lookup", b'{"job_ids": ["\xff"]}', 400),
        ("/v1/dead-letters/replay", b'{"filter": {"run_id": %s}}' % HALF, 400),
        (WRITES, b'{"writes": [{"op": %s}]}' % HALF, 400),
    ],
)
def test_text_that_is_none_is_refused(guarded_alone: GuardedApi, path: str, body: bytes, status: int) -> None:
    assert guarded_alone.ask(guarded_alone.post(path, body)).statuses == [status]


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        (b"x" * MAX_BODY, 400),
        (b"\n" * MAX_BODY, 202),
        (b"{}\n" * (MAX_BODY // 3), 400),
        (b"x\n" * (MAX_BODY // 2), 400),
    ],
    ids=["one without end", "none", "objects", "letters"],
)
def test_lines_take_no_longer_than_the_first_hundred_that_are_wrong(
    guarded_alone: GuardedApi, lines: bytes, status: int
) -> None:
    answered = guarded_alone.ask(guarded_alone.post(WRITES, lines, kind=LINES))

    assert answered.statuses == [status]
    assert answered.seconds < 3
    if lines[:3] in (b"{}\n", b"x\nx"):
        body = json.loads(answered.received.partition(b"\r\n\r\n")[2])
        assert body["detail"].startswith("At least 100 of the writes")
        assert len(body["errors"]) == 100


EMPTY = {"gzip": gzip.compress(b"", mtime=0), "zstd": zstandard.compress(b""), "skipped": b"\x50\x2a\x4d\x18\0\0\0\0"}
BOMBS: dict[str, tuple[str, Callable[[], bytes], int]] = {
    "gzip": ("gzip", lambda: gzip.compress(b" " * 50_000_000), 413),
    "zstd": ("zstd", lambda: zstandard.compress(b" " * 500_000_000, 1), 413),
    "gzip of wrong lines": ("gzip", lambda: gzip.compress(b"{}\n" * (MAX_BODY // 3)), 400),
    "gzip members": ("gzip", lambda: EMPTY["gzip"] * (MAX_BODY // 20), 400),
    "zstd frames": ("zstd", lambda: EMPTY["zstd"] * (MAX_BODY // 9), 400),
    "zstd skipped frames": ("zstd", lambda: EMPTY["skipped"] * (MAX_BODY // 8), 400),
    "gzip within gzip": ("gzip, gzip", lambda: gzip.compress(gzip.compress(b"")), 415),
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_bomb_is_put_out_before_it_is_unpacked(guarded_alone: GuardedApi, bomb: str) -> None:
    coding, made, status = BOMBS[bomb]

    answered = guarded_alone.ask(guarded_alone.post(WRITES, made(), f"Content-Encoding: {coding}", kind=LINES))

    assert answered.statuses == [status]
    assert answered.seconds < 3


@pytest.mark.parametrize(("path", "status"), [(LOG_METRIC, 400), (LOG_BATCH, 400), (PROXIED, 200)])
def test_what_is_not_ours_to_unpack_stays_packed(guarded_alone: GuardedApi, path: str, status: int) -> None:
    bomb = gzip.compress(b" " * 20_000_000)

    answered, seen = guarded_alone.seen(
        guarded_alone.post(path, bomb, "Content-Encoding: gzip", "X-Mlflow-Experiment-Id: 1")
    )

    assert answered.statuses == [status]
    assert [each.partition(b"\r\n\r\n")[2] for each in seen] == [bomb] * (path == PROXIED)


def test_ten_thousand_parts_are_enough_for_who_packs_line_by_line(guarded_alone: GuardedApi) -> None:
    line = b'{"op": "set-tag", "run_id": "lines", "key": "k"}\n'
    body = gzip.compress(line) * 500 + EMPTY["gzip"] * 9000

    answered = guarded_alone.ask(guarded_alone.post(WRITES, body, "Content-Encoding: gzip", kind=LINES))

    assert answered.statuses == [202]
    assert answered.received.count(b'"job_id"') == 500
