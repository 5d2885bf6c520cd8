# SPDX-License-Identifier: Apache-2.0
"""A running bridge, as the operator's commands talk to it."""

import json
import os
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import click
import requests

_TIMEOUT = 90.0


class Remote:
    """One bridge over HTTP. What goes wrong ends the command with a sentence."""

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")

    def get(self, path: str, **options: Any) -> Any:  # noqa: ANN401 - a JSON document
        """Return the document at a path."""
        return self._ask("GET", path, **options)

    def post(self, path: str, body: dict[str, Any] | None = None) -> Any:  # noqa: ANN401
        """Send a body and return the answer's document."""
        return self._ask("POST", path, json=body or {})

    def delete(self, path: str) -> None:
        """Delete what is at a path."""
        self._ask("DELETE", path)

    def _ask(self, method: str, path: str, **options: Any) -> Any:  # noqa: ANN401
        try:
            with requests.Session() as session:
                # What the environment says of proxies and passwords is meant for other servers.
                session.trust_env = False
                # As MLflow's own client has it, of whose variables we take the address and the key, too.
                session.verify = os.environ.get("MLFLOW_TRACKING_SERVER_CERT_PATH") or True
                if token := os.environ.get("MLFLOW_TRACKING_TOKEN"):
                    session.headers["Authorization"] = f"Bearer {token}"
                answer = session.request(method, self._url + path, timeout=_TIMEOUT, **options)
        except requests.exceptions.SSLError as error:
            raise click.ClickException(
                f"the certificate of {self._url} is not trusted: name the one of whoever has signed it in"
                " MLFLOW_TRACKING_SERVER_CERT_PATH."
            ) from error
        except requests.RequestException as error:
            raise click.ClickException(
                f"no bridge answers at {self._url} ({type(error).__name__}): start it, or name it with --url."
            ) from error
        if not answer.ok:
            raise click.ClickException(_why(answer))
        try:
            return answer.json() if answer.content else None
        except ValueError:
            raise click.ClickException(_why(answer)) from None


def path_part(text: str) -> str:
    """Return an id as it stands in a path."""
    return quote(text, safe="")


def printable(text: str) -> str:
    """Return a text with nothing in it that could steer a terminal: upstream's words quote what clients wrote."""
    return "".join(each if each.isprintable() else repr(each)[1:-1] for each in text)


def show_json(document: object) -> None:
    """Print a document for scripts: one line."""
    click.echo(json.dumps(document, separators=(",", ":"), ensure_ascii=False))


def with_remote(command: Callable[..., None]) -> Callable[..., None]:
    """Add the option that names the bridge, and --json."""
    for option in (
        click.option("--json", "as_json", is_flag=True, help="Print JSON for scripts."),
        click.option("--url", default=_default_url, help="The bridge's address. [default: MLFLOW_TRACKING_URI]"),
    ):
        command = option(command)
    return command


def _default_url() -> str:
    scheme = "https" if os.environ.get("BRIDGE_TLS_CERT_FILE") else "http"
    local = f"{scheme}://127.0.0.1:{os.environ.get('BRIDGE_PORT') or 8080}"
    return os.environ.get("MLFLOW_TRACKING_URI") or local


def _why(answer: requests.Response) -> str:
    try:
        problem = answer.json()
        return str(problem.get("detail") or problem.get("message") or problem)
    except (ValueError, AttributeError):
        return f"status {answer.status_code} from {answer.url}: is that a bridge?"
