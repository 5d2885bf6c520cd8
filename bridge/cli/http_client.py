# SPDX-License-Identifier: Apache-2.0
"""HTTP client of a running bridge, for the operator commands, with their common options and output."""

import json
import os
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import click
import requests

#: Longer than the longest poll for a job.
_TIMEOUT_S = 90.0


class BridgeClient:
    """A client of one bridge. Raises ``ClickException`` on any failure, which ends the command with its message."""

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")

    def get(self, path: str, **options: Any) -> Any:  # noqa: ANN401 - a JSON document
        """Return the JSON document at a path."""
        return self._request("GET", path, **options)

    def post(self, path: str, body: dict[str, Any] | None = None) -> Any:  # noqa: ANN401
        """Send a JSON body and return the document of the response."""
        return self._request("POST", path, json=body or {})

    def put(self, path: str, body: dict[str, Any], **options: Any) -> Any:  # noqa: ANN401
        """Replace the resource at a path by a JSON body and return the document of the response."""
        return self._request("PUT", path, json=body, **options)

    def patch(self, path: str, body: dict[str, Any]) -> Any:  # noqa: ANN401
        """Change the resource at a path and return its document."""
        return self._request("PATCH", path, json=body)

    def delete(self, path: str) -> None:
        """Delete the resource at a path."""
        self._request("DELETE", path)

    def _request(self, method: str, path: str, **options: Any) -> Any:  # noqa: ANN401
        try:
            with requests.Session() as session:
                # The proxies and passwords in the environment are for other servers.
                session.trust_env = False
                # The variables of MLflow's own client, as for the address and the key.
                session.verify = os.environ.get("MLFLOW_TRACKING_SERVER_CERT_PATH") or True
                if token := os.environ.get("MLFLOW_TRACKING_TOKEN"):
                    session.headers["Authorization"] = f"Bearer {token}"
                response = session.request(method, self._url + path, timeout=_TIMEOUT_S, **options)
        except requests.exceptions.SSLError as error:
            raise click.ClickException(
                f"the certificate of {self._url} is not trusted: set MLFLOW_TRACKING_SERVER_CERT_PATH to the"
                " certificate of its CA."
            ) from error
        except requests.RequestException as error:
            raise click.ClickException(
                f"no bridge answers at {self._url} ({type(error).__name__}): start it, or set its address with --url."
            ) from error
        if not response.ok:
            raise click.ClickException(_error_message(response))
        try:
            return response.json() if response.content else None
        except ValueError:
            raise click.ClickException(_error_message(response)) from None


def path_part(text: str) -> str:
    """Return an id, percent-encoded as one path segment."""
    return quote(text, safe="")


def printable(text: str) -> str:
    """Return a text with its control characters escaped: upstream's messages quote text of clients."""
    return "".join(character if character.isprintable() else repr(character)[1:-1] for character in text)


def show_json(document: object) -> None:
    """Print a document as one line of JSON."""
    click.echo(json.dumps(document, separators=(",", ":"), ensure_ascii=False))


def connection_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options ``--url`` and ``--json`` to a command."""
    for option in (
        click.option("--json", "as_json", is_flag=True, help="Print JSON."),
        click.option("--url", default=_default_url, help="The bridge's address. [default: MLFLOW_TRACKING_URI]"),
    ):
        command = option(command)
    return command


def _default_url() -> str:
    scheme = "https" if os.environ.get("BRIDGE_TLS_CERT_FILE") else "http"
    local = f"{scheme}://127.0.0.1:{os.environ.get('BRIDGE_PORT') or 8080}"
    return os.environ.get("MLFLOW_TRACKING_URI") or local


def _error_message(response: requests.Response) -> str:
    try:
        problem = response.json()
        return str(problem.get("detail") or problem.get("message") or problem)
    except (ValueError, AttributeError):
        return f"status {response.status_code} from {response.url}: is that a bridge?"
