# SPDX-License-Identifier: Apache-2.0
"""What belongs to the client that asks: its backlog and its keys."""

from flask import Response

from api.http.routing import Route
from api.routes.context import client
from api.routes.json_bodies import json_response
from bridge.auth.api_keys import ApiKeyStore, is_access_key_id
from bridge.outbox import ClientBacklog, Outbox
from bridge.upstream.flow_control import FlowControl, FlowControlState
from schemas.endpoints import ExperimentRule
from schemas.session import OwnBacklog, OwnKey, OwnKeys, UpstreamDelivery


class PersonalRoutes:
    """Serves what belongs to the client that asks."""

    def __init__(
        self, outbox: Outbox, flow_control: FlowControl, api_keys: ApiKeyStore, *, calls_per_second: float | None
    ) -> None:
        """``calls_per_second`` is the configured rate: a lower one means that upstream throttles."""
        self._outbox = outbox
        self._flow_control = flow_control
        self._api_keys = api_keys
        self._calls_per_second = calls_per_second

    @Route(
        "GET",
        "/v1/backlog/mine",
        summary="The backlog of the client that asks",
        is_personal=True,
        experiments=ExperimentRule.HARMLESS,
        is_polled=True,
        answers={200: OwnBacklog, 304: None},
    )
    def backlog(self) -> Response:
        """Return what is pending, and whether upstream takes it. It holds times and no ages, so that an ETag lasts."""
        backlog, state = self._outbox.client_backlog(client().name), self._flow_control.state()
        document = OwnBacklog(
            writes=backlog.writes,
            lanes=backlog.lanes,
            bytes=backlog.bytes,
            oldest_accepted_at=backlog.oldest_accepted_at,
            is_complete=backlog.is_complete,
            upstream=upstream_delivery(backlog, state, self._calls_per_second),
        )
        return json_response(document)

    @Route(
        "GET",
        "/v1/keys/mine",
        summary="The keys of the client that asks",
        is_personal=True,
        experiments=ExperimentRule.HARMLESS,
        answers={200: OwnKeys},
    )
    def keys(self) -> Response:
        """Return the keys, without their secrets."""
        keys = [
            OwnKey(
                key_id=key.key_id,
                kind="sigv4" if is_access_key_id(key.key_id) else "bearer",
                created_at=key.created_at,
                expires_at=key.expires_at,
                last_used_at=key.last_used_at,
            )
            for key in self._api_keys.keys_of(client().name)
        ]
        return json_response(OwnKeys(keys))


def upstream_delivery(
    backlog: ClientBacklog, state: FlowControlState, calls_per_second: float | None
) -> UpstreamDelivery:
    """Return whether a client's writes reach upstream now, and if not, why and when they are tried again."""
    if state.paused:
        return UpstreamDelivery(
            delivering=False, reason="paused", since=state.delivered_at, next_attempt_at=state.paused.until
        )
    if state.breaker != "closed":
        return UpstreamDelivery(
            delivering=False,
            reason="breaker-open",
            since=state.delivered_at,
            next_attempt_at=state.opens_again_at,
        )
    is_throttled = state.rate is not None and calls_per_second is not None and state.rate < calls_per_second
    reason = next(iter(backlog.failures), "throttled" if is_throttled else None)
    return UpstreamDelivery(
        delivering=not backlog.failures,
        reason=reason,
        since=state.delivered_at if backlog.failures else None,
        next_attempt_at=backlog.next_attempt_at,
    )
