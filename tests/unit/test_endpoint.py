# SPDX-License-Identifier: Apache-2.0
"""Where each kind of upstream is reached, and as which service it is signed for."""

import pytest

from bridge.errors import InvalidSettings
from bridge.upstream.aws.endpoint import Endpoint, SigningScope, endpoint_for


def _server(partition: str = "aws", region: str = "eu-central-1") -> str:
    return f"arn:{partition}:sagemaker:{region}:123456789012:mlflow-tracking-server/ours"


def _app(partition: str = "aws", region: str = "eu-central-1") -> str:
    return f"arn:{partition}:sagemaker:{region}:123456789012:mlflow-app/app-1"


@pytest.mark.parametrize(
    ("partition", "region"), [("aws", "eu-central-1"), ("aws", "us-east-1"), ("aws-us-gov", "us-gov-west-1")]
)
def test_a_tracking_server_is_reached_and_signed_as_awss_plugin_does_it(partition: str, region: str) -> None:
    arn = _server(partition, region)

    endpoint = endpoint_for(arn)

    header = "x-mlflow-sm-tracking-server-arn"
    scope = SigningScope(service="sagemaker-mlflow", region=region, arn_header=header, arn=arn)
    assert endpoint == Endpoint(url=f"https://{region}.experiments.sagemaker.aws", scope=scope)
    assert endpoint.host == f"{region}.experiments.sagemaker.aws"


@pytest.mark.parametrize(
    ("partition", "region"), [("aws", "eu-central-1"), ("aws", "us-east-1"), ("aws-us-gov", "us-gov-west-1")]
)
def test_an_app_is_reached_and_signed_as_awss_plugin_does_it(partition: str, region: str) -> None:
    arn = _app(partition, region)

    endpoint = endpoint_for(arn)

    scope = SigningScope(service="sagemaker", region=region, arn_header="x-sm-mlflow-app-arn", arn=arn)
    assert endpoint == Endpoint(url=f"https://mlflow.sagemaker.{region}.app.aws", scope=scope)
    assert endpoint.host == f"mlflow.sagemaker.{region}.app.aws"


@pytest.mark.parametrize("arn", [_server("aws-cn", "cn-north-1"), _app("aws-iso", "us-iso-east-1")])
def test_a_partition_without_known_hosts_is_refused_with_what_to_set(arn: str) -> None:
    with pytest.raises(InvalidSettings, match=r"partition 'aws-(cn|iso)': set BRIDGE_UPSTREAM_ENDPOINT"):
        endpoint_for(arn)


@pytest.mark.parametrize("arn", [_server(), _app(), _server("aws-cn", "cn-north-1"), _app("aws-iso", "us-iso-east-1")])
@pytest.mark.parametrize(
    ("override", "url", "host"),
    [
        ("https://vpce-1.example", "https://vpce-1.example", "vpce-1.example"),
        ("https://vpce-1.example:8443/prefix/", "https://vpce-1.example:8443/prefix", "vpce-1.example:8443"),
        ("http://127.0.0.1:5000/", "http://127.0.0.1:5000", "127.0.0.1:5000"),
    ],
)
def test_an_override_changes_where_an_arn_is_reached_and_not_how_it_is_signed(
    arn: str, override: str, url: str, host: str
) -> None:
    endpoint = endpoint_for(arn, override)

    assert (endpoint.url, endpoint.host) == (url, host)
    assert endpoint.scope
    assert (endpoint.scope.arn, endpoint.scope.region) == (arn, arn.split(":")[3])


@pytest.mark.parametrize(
    ("upstream", "url", "host"),
    [
        ("http://localhost:5000", "http://localhost:5000", "localhost:5000"),
        ("http://localhost:5000/", "http://localhost:5000", "localhost:5000"),
        ("https://mlflow.example/tracking/v1/", "https://mlflow.example/tracking/v1", "mlflow.example"),
        ("http://[::1]:5000", "http://[::1]:5000", "[::1]:5000"),
        ("https://user:pa55@mlflow.example:8443/x", "https://user:pa55@mlflow.example:8443/x", "mlflow.example:8443"),
    ],
)
def test_a_plain_mlflow_server_is_reached_at_its_url_unsigned(upstream: str, url: str, host: str) -> None:
    endpoint = endpoint_for(upstream)

    assert endpoint == Endpoint(url=url)
    assert endpoint.host == host
