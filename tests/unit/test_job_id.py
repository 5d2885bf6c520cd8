# SPDX-License-Identifier: Apache-2.0
"""A job id is its own record, answers only to its client, and can't be made up."""

import base64
import dataclasses
import datetime as dt
import re
import string

import pytest

from schemas.job import JobId
from schemas.write import Op

KEY = b"k" * 32
HEX_LANE = "0123456789abcdef0123456789abcdef"
ALPHABET = string.ascii_letters + string.digits + "-_"
ID = JobId(
    partition=3,
    lane=HEX_LANE,
    position=1_795_219_200_000_001,
    op=Op.LOG_METRIC,
    accepted_at=dt.datetime(2026, 11, 21, 1, 2, 3, 456_000, tzinfo=dt.UTC),
)

LANES = [
    HEX_LANE,
    HEX_LANE.upper(),
    "0" * 32,
    "f" * 31,
    "f" * 33,
    "r",
    "run-1_b",
    "aé",
    "a日本",
    "a" + "日" * 100,
    "a" * 256,
]


@pytest.mark.parametrize("lane", LANES)
@pytest.mark.parametrize("op", Op)
def test_an_id_tells_its_client_all_that_was_put_into_it(lane: str, op: Op) -> None:
    job_id = dataclasses.replace(ID, lane=lane, op=op)

    assert JobId.unseal(job_id.seal("client", KEY), "client", KEY) == job_id


@pytest.mark.parametrize("partition", [0, 15, 255])
@pytest.mark.parametrize("position", [0, 1, 2**53, 2**56 - 1])
@pytest.mark.parametrize("milliseconds", [0, 1, 999, 1_795_219_200_123, 4_102_444_800_999])
def test_partition_position_and_time_survive_in_an_id(partition: int, position: int, milliseconds: int) -> None:
    accepted_at = dt.datetime.fromtimestamp(0, dt.UTC) + dt.timedelta(milliseconds=milliseconds)
    job_id = dataclasses.replace(ID, partition=partition, position=position, accepted_at=accepted_at)

    assert JobId.unseal(job_id.seal("client", KEY), "client", KEY) == job_id


@pytest.mark.parametrize("lane", LANES)
def test_an_id_is_safe_in_a_url_and_on_a_command_line(lane: str) -> None:
    for partition in range(256):
        text = dataclasses.replace(ID, lane=lane, partition=partition).seal("client", KEY)
        assert re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_-]*", text)


def test_the_id_of_an_ordinary_run_is_short() -> None:
    assert len(ID.seal("client", KEY)) == 56


def test_the_same_job_has_the_same_id_each_time_and_another_for_another_client_key_or_field() -> None:
    moment = ID.accepted_at + dt.timedelta(milliseconds=1)
    texts = [
        ID.seal("client", KEY),
        ID.seal("other", KEY),
        ID.seal("", KEY),
        ID.seal("client", b"x" * 32),
        dataclasses.replace(ID, position=ID.position + 1).seal("client", KEY),
        dataclasses.replace(ID, partition=4).seal("client", KEY),
        dataclasses.replace(ID, op=Op.SET_TAG).seal("client", KEY),
        dataclasses.replace(ID, lane="f" * 32).seal("client", KEY),
        dataclasses.replace(ID, accepted_at=moment).seal("client", KEY),
    ]

    assert ID.seal("client", KEY) == texts[0]
    assert len(set(texts)) == len(texts)


@pytest.mark.parametrize("client", ["other", "", "Client", "client ", "clien", "client\u0000", "clïent"])
def test_an_id_does_not_answer_to_another_client(client: str) -> None:
    assert JobId.unseal(ID.seal("client", KEY), client, KEY) is None


@pytest.mark.parametrize("key", [b"", b"x" * 32, b"k" * 31, b"k" * 33, b"k" * 64])
def test_an_id_does_not_open_with_another_key(key: bytes) -> None:
    assert JobId.unseal(ID.seal("client", KEY), "client", key) is None


def test_an_id_of_which_any_character_was_changed_is_nobodys() -> None:
    text = ID.seal("client", KEY)

    for at, original in enumerate(text):
        for character in set(ALPHABET) - {original}:
            changed = text[:at] + character + text[at + 1 :]
            assert JobId.unseal(changed, "client", KEY) is None, changed


@pytest.mark.parametrize("length", range(1, 8))
def test_no_other_character_than_the_last_of_an_id_of_any_length_can_be_changed(length: int) -> None:
    text = dataclasses.replace(ID, lane="r" * length).seal("client", KEY)

    for at in range(len(text) - 1):
        changed = text[:at] + ("A" if text[at] != "A" else "B") + text[at + 1 :]
        assert JobId.unseal(changed, "client", KEY) is None, changed


def test_an_id_that_was_cut_stretched_or_doubled_is_nobodys() -> None:
    text = ID.seal("client", KEY)

    for other in (text[:-2], text[4:], text[:-4], text + "AA", text + "AAAA", "AAAA" + text, text + text):
        assert JobId.unseal(other, "client", KEY) is None, other


@pytest.mark.parametrize("op", [4, 255])
def test_fields_without_a_seal_of_ours_are_never_interpreted(op: int) -> None:
    raw = bytes((9, 3, op)) + bytes(60)

    assert JobId.unseal(base64.urlsafe_b64encode(raw).decode(), "client", KEY) is None


@pytest.mark.parametrize(
    "garbage",
    [
        *("", " ", "-", "x", "pending", "..", "/", "%2e", "null", "\n", "A" * 34, "A" * 36, "A" * 100, "A" * 5000),
        *(
            HEX_LANE,
            "é" * 40,
            "\u0661" * 40,
            "A" * 40 + "\n",
            "A" * 40 + "==",
            " " + "A" * 40,
            "+/" * 20,
            "A\u0000" * 20,
        ),
    ],
)
def test_garbage_is_no_id(garbage: str) -> None:
    assert JobId.unseal(garbage, "client", KEY) is None


@pytest.mark.parametrize("lane", LANES)
@pytest.mark.parametrize("op", Op)
def test_who_may_see_everybodys_jobs_reads_an_id_without_its_client(lane: str, op: Op) -> None:
    job_id = dataclasses.replace(ID, lane=lane, op=op)

    assert JobId.read(job_id.seal("client", KEY)) == job_id


@pytest.mark.parametrize("of", ["version", "op", "time", "lane", "text"])
def test_what_is_no_id_is_not_read_as_one(of: str) -> None:
    text = dataclasses.replace(ID, lane="a lane").seal("client", KEY)
    raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    spoilt = {
        "version": b"\x01" + raw[1:],
        "op": raw[:2] + b"\xff" + raw[3:],
        "time": raw[:3] + b"\xff" * 6 + raw[9:],
        "lane": raw[:16] + b"\xff" + raw[17:],
        "text": raw[:10],
    }

    assert JobId.read(base64.urlsafe_b64encode(spoilt[of]).decode().rstrip("=")) is None


@pytest.mark.parametrize("spoil", ["{}\n", "{}=", " {}", "{} ", "{}?", "/{}"])
def test_an_id_with_anything_around_it_is_no_id(spoil: str) -> None:
    assert JobId.unseal(spoil.format(ID.seal("client", KEY)), "client", KEY) is None
