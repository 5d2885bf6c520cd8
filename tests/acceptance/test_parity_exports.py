# SPDX-License-Identifier: Apache-2.0
"""Exports of spans, good and bad, are answered as a real MLflow server answers them: status and body."""

import gzip
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from werkzeug.test import Client

from bridge.bootstrap.processes import build_api
from bridge.config.environment import read_settings
from tests.acceptance.export_bodies import EXPORTS, FIELDS, JSON, Export, packed, span, spelled
from tests.amounts import amount
from tests.asgi_client import client_of
from tests.servers import Server

PATH = "/v1/traces"
Answer = tuple[int, bytes]


@dataclass(frozen=True)
class Both:
    """A bridge without workers, and MLflow."""

    bridge: Client
    mlflow_url: str

    def ask(self, export: Export) -> tuple[Answer, Answer]:
        url, headers = self.mlflow_url + PATH, export.all_headers
        # Each on its own connection: MLflow closes one on which it has broken down.
        theirs = requests.post(url, export.body, headers=headers, timeout=60)
        ours = self.bridge.post(PATH, data=export.body, headers=headers)
        return (ours.status_code, ours.data), (theirs.status_code, theirs.content)


@pytest.fixture(scope="module")
def both(redis_server: tuple[Server, str], mlflow_url: str) -> Iterator[Both]:
    environ = {"BRIDGE_STORE_URL": redis_server[1], "BRIDGE_UPSTREAM": mlflow_url}
    with client_of(build_api(read_settings(environ))) as client:
        yield Both(client, mlflow_url)


def agree(ours: Answer, theirs: Answer) -> bool:
    """Whether both say the same, or MLflow breaks down over what the bridge refuses."""
    return ours == theirs or (theirs[0] == 500 and ours[0] in (400, 422) and ours[1].startswith(b'{"detail":"'))


@pytest.mark.parametrize("name", EXPORTS)
def test_an_export_is_answered_as_mlflow_answers_it(both: Both, name: str) -> None:
    ours, theirs = both.ask(EXPORTS[name])

    assert agree(ours, theirs), (ours, theirs)


def test_there_are_exports_of_each_answer_and_few_over_which_mlflow_breaks_down(both: Both) -> None:
    statuses = [both.ask(export)[1][0] for export in EXPORTS.values()]

    assert all(statuses.count(status) >= 15 for status in (200, 400, 422))
    assert statuses.count(500) < 40


@settings(max_examples=amount(60, 600), deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_a_good_export_with_any_bytes_changed_is_answered_as_mlflow_answers_it(both: Both, data: st.DataObject) -> None:
    body = bytearray(packed(2) if data.draw(st.booleans()) else spelled(span()))
    is_json = body.startswith(b"{")
    for _ in range(data.draw(st.integers(1, 4))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    export = Export(bytes(body), JSON) if is_json else Export(bytes(body))

    ours, theirs = both.ask(export)

    assert agree(ours, theirs), (export, ours, theirs)


@settings(max_examples=amount(40, 400), deadline=None, derandomize=True)
@given(st.lists(st.sampled_from(sorted(FIELDS)), min_size=2, max_size=5), st.booleans())
def test_several_faults_together_are_answered_as_mlflow_answers_them(
    both: Both,
    names: list[str],
    in_one_span: bool,  # noqa: FBT001 - hypothesis takes no keyword-only arguments
) -> None:
    each = [FIELDS[name] for name in names]
    merged = {key: value for fields in each for key, value in fields.items()}
    body = spelled(span(**merged)) if in_one_span else spelled(*(span(**fields) for fields in each))

    ours, theirs = both.ask(Export(gzip.compress(body), JSON, {"Content-Encoding": "gzip"}))

    assert agree(ours, theirs), (names, ours, theirs)
