# SPDX-License-Identifier: Apache-2.0
"""How writes come in: HTTP, on MLflow's own paths and the bridge's. The only code that knows Flask.

An event loop reads every request and writes every answer, so that no thread waits for a slow client (docs/adr/0009).
"""

from api.app import BridgeApp
from bridge.bootstrap.processes import Api


def create_app(bridge: Api) -> BridgeApp:
    """Return the ASGI application of this bridge."""
    return BridgeApp(bridge)
