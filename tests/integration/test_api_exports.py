# SPDX-License-Identifier: Apache-2.0
"""Exports of spans as the api reads them: where, how far, and that what is refused is not stored."""

import gzip
import json
import threading
from typing import Any

import pytest
from werkzeug.test import Client

from bridge.bootstrap.processes import Api
from schemas.bodies.otlp import capture_export
from tests.acceptance.export_bodies import JSON, Export, packed, span, spelled

PATH = "/v1/traces"


@pytest.fixture
def readers(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the threads that read exports."""
    names: list[str] = []

    def captured(*args: Any, **kwargs: Any) -> Any:
        names.append(threading.current_thread().name)
        return capture_export(*args, **kwargs)

    monkeypatch.setattr("api.intake.reading.capture_export", captured)
    return names


@pytest.mark.parametrize(
    ("export", "in_thread"),
    [
        (Export(packed()), False),
        (Export(spelled(span()), JSON), False),
        (Export(packed(100)), True),
        (Export(spelled(*(span() for _ in range(30))), JSON), True),
        (Export(gzip.compress(packed()), headers={"Content-Encoding": "gzip"}), True),
    ],
    ids=["protobuf", "json", "long protobuf", "long json", "packed"],
)
def test_what_takes_long_to_read_is_read_beside_the_event_loop(
    http: Client, readers: list[str], export: Export, *, in_thread: bool
) -> None:
    answer = http.post(PATH, data=export.body, headers=export.all_headers)

    assert (answer.status_code, answer.data, answer.headers["Content-Type"]) == (200, b"", "application/x-protobuf")
    assert [name.startswith("long-body") for name in readers] == [in_thread]


@pytest.mark.parametrize(
    ("export", "status"),
    [
        (Export(b"{}" * 5000, JSON), 400),
        (Export(gzip.compress(b"{}"), JSON, {"Content-Encoding": "gzip"}), 400),
        (Export(packed(200, span_id=None)), 422),
        (Export(packed(), experiment=None), 422),
    ],
)
def test_what_is_refused_leaves_nothing_behind(http: Client, api: Api, export: Export, status: int) -> None:
    answer = http.post(PATH, data=export.body, headers=export.all_headers)

    assert (answer.status_code, list(answer.get_json())) == (status, ["detail"])
    assert "Job-Id" not in answer.headers
    assert api.outbox.extents(["traces:0"])["traces:0"].accepted == 0


@pytest.mark.parametrize("coding", ["gzip", None])
def test_an_export_is_as_long_as_its_setting_lets_it_be_packed_or_not(http_with: Any, coding: str | None) -> None:
    http = http_with({"BRIDGE_MAX_LONG_BODY_SIZE": "200KiB"})

    def post(text: str) -> Any:
        body = spelled(span(attributes=[{"key": "k", "value": {"stringValue": text}}]))
        headers = {"Content-Encoding": coding} if coding else {}
        export = Export(gzip.compress(body) if coding else body, JSON, headers)
        return http.post(PATH, data=export.body, headers=export.all_headers)

    long, too_long = post("x" * 200_000), post("x" * 205_000)

    assert (long.status_code, too_long.status_code) == (200, 413)
    assert "204800 bytes" in json.loads(too_long.data)["detail"]
