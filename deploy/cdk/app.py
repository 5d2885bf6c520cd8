# SPDX-License-Identifier: Apache-2.0
"""The CDK application: a retained store stack and a replaceable service stack. See `deploy/README.md`."""

import sys
from collections.abc import Mapping
from pathlib import Path

from aws_cdk import App, Tags

from parameters import ParameterError, read_parameters
from service import ServiceStack
from store import StoreStack


def build_app(context: Mapping[str, object], *, outdir: Path | None = None) -> App:
    """Return the application for these context values. Raises ParameterError.

    No stack has an account or a region: with them CDK would ask AWS for zones during synthesis.
    """
    app = App(context=dict(context), outdir=str(outdir) if outdir else None)
    parameters = read_parameters(app.node.get_all_context())
    store = StoreStack(app, f"{parameters.name}-store", parameters=parameters)
    ServiceStack(app, f"{parameters.name}-service", parameters=parameters, store=store)
    Tags.of(app).add("mlflow-bridge", parameters.name)
    return app


def main() -> None:
    """Synthesise what CDK's command-line tool asks for."""
    try:
        build_app({}).synth()
    except ParameterError as error:
        sys.exit(f"mlflow-bridge: {error}")


if __name__ == "__main__":
    main()
