# SPDX-License-Identifier: Apache-2.0
"""The command line: ``mlflow-bridge``."""

import dataclasses
import os

import click

from bridge.cli.audit import audit
from bridge.cli.backlog import backlog
from bridge.cli.clients import clients
from bridge.cli.dead_letters import dead_letters
from bridge.cli.doctor import doctor
from bridge.cli.drains import drains
from bridge.cli.jobs import jobs
from bridge.cli.keys import keys
from bridge.cli.lanes import lanes, workers
from bridge.cli.plan import plan
from bridge.cli.top import top
from bridge.cli.upstream import upstream
from bridge.cli.usage import usage
from bridge.config.environment import resolve_credentials
from bridge.config.settings import Settings, variable
from bridge.errors import BridgeError
from bridge.process.start_failure import exit_with


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.version_option(package_name="mlflow-bridge")
def main() -> None:
    """A durable queue between plain MLflow clients and Amazon SageMaker MLflow.

    Environment variables configure the bridge; `mlflow-bridge settings` lists them. The commands for operators connect
    to a running bridge: at --url, else at MLFLOW_TRACKING_URI, else on this machine.
    """


@main.command()
def up() -> None:
    """Run the whole system on this machine until Ctrl-C.

    Starts the api and the workers. Also starts a Valkey or Redis server as the store unless BRIDGE_STORE_URL is set,
    and an `mlflow server` as upstream unless BRIDGE_UPSTREAM is set. Restarts a process that ends. Pending writes
    stay in the store and are delivered after the next start.
    """
    # Only this command needs the whole bridge; the others start three times as fast without it.
    from bridge.cli.local.stack import up as run_all  # noqa: PLC0415

    try:
        run_all(resolve_credentials(os.environ), click.echo)
    except BridgeError as error:
        exit_with(error, program="mlflow-bridge")


@main.command()
def settings() -> None:
    """List all settings: environment variable, default, description."""
    for field in dataclasses.fields(Settings):
        default = field.metadata["default"]
        click.echo(f"{variable(field)}={default if default is not None else '(required)'}")
        click.echo(click.wrap_text(field.metadata["about"], 100, "    ", "    "))


main.add_command(doctor)
main.add_command(backlog)
main.add_command(top)
main.add_command(lanes)
main.add_command(workers)
main.add_command(jobs)
main.add_command(dead_letters)
main.add_command(clients)
main.add_command(drains)
main.add_command(keys)
main.add_command(audit)
main.add_command(plan)
main.add_command(upstream)
main.add_command(usage)
