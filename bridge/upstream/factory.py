# SPDX-License-Identifier: Apache-2.0
"""Builds the upstream client and the forwarding proxy from the settings."""

import datetime as dt

from bridge.config.settings import Settings
from bridge.process.clock import Clock
from bridge.upstream.aws.credentials import OWN_SESSION, AwsCredentials, ClientSessions, CredentialChain, RoleSession
from bridge.upstream.aws.endpoint import Endpoint, endpoint_for
from bridge.upstream.aws.signing import Signer
from bridge.upstream.http_client import HttpUpstream
from bridge.upstream.http_proxy import HttpForwarding
from bridge.upstream.loop_detection import InstanceId


def build_upstream(
    settings: Settings, clock: Clock, instance_id: InstanceId, *, max_timeout: dt.timedelta = dt.timedelta.max
) -> HttpUpstream:
    """Return the client for calls. ``max_timeout`` bounds its connect and read timeouts."""
    endpoint, signer = _endpoint_and_signer(settings, clock)
    return HttpUpstream(
        endpoint,
        signer,
        clock=clock,
        instance_id=instance_id,
        connect_timeout=min(settings.connect_timeout, max_timeout),
        read_timeout=min(settings.read_timeout, max_timeout),
        network=settings.network,
    )


def build_forwarding(settings: Settings, clock: Clock, instance_id: InstanceId) -> HttpForwarding:
    """Return the client for proxied requests."""
    endpoint, signer = _endpoint_and_signer(settings, clock)
    return HttpForwarding(
        endpoint,
        signer,
        instance_id=instance_id,
        connect_timeout=settings.connect_timeout,
        read_timeout=settings.proxy_timeout,
        network=settings.network,
    )


def _endpoint_and_signer(settings: Settings, clock: Clock) -> tuple[Endpoint, Signer | None]:
    endpoint = endpoint_for(settings.upstream, settings.upstream_endpoint)
    if endpoint.scope is None:
        return endpoint, None
    return endpoint, Signer(endpoint.scope, *_credentials(settings, clock, endpoint.scope.region), clock=clock)


def _credentials(settings: Settings, clock: Clock, region: str) -> tuple[AwsCredentials, ClientSessions | None]:
    """Return the bridge's own credentials, and the sessions of its clients if calls are signed in their names."""
    role, chain = settings.assume_role_arn, CredentialChain(clock, region=region, network=settings.network)

    def open_session(name: str) -> AwsCredentials:
        source_identity = name if settings.assume_role_session_name == "source" else None
        session = RoleSession(name=name, source_identity=source_identity)
        return AwsCredentials(clock, role, session=session, chain=chain)

    clients = ClientSessions(open_session, clock) if settings.uses_client_sessions else None
    return open_session(OWN_SESSION), clients
