# SPDX-License-Identifier: Apache-2.0
"""Ids that somebody has made or changed."""

import base64
import dataclasses
import json

import pytest

from schemas.bodies.batchable import capture
from schemas.job import JobId
from schemas.write import Op
from tests.factories import NOW
from tests.unit.test_job_id import ID, KEY


@pytest.mark.parametrize("length", [37, 41, 45, 57, 61])
def test_garbage_of_any_length_is_no_id(length: int) -> None:
    assert JobId.unseal("A" * length, "client", KEY) is None


def test_an_id_can_not_be_made_into_one_of_another_lane_and_client() -> None:
    text = dataclasses.replace(ID, lane="r1").seal("xc", KEY)
    sealed = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    forged = base64.urlsafe_b64encode(sealed[:-10] + b"x" + sealed[-10:]).rstrip(b"=").decode()
    assert JobId.unseal(forged, "c", KEY) is None


def test_no_character_of_an_id_can_be_changed() -> None:
    text = dataclasses.replace(ID, lane="r1").seal("client", KEY)
    others = [
        text[:-1] + c for c in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_" if c != text[-1]
    ]
    assert [other for other in others if JobId.unseal(other, "client", KEY)] == []


def test_every_run_id_that_is_taken_has_an_id_that_can_be_asked_for() -> None:
    run_id = "a" + "日" * 255
    capture(Op.SET_TAG, json.dumps({"run_id": run_id, "key": "k"}).encode(), now=NOW)
    job_id = dataclasses.replace(ID, lane=run_id)
    assert JobId.unseal(job_id.seal("client", KEY), "client", KEY) == job_id
