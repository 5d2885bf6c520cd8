# SPDX-License-Identifier: Apache-2.0
"""The two ways to upstream, as the settings say where it is."""

import datetime as dt

from bridge.config.settings import Settings
from bridge.process.clock import Clock
from bridge.upstream.aws.credentials import OWN_SESSION, AwsCredentials, CredentialChain, RoleSession, Sessions
from bridge.upstream.aws.endpoint import Endpoint, endpoint_for
from bridge.upstream.aws.signing import Signer
from bridge.upstream.http_client import HttpUpstream
from bridge.upstream.http_proxy import HttpForwarding
from bridge.upstream.loop_detection import InstanceId


def build_upstream(
    settings: Settings, clock: Clock, instance_id: InstanceId, *, longest: dt.timedelta = dt.timedelta.max
) -> HttpUpstream:
    """Return the way of calls, none of which may take longer than ``longest`` to connect or to be answered."""
    endpoint, signer = _door(settings, clock)
    return HttpUpstream(
        endpoint,
        signer,
        clock=clock,
        instance_id=instance_id,
        connect_timeout=min(settings.connect_timeout, longest),
        read_timeout=min(settings.read_timeout, longest),
        network=settings.network,
    )


def build_forwarding(settings: Settings, clock: Clock, instance_id: InstanceId) -> HttpForwarding:
    """Return the way of requests that are proxied."""
    endpoint, signer = _door(settings, clock)
    return HttpForwarding(
        endpoint,
        signer,
        instance_id=instance_id,
        connect_timeout=settings.connect_timeout,
        read_timeout=settings.proxy_timeout,
        network=settings.network,
    )


def _door(settings: Settings, clock: Clock) -> tuple[Endpoint, Signer | None]:
    endpoint = endpoint_for(settings.upstream, settings.upstream_endpoint)
    if endpoint.scope is None:
        return endpoint, None
    return endpoint, Signer(endpoint.scope, *_credentials(settings, clock, endpoint.scope.region))


def _credentials(settings: Settings, clock: Clock, region: str) -> tuple[AwsCredentials, Sessions | None]:
    """Return the bridge's own credentials, and those of its clients if they have any."""
    role, chain = settings.assume_role_arn, CredentialChain(clock, region=region, network=settings.network)

    def session(name: str) -> AwsCredentials:
        identity = name if settings.assume_role_session_name == "source" else None
        return AwsCredentials(clock, role, session=RoleSession(name=name, source_identity=identity), chain=chain)

    return session(OWN_SESSION), (Sessions(session, clock) if settings.speaks_for_clients else None)
