# SPDX-License-Identifier: Apache-2.0
"""Publishes the bridge's documentation as a version of an API in API Gateway.

A version is a snapshot of all parts and can't be changed. Its description holds a digest of the parts, so that a
repeated publication recognizes its own version, and another one under the same name is refused.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from bridge.config.network import network_in
from bridge.errors import BridgeError
from bridge.upstream.connections import AwsSession

_Document = dict[str, Any]
_DOCUMENTATION = "x-amazon-apigateway-documentation"


class PublicationFailed(BridgeError):
    """The documentation was not published, or only in part. The text names the cause; a repetition completes it."""


@dataclass(frozen=True)
class Target:
    """Where documentation is published: ``version`` is the name of the documentation's version."""

    api_id: str
    stage: str
    version: str


@dataclass(frozen=True)
class Step:
    """One call that changes API Gateway, as a line of text and as a function."""

    text: str
    run: Callable[[], object]


def connect(environ: Mapping[str, str]) -> Any:  # noqa: ANN401 - botocore
    """Return a client for API Gateway with the credentials, the region and the network settings of the environment."""
    try:
        return AwsSession(network_in(environ)).create_client("apigateway")
    except BotoCoreError as error:
        advice = "Set AWS_DEFAULT_REGION, or name a profile in AWS_PROFILE."
        raise PublicationFailed(f"API Gateway can't be called: {error} {advice}") from None


class Publication:
    """Publishes the documentation of one import document through a client of botocore for ``apigateway``."""

    def __init__(self, client: Any, target: Target, document: _Document) -> None:  # noqa: ANN401 - botocore
        self._client, self._target, self._document = client, target, document
        self._parts: list[_Document] = document[_DOCUMENTATION]["documentationParts"]
        self._api = {"restApiId": target.api_id}
        self._stage = {**self._api, "stageName": target.stage}

    def steps(self) -> list[Step]:
        """Return the calls that are still to be made; none if the documentation is published."""
        return list(self._steps())

    def _steps(self) -> Iterator[Step]:
        version, stage = self._target.version, self._target.stage
        current = _call(self._client.get_stage, f"Stage '{stage}' can't be read", **self._stage)
        if not self._has_version():
            text = f"import {len(self._parts)} documentation parts into API {self._target.api_id}, replacing all parts"
            yield Step(text, self._import_parts)
            yield Step(f"create documentation version '{version}'", self._create_version)
        if current.get("documentationVersion") != version:
            yield Step(f"associate stage '{stage}' with documentation version '{version}'", self._associate_stage)

    def export(self) -> _Document:
        """Return what the stage publishes, as OpenAPI 3.0. Fails if its documentation is not the published one."""
        parameters = {"extensions": "documentation,integrations"}
        answer = _call(
            self._client.get_export,
            "The stage can't be exported",
            **self._stage,
            exportType="oas30",
            parameters=parameters,
            accepts="application/json",
        )
        exported: _Document = json.loads(answer["body"].read())
        documentation = exported.get(_DOCUMENTATION, {})
        different = _canonical(self._parts) ^ _canonical(documentation.get("documentationParts", []))
        if different or documentation.get("version") != self._target.version:
            raise PublicationFailed(
                f"The export of stage '{self._target.stage}' has other documentation than was published: version "
                f"{documentation.get('version')!r}, {len(different)} different parts, "
                f"{min(different, default='none')}. Deploy the current API to the stage, then publish again."
            )
        return exported

    def _has_version(self) -> bool:
        version = self._target.version
        try:
            known = self._client.get_documentation_version(**self._api, documentationVersion=version)
        except self._client.exceptions.NotFoundException:
            return False
        except (BotoCoreError, ClientError) as error:
            raise PublicationFailed(f"Documentation version '{version}' can't be read: {error}") from None
        if known.get("description") != self._description():
            raise PublicationFailed(
                f"Documentation version '{version}' exists with other parts. A version can't be changed: choose "
                "another --version."
            )
        return True

    def _import_parts(self) -> None:
        # The call takes a whole document, and of it only the parts.
        body = json.dumps(self._document, sort_keys=True).encode()
        _call(
            self._client.import_documentation_parts,
            "The documentation parts can't be imported",
            **self._api,
            mode="overwrite",
            failOnWarnings=True,
            body=body,
        )

    def _create_version(self) -> None:
        _call(
            self._client.create_documentation_version,
            f"Documentation version '{self._target.version}' can't be created",
            **self._api,
            documentationVersion=self._target.version,
            description=self._description(),
        )

    def _associate_stage(self) -> None:
        replaced = {"op": "replace", "path": "/documentationVersion", "value": self._target.version}
        _call(
            self._client.update_stage,
            f"Stage '{self._target.stage}' can't be updated",
            **self._stage,
            patchOperations=[replaced],
        )

    def _description(self) -> str:
        digest = hashlib.sha256("\n".join(sorted(_canonical(self._parts))).encode()).hexdigest()
        return f"MLflow Bridge, sha256:{digest}"


def _canonical(parts: list[_Document]) -> set[str]:
    """Return location and properties of each part as text; an export adds the time of creation."""
    return {json.dumps([part["location"], part["properties"]], sort_keys=True) for part in parts}


def _call(operation: Callable[..., Any], failure: str, **arguments: object) -> dict[str, Any]:
    try:
        answer: dict[str, Any] = operation(**arguments)
    except (BotoCoreError, ClientError) as error:
        raise PublicationFailed(f"{failure}: {error}") from None
    return answer
