# SPDX-License-Identifier: Apache-2.0
"""Answers ``runs/update`` with the run's ``run_info``, as MLflow does: clients read the run's id from it.

https://mlflow.org/docs/latest/rest-api.html#update-run
"""

from contextlib import suppress
from typing import Any
from urllib.parse import quote

import msgspec

from bridge.bootstrap.processes import Api
from bridge.errors import BridgeError
from bridge.upstream.forwarding import ForwardedRequest, read_up_to
from schemas.bodies.single import STATUSES
from schemas.lane import run_of
from schemas.write import Write

#: Of upstream's answer, in bytes.
_LONGEST = 8 << 20


def run_info_from_update(write: Write) -> bytes:
    """Return what an update says itself of its run, which upstream need not be asked for."""
    update: dict[str, Any] = msgspec.json.decode(write.whole)
    run_id = run_of(write.lane)
    info: dict[str, Any] = {"run_uuid": run_id, "run_id": run_id} if run_id else {}
    if (status := update.pop("status", None)) is not None:
        info["status"] = status if isinstance(status, str) else STATUSES[status - 1]
    return msgspec.json.encode({"run_info": info | {name: value for name, value in update.items() if value}})


async def run_info_from_upstream(bridge: Api, write: Write, *, client: str) -> bytes | None:
    """Return what upstream says of the run now, None if it does not say it."""
    run_id = run_of(write.lane)
    if run_id is None:
        return None
    target = f"/api/2.0/mlflow/runs/get?run_id={quote(run_id, safe='')}"
    headers = () if write.workspace is None else (("x-mlflow-workspace", write.workspace),)
    asked = ForwardedRequest(method="GET", target=target, headers=headers, body=None, client=client)
    with suppress(BridgeError, msgspec.MsgspecError, UnicodeDecodeError, LookupError, TypeError):
        async with bridge.forwarding.forward(asked) as answer:
            body, is_whole = await read_up_to(_LONGEST, answer)
            if is_whole and answer.status == 200:
                return msgspec.json.encode({"run_info": msgspec.json.decode(body)["run"]["info"]})
    return None
