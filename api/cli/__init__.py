# SPDX-License-Identifier: Apache-2.0
"""The console script ``mlflow-bridge``: the commands of `bridge.cli`, and those that need the api's routes.

`bridge` may not import `api`, so the complete set of commands is put together here (docs/adr/0028).
"""

from api.cli.openapi import openapi
from bridge.cli import main

main.add_command(openapi)

__all__ = ["main"]
