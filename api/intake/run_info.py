# SPDX-License-Identifier: Apache-2.0
"""The body of the response to ``runs/update``: MLflow's ``run_info``, from which clients read the run's id.

https://mlflow.org/docs/latest/rest-api.html#update-run
"""

from contextlib import suppress
from typing import Any
from urllib.parse import quote

import msgspec

from bridge.errors import BridgeError
from bridge.upstream.forwarding import ForwardedRequest, Forwarding, read_up_to
from schemas.bodies.single import STATUSES
from schemas.lane import run_of
from schemas.write import Write

_MAX_UPSTREAM_BODY_BYTES = 8 << 20


def run_info_from_update(write: Write) -> bytes:
    """Return the run as far as the update itself describes it, without a call to upstream."""
    update: dict[str, Any] = msgspec.json.decode(write.single_body)
    run_id = run_of(write.lane)
    info: dict[str, Any] = {"run_uuid": run_id, "run_id": run_id} if run_id else {}
    if (status := update.pop("status", None)) is not None:
        info["status"] = status if isinstance(status, str) else STATUSES[status - 1]
    return msgspec.json.encode({"run_info": info | {name: value for name, value in update.items() if value}})


async def run_info_from_upstream(forwarding: Forwarding, write: Write, *, client: str) -> bytes | None:
    """Return the run as upstream has it now, None if upstream does not return it."""
    run_id = run_of(write.lane)
    if run_id is None:
        return None
    target = f"/api/2.0/mlflow/runs/get?run_id={quote(run_id, safe='')}"
    headers = () if write.workspace is None else (("x-mlflow-workspace", write.workspace),)
    request = ForwardedRequest(method="GET", target=target, headers=headers, body=None, client=client)
    with suppress(BridgeError, msgspec.MsgspecError, UnicodeDecodeError, LookupError, TypeError):
        async with forwarding.forward(request) as response:
            body, is_whole = await read_up_to(_MAX_UPSTREAM_BODY_BYTES, response)
            if is_whole and response.status == 200:
                return msgspec.json.encode({"run_info": msgspec.json.decode(body)["run"]["info"]})
    return None
