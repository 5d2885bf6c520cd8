# SPDX-License-Identifier: Apache-2.0
"""The HTTP api, on MLflow's paths and on the bridge's own. The only package that imports Flask.

An event loop reads every request and writes every response, so that no thread waits for a slow client (docs/adr/0009).
"""

from api.composition import create_app

__all__ = ["create_app"]
