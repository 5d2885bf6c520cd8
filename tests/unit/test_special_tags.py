# SPDX-License-Identifier: Apache-2.0
"""Tags with a meaning to MLflow, where no server can be asked: those of a run that is created by name."""

import json
from typing import Any

import msgspec
import pytest

from schemas.bodies.batchable import capture
from schemas.errors import InvalidWrite
from schemas.write import Op
from tests.factories import NOW


def created(**fields: Any) -> Any:
    write = capture(Op.CREATE_RUN, json.dumps({"run": "nightly/17"} | fields).encode(), now=NOW)
    return msgspec.json.decode(write.single_body)


def tagged(value: str, **fields: str) -> dict[str, Any]:
    return fields | {"tags": [{"key": "mlflow.runName", "value": value}]}


def test_a_new_run_is_named_by_its_tag() -> None:
    assert created(**tagged("shown"))["run_name"] == "shown"
    assert created(**tagged("shown", run_name="shown"))["run_name"] == "shown"
    assert "run_name" not in created(tags=[{"key": "mlflow.runname", "value": "shown"}])


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        (tagged("a", run_name="b"), r"different values \(run_name='b', mlflow.runName='a'\)"),
        (tagged(""), "must not be empty"),
        (tagged("", run_name="b"), "must not be empty"),
        (tagged("n" * 251), "'run_name' exceeds the maximum length of 250"),
    ],
)
def test_a_new_run_that_is_named_twice_is_refused(fields: dict[str, Any], says: str) -> None:
    with pytest.raises(InvalidWrite, match=says) as caught:
        created(**fields)
    assert (caught.value.status, caught.value.error_code) == (400, "INVALID_PARAMETER_VALUE")
