# SPDX-License-Identifier: Apache-2.0
"""The endpoint of an upstream: its URL, and the SigV4 service and region to sign for.

Hosts, services and headers of both kinds of ARN are those of AWS's plugin, aws/sagemaker-mlflow 0.5.0.
"""

from dataclasses import dataclass
from urllib.parse import urlsplit

from bridge.errors import InvalidSettings

#: The host suffix of SageMaker MLflow by AWS partition.
_HOST_SUFFIXES = {"aws": "aws", "aws-us-gov": "aws"}


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningScope:
    """The SigV4 credential scope, and the header that names the tracking server or app for SageMaker."""

    service: str
    region: str
    arn_header: str
    arn: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """The address of an upstream. Without ``scope`` requests go out unsigned."""

    #: Scheme, host and path prefix, without a slash at the end.
    url: str
    scope: SigningScope | None = None

    @property
    def host(self) -> str:
        """The value of the ``Host`` header, which is signed."""
        return urlsplit(self.url).netloc.rpartition("@")[2]


def endpoint_for(upstream: str, override: str | None = None) -> Endpoint:
    """Return the endpoint of an ARN (at its own host, or at ``override``) or of the URL of an MLflow server."""
    if not upstream.startswith("arn:"):
        return Endpoint(url=upstream.rstrip("/"))
    _, partition, _, region, _, resource = upstream.split(":", 5)
    suffix = _HOST_SUFFIXES.get(partition)
    if suffix is None and not override:
        raise InvalidSettings(f"SageMaker MLflow is not known in partition {partition!r}: set BRIDGE_UPSTREAM_ENDPOINT")
    if resource.startswith("mlflow-app/"):
        url = f"https://mlflow.sagemaker.{region}.app.{suffix}"
        scope = SigningScope(service="sagemaker", region=region, arn_header="x-sm-mlflow-app-arn", arn=upstream)
    else:
        url = f"https://{region}.experiments.sagemaker.{suffix}"
        header = "x-mlflow-sm-tracking-server-arn"
        scope = SigningScope(service="sagemaker-mlflow", region=region, arn_header=header, arn=upstream)
    return Endpoint(url=(override or url).rstrip("/"), scope=scope)
