# SPDX-License-Identifier: Apache-2.0
"""The way in: HTTPS only, a health check that an outage of the store passes, a firewall that lets MLflow through."""

import json

import pytest
from conftest import REQUIRED, Variant, synthesised

from edge import COUNTED_RULES
from environment import IDLE_TIMEOUT_S


def _attributes(variant: Variant, kind: str) -> dict[str, object]:
    key = "LoadBalancerAttributes" if kind == "LoadBalancer" else "TargetGroupAttributes"
    return {each["Key"]: each["Value"] for each in variant.service.one(f"ElasticLoadBalancingV2::{kind}")[key]}


def test_the_only_listener_is_https(variant: Variant) -> None:
    listener = variant.service.one("ElasticLoadBalancingV2::Listener")

    assert (listener["Port"], listener["Protocol"]) == (443, "HTTPS")
    assert listener["SslPolicy"] == "ELBSecurityPolicy-TLS13-1-2-Res-2021-06"
    assert listener["Certificates"] == [{"CertificateArn": REQUIRED["certificate"]}]


def test_it_is_internal_unless_asked_otherwise() -> None:
    schemes = {
        name: synthesised(name).service.one("ElasticLoadBalancingV2::LoadBalancer")["Scheme"]
        for name in ("new-server", "new-app", "given-server")
    }

    assert schemes == {"new-server": "internal", "new-app": "internet-facing", "given-server": "internal"}


@pytest.mark.parametrize(
    ("name", "blocks"),
    [
        ("new-server", {"10.20.0.0/16"}),
        ("new-app", {"0.0.0.0/0"}),
        ("given-server", {"10.0.0.0/8", "192.168.0.0/16"}),
    ],
)
def test_it_admits_those_networks_to_port_443_alone(name: str, blocks: set[str]) -> None:
    rules = synthesised(name).service.one("EC2::SecurityGroup", "Edge")["SecurityGroupIngress"]

    assert {rule["CidrIp"] for rule in rules} == blocks
    assert {(rule["FromPort"], rule["ToPort"]) for rule in rules} == {(443, 443)}


def test_an_outage_of_the_store_kills_no_task(variant: Variant) -> None:
    # ECS replaces tasks that fail this check. /readyz answers 503 while the store is down, /healthz does not.
    group = variant.service.one("ElasticLoadBalancingV2::TargetGroup")

    assert group["HealthCheckPath"] == "/healthz"
    assert group["Matcher"] == {"HttpCode": "200"}


def test_the_load_balancer_passes_on_what_clients_signed(variant: Variant) -> None:
    attributes = _attributes(variant, "LoadBalancer")

    assert attributes["routing.http.preserve_host_header.enabled"] == "true"
    assert attributes["routing.http.xff_header_processing.mode"] == "append"
    assert attributes["routing.http.drop_invalid_header_fields.enabled"] == "true"
    assert attributes["routing.http.desync_mitigation_mode"] == "strictest"
    assert attributes["deletion_protection.enabled"] == "true"


def test_it_closes_idle_connections_before_the_api_does(variant: Variant) -> None:
    assert int(str(_attributes(variant, "LoadBalancer")["idle_timeout.timeout_seconds"])) < IDLE_TIMEOUT_S


def test_it_writes_access_logs_to_a_bucket_that_lets_it(variant: Variant) -> None:
    attributes = _attributes(variant, "LoadBalancer")
    (policy,) = (each for key, each in variant.store.all("S3::BucketPolicy").items() if key.startswith("AccessLogs"))
    statement = json.dumps(policy["Properties"]["PolicyDocument"])

    assert attributes["access_logs.s3.enabled"] == "true"
    assert attributes["access_logs.s3.prefix"] == "load-balancer"
    assert "logdelivery.elasticloadbalancing.amazonaws.com" in statement
    assert "/load-balancer/AWSLogs/*" in statement


def test_a_deployment_waits_for_requests_under_way(variant: Variant) -> None:
    attributes = _attributes(variant, "TargetGroup")

    assert attributes["deregistration_delay.timeout_seconds"] == "60"
    assert attributes["load_balancing.algorithm.type"] == "least_outstanding_requests"
    assert attributes["stickiness.enabled"] == "false"


def test_the_firewall_blocks_no_ordinary_write(variant: Variant) -> None:
    rules = {rule["Name"]: rule for rule in variant.service.one("WAFv2::WebACL")["Rules"]}
    group = rules["Common"]["Statement"]["ManagedRuleGroupStatement"]

    assert group["Name"] == "AWSManagedRulesCommonRuleSet"
    assert {each["Name"]: each["ActionToUse"] for each in group["RuleActionOverrides"]} == {
        name: {"Count": {}} for name in COUNTED_RULES
    }
    assert {
        "SizeRestrictions_BODY",
        "CrossSiteScripting_BODY",
        "GenericLFI_BODY",
        "GenericRFI_BODY",
        "EC2MetaDataSSRF_BODY",
    } <= set(COUNTED_RULES)


def test_the_firewall_answers_too_many_requests_with_429(variant: Variant) -> None:
    acl = variant.service.one("WAFv2::WebACL")
    rules = {rule["Name"]: rule for rule in acl["Rules"]}
    response = rules["Rate"]["Action"]["Block"]["CustomResponse"]

    assert rules["Rate"]["Statement"]["RateBasedStatement"]["AggregateKeyType"] == "IP"
    assert response["ResponseCode"] == 429
    assert json.loads(acl["CustomResponseBodies"][response["CustomResponseBodyKey"]]["Content"])["error_code"]


def test_every_rule_of_the_firewall_does_something(variant: Variant) -> None:
    acl = variant.service.one("WAFv2::WebACL")

    assert acl["Scope"] == "REGIONAL"
    assert all(("Action" in rule) != ("OverrideAction" in rule) for rule in acl["Rules"])
    assert variant.service.one("WAFv2::WebACLAssociation")["ResourceArn"]


def test_the_firewall_logs_no_credentials(variant: Variant) -> None:
    logging = variant.service.one("WAFv2::LoggingConfiguration")
    acl = variant.service.one("WAFv2::WebACL")

    assert {each["SingleHeader"]["Name"] for each in logging["RedactedFields"]} == {
        "authorization",
        "cookie",
        "x-api-key",
    }
    assert not any(rule["VisibilityConfig"]["SampledRequestsEnabled"] for rule in acl["Rules"])
