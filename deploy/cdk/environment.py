# SPDX-License-Identifier: Apache-2.0
"""The settings that containers start with. The bridge refuses to start with a name that it does not know."""

from edge import API_PORT
from parameters import SERVER_CALLS_PER_SECOND, TRACKING_SERVER, Parameters

#: The load balancer deregisters a task before ECS stops it, so little is left to answer.
SHUTDOWN_DELAY_S = 5
#: With the delay, well below the 120 s after which Fargate kills.
SHUTDOWN_TIMEOUT_S = 90
#: Longer than the load balancer's idle timeout of 60 s.
IDLE_TIMEOUT_S = 75
#: A part of what cache.r7g.large has, 13 GiB of which ElastiCache reserves a quarter.
_MAX_STORE = "6GiB"


def api_environment(
    parameters: Parameters, *, upstream: str, metric_namespace: str, encryption_keys_secret: str
) -> dict[str, str]:
    """Return the api's settings; the operator's own come last."""
    return {
        **_common(parameters, upstream),
        "BRIDGE_HOST": "0.0.0.0",  # noqa: S104 - the security group admits the load balancer alone
        "BRIDGE_PORT": str(API_PORT),
        "BRIDGE_TRUSTED_PROXIES": "1",
        "BRIDGE_IDLE_TIMEOUT": f"{IDLE_TIMEOUT_S}s",
        "BRIDGE_AUTH": "keys",
        "BRIDGE_ENCRYPTION_KEYS_SECRET_ARN": encryption_keys_secret,
        "BRIDGE_EMF_NAMESPACE": metric_namespace,
        **parameters.settings,
    }


def worker_environment(parameters: Parameters, *, upstream: str) -> dict[str, str]:
    """Return the settings of workers and of commands on the store."""
    return {**_common(parameters, upstream), **parameters.settings}


def _common(parameters: Parameters, upstream: str) -> dict[str, str]:
    settings = {
        "BRIDGE_UPSTREAM": upstream,
        "BRIDGE_SHUTDOWN_DELAY": f"{SHUTDOWN_DELAY_S}s",
        "BRIDGE_SHUTDOWN_TIMEOUT": f"{SHUTDOWN_TIMEOUT_S}s",
        "BRIDGE_MAX_STORE": _MAX_STORE,
    }
    if parameters.upstream == TRACKING_SERVER:
        rate = SERVER_CALLS_PER_SECOND[parameters.server_size]
        settings |= {"BRIDGE_UPSTREAM_RATE": str(rate), "BRIDGE_UPSTREAM_BURST": str(2 * rate)}
    return settings
